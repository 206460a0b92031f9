"""Tests of `warp_twisted.demo.ports`: the wanted ports when they are free, others when they are not."""

import socket

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.demo.ports import ADDRESS, Ports, choose_ports, moved


class ChooseTests(SynchronousTestCase):
    """Choosing ports on loopback."""

    def take(self, kind: socket.SocketKind, port: int = 0) -> int:
        """Bind a port for the time of the test, and listen where that is a thing."""
        taken = socket.socket(socket.AF_INET, kind)
        self.addCleanup(taken.close)
        taken.bind((ADDRESS, port))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        return int(taken.getsockname()[1])

    def free(self) -> Ports:
        """Return four ports that are free now."""
        return choose_ports(Ports(http=0, https=0, dns=0, tunnel=0))

    def test_free_ports_are_taken_as_wanted(self) -> None:
        """Free ports stay as they are, and there is nothing to say."""
        wanted = self.free()
        self.assertEqual(choose_ports(wanted), wanted)
        self.assertEqual(moved(wanted, wanted), [])

    def test_taken_port_is_replaced(self) -> None:
        """A port that somebody listens on is replaced by a free one, which is said."""
        free = self.free()
        wanted = Ports(http=self.take(socket.SOCK_STREAM), https=free.https, dns=free.dns, tunnel=free.tunnel)
        chosen = choose_ports(wanted)
        self.assertEqual((chosen.https, chosen.dns, chosen.tunnel), (wanted.https, wanted.dns, wanted.tunnel))
        self.assertNotEqual(chosen.http, wanted.http)
        self.assertEqual(moved(chosen, wanted), [f"HTTP port {wanted.http} is taken: using {chosen.http}"])

    def test_dns_needs_udp_as_well(self) -> None:
        """A port whose UDP half is taken is no port for DNS."""
        free = self.free()
        wanted = Ports(http=free.http, https=free.https, dns=self.take(socket.SOCK_DGRAM), tunnel=free.tunnel)
        chosen = choose_ports(wanted)
        self.assertNotEqual(chosen.dns, wanted.dns)
        self.take(socket.SOCK_DGRAM, chosen.dns)
        self.take(socket.SOCK_STREAM, chosen.dns)

"""Tests of listeners as settings name them."""

from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.errors import InvalidSettings
from warp_twisted.listen_text import check_listeners, server_endpoint


class ServerEndpointTests(SynchronousTestCase):
    """One text."""

    def refusal(self, text: str) -> str:
        """Return the words in which a text is refused."""
        return str(self.assertRaises(InvalidSettings, server_endpoint, MemoryReactorClock(), text, "listen.http[0]"))

    def test_good(self) -> None:
        """TCP with and without an address, also of IPv6, and unix sockets."""
        for text in ("tcp:80", "tcp:port=80", "tcp:0:interface=127.0.0.1", r"tcp6:80:interface=\:\:1", "unix:/x"):
            reactor = MemoryReactorClock()
            listening = server_endpoint(reactor, text, "metrics").listen(Factory())
            self.successResultOf(listening)
            self.assertEqual(len(reactor.tcpServers) + len(reactor.unixServers), 1, text)

    def test_port_out_of_range(self) -> None:
        """A port that no socket has is refused with the range."""
        for text in ("tcp:80000", "tcp:-1", "tcp6:port=65536"):
            self.assertIn("listen.http[0]: expected a port from 0 to 65535, got ", self.refusal(text))

    def test_device_instead_of_address(self) -> None:
        """The name of a network device is refused: only addresses can be bound."""
        self.assertEqual(
            self.refusal("tcp:80:interface=no_such_device"),
            "listen.http[0]: expected an address of this machine after interface=,"
            " got 'no_such_device' in 'tcp:80:interface=no_such_device'",
        )

    def test_no_endpoint(self) -> None:
        """What is no endpoint is refused with an example of one."""
        for text in ("80", "0.0.0.0:80", "tcp", "tcp:eighty", "nonsense:x", ""):
            self.assertIn("listen.http[0]: expected an endpoint such as tcp:8080", self.refusal(text))

    def test_socket_that_systemd_did_not_hand_over(self) -> None:
        """A socket of systemd that is not there is said to be just that."""
        self.assertIn("systemd handed this process no such socket", self.refusal("systemd:domain=INET:index=7"))


class CheckListenersTests(SynchronousTestCase):
    """All listeners of a file."""

    def check(self, has_systemd_sockets: bool = False, **listeners: list[str]) -> None:
        """Check."""
        named = {f"listen.{key}": texts for key, texts in listeners.items()}
        check_listeners(MemoryReactorClock(), named, has_systemd_sockets=has_systemd_sockets)

    def test_twice(self) -> None:
        """The same listener in two places is refused with both; port 0 is another one each time."""
        self.check(http=["tcp:0", "tcp:0"], https=["tcp:443"])
        with self.assertRaisesRegex(InvalidSettings, r"listen.https\[1\]: 'tcp:80' is listen.http\[0\] already"):
            self.check(http=["tcp:80"], https=["tcp:443", "tcp:80"])

    def test_address_of_another_machine(self) -> None:
        """An address that this machine does not have is refused, as the start would be."""
        self.check(http=["tcp:80:interface=127.0.0.1"], https=["tcp:443:interface=localhost"])
        with self.assertRaisesRegex(InvalidSettings, r"listen.http\[0\]: this machine does not have .*: 192.0.2.77 in"):
            self.check(http=["tcp:80:interface=192.0.2.77"])

    def test_sockets_of_systemd(self) -> None:
        """They are believed where systemd did not start the process, and looked for where it did."""
        self.check(http=["systemd:domain=INET:index=7"])
        self.check(has_systemd_sockets=True, http=["systemd:name=http"], https=["systemd:name=https"])
        with self.assertRaisesRegex(InvalidSettings, r"listen.http\[0\]: .*no such socket"):
            self.check(has_systemd_sockets=True, http=["systemd:domain=INET:index=7"])
        with self.assertRaisesRegex(InvalidSettings, r"listen.https\[0\]: .* is listen.http\[0\] already"):
            self.check(http=["systemd:name=http"], https=["systemd:name=http"])

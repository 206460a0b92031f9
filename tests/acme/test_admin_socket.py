"""Tests for warp_twisted.acme.admin_socket."""

import socket
import threading

from twisted.trial.unittest import SynchronousTestCase

from tests.acme.fake_door import FakeDoor
from tests.acme.fake_door_server import FakeDoorServer
from warp_twisted.acme.admin_socket import AdminSocket
from warp_twisted.acme.door import Account, Certificate, DnsChallenge, HttpChallenge, Order
from warp_twisted.acme.errors import DoorRefused

ORDER = Order(name="*.deep.warp.example", names=("*.deep.warp.example",), secret="key")


class AdminSocketTests(SynchronousTestCase):
    """The door over a socket."""

    def setUp(self) -> None:
        self.door = FakeDoor("letsencrypt", "", [("warp.example",)])
        self.server = FakeDoorServer(self, self.door)
        self.socket = AdminSocket(self.server.path, call_seconds=0.5)

    def test_view(self) -> None:
        """The view comes as the edge has it."""
        self.assertEqual(self.socket.view(), self.door.view())

    def test_lock(self) -> None:
        """The lock is refused while another has it, which is no error."""
        self.assertTrue(self.socket.lock("edge1", 60))
        self.door.holder = "edge2"
        self.assertFalse(self.socket.lock("edge1", 60))

    def test_kept(self) -> None:
        """Account, order and certificate arrive, by their names."""
        self.socket.keep_account(Account(directory="https://ca.example/", secret="key"))
        self.socket.keep_order(ORDER)
        self.assertEqual(list(self.door.orders), ["*.deep.warp.example"])
        certificate = Certificate(chain="chain", key="key", order=ORDER)
        self.socket.take_certificate(ORDER.name, certificate)
        self.assertEqual(self.socket.chain(ORDER.name), "chain")
        self.assertIsNotNone(self.door.account)
        with self.assertRaisesRegex(DoorRefused, "no certificate other"):
            self.socket.chain("other")

    def test_challenges(self) -> None:
        """Challenges of both kinds are published and withdrawn."""
        both = (
            DnsChallenge(name="_acme-challenge.warp.example", value="v"),
            HttpChallenge(hostname="shop.customer.example", token="t", key_authorization="t.k"),
        )
        for challenge in both:
            self.socket.publish(challenge)
        self.assertEqual(self.door.published, list(both))
        for challenge in both:
            self.socket.withdraw(challenge)
        self.assertEqual(self.door.published, [])

    def test_refused(self) -> None:
        """The edge's own words and its status are kept."""

        def away(what: str) -> None:
            raise DoorRefused("the registry is away", 503)

        self.door.happened = away
        with self.assertRaisesRegex(DoorRefused, "^the registry is away$") as caught:
            self.socket.keep_order(ORDER)
        self.assertEqual(caught.exception.status, 503)

    def test_away(self) -> None:
        """An edge that is gone, or does not answer in time, is said to be so."""
        self.server.stop()
        with self.assertRaisesRegex(DoorRefused, "the edge does not answer at "):
            self.socket.view()
        listening = socket.socket(socket.AF_UNIX)
        self.addCleanup(listening.close)
        path = f"{self.server.path}.silent"
        listening.bind(path)
        listening.listen()
        with self.assertRaisesRegex(DoorRefused, "the edge does not answer at "):
            AdminSocket(path, call_seconds=0.1).view()

    def test_nonsense(self) -> None:
        """An answer that is none of the edge's is said to be so."""
        listening = socket.socket(socket.AF_UNIX)
        self.addCleanup(listening.close)
        path = f"{self.server.path}.other"
        listening.bind(path)
        listening.listen()

        def serve() -> None:
            for answer in (b"SSH-2.0\r\n", b"HTTP/1.0 200 OK\r\n\r\n<html>", b"HTTP/1.0 500 No\r\n\r\n<html>"):
                connection, _ = listening.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        self.addCleanup(thread.join, 10)
        for reason in ("does not answer", "is not understood", "the edge answers 500"):
            with self.assertRaisesRegex(DoorRefused, reason):
                AdminSocket(path).view()

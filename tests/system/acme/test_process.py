"""
The issuing process beside our name server, a secondary and Pebble: a certificate comes, and comes after every kill.

Only the edge is another: a door that keeps in memory what the process tells it, and publishes in a zone that is here.
"""

import os
import signal
import tempfile
from pathlib import Path

import dns.exception
import dns.message
import dns.query
from cryptography import x509
from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread, deferToThread

from tests.acme.fake_door import SEALING_KEY, FakeDoor
from tests.acme.fake_door_server import FakeDoorServer
from tests.case import AsyncTestCase, reactor, until_said
from tests.system.acme.pebble import Pebble
from tests.system.dns.peers import KEY_NAME, SECRET_TEXT, Peer
from warp_dns import (
    DnsServer,
    FixedSource,
    KeySettings,
    NotifySettings,
    Record,
    ServedZone,
    ServerSettings,
    TransferSettings,
    ZoneSettings,
)
from warp_twisted.acme.door import Challenge, DnsChallenge, NameServer, Order, View
from warp_twisted.acme.supervised import IssuingProcess

ZONE = "warp.example"
OWNER = f"_acme-challenge.{ZONE}"
PATIENCE_SECONDS = 90.0
STEPS = ["begun", "account", "account", "ordered", "publish", "publish", "finalized", "certificate"]


class PublishingDoor(FakeDoor):
    """A door whose challenges stand in a zone, and that says when a certificate came."""

    def __init__(self, directory: str, root: str, source: FixedSource) -> None:
        super().__init__(directory, root, [(ZONE, f"*.{ZONE}")])
        self.issued: Deferred[None] = Deferred()
        self.is_hasty = False  # whether the pause of an order that was begun is over at once
        self._source = source

    def view(self) -> View:
        """Return what is to be done, and what was."""
        for name, order in self.orders.items():
            if self.is_hasty and order.step == "begun":
                self.orders[name] = replace(order, not_before=0.0)
        return super().view()

    def publish(self, challenge: Challenge) -> None:
        """Publish a challenge in the zone."""
        super().publish(challenge)
        blockingCallFromThread(reactor, self.put)

    def withdraw(self, challenge: Challenge) -> None:
        """Take a challenge out of the zone."""
        super().withdraw(challenge)
        blockingCallFromThread(reactor, self.put)

    def put(self) -> None:
        """Let the zone have what is published."""
        values = [each.value for each in self.published if isinstance(each, DnsChallenge)]
        self._source.change({OWNER: [Record(OWNER, "TXT", 1, f'"{value}"') for value in values]})

    def keep_order(self, order: Order) -> None:
        """Keep an order."""
        super().keep_order(order)
        if order.ask_window_at > 0 and order.window == () and order.step == "issued":
            issued, self.issued = self.issued, Deferred()
            reactor.callFromThread(issued.callback, None)


class ProcessTests(AsyncTestCase):
    """The process, started by its supervisor, with the edge and the name servers of a zone around it."""

    timeout = 280

    async def prepare(self) -> None:
        """Serve a zone here and on Knot, start Pebble, and let the process look at it."""
        self.peer = Peer("knot")
        place = Path(tempfile.mkdtemp(prefix="warp-acme-"))
        secret, key = place / "secret", place / "sealing.key"
        secret.write_text(SECRET_TEXT)
        key.write_bytes(SEALING_KEY)
        source = FixedSource({})
        zone = ZoneSettings(
            name=ZONE,
            nameservers={f"ns1.{ZONE}": ["127.0.0.1"], f"ns2.{ZONE}": ["127.0.0.1"]},
            transfer=TransferSettings(keys=[KEY_NAME]),
            notify=[NotifySettings(address=f"127.0.0.1:{self.peer.port}", key=KEY_NAME)],
        )
        settings = ServerSettings(keys=[KeySettings(name=KEY_NAME, secret_file=str(secret))])
        server = DnsServer(reactor, [ServedZone(zone, source)], settings)
        self.addCleanup(server.stop)
        [(_, port)] = server.start(["127.0.0.1:0"])
        self.addCleanup(self.peer.stop)
        self.peer.follow(reactor, ZONE, port)
        self.pebble = Pebble(self, self.peer.port)  # the authority asks the secondary
        await self.pebble.ready()
        self.door = PublishingDoor(self.pebble.url, str(self.pebble.root), source)
        self.door.nameservers = (
            NameServer(name=f"ns1.{ZONE}", addresses=(f"127.0.0.1:{port}",)),
            NameServer(name=f"ns2.{ZONE}", addresses=(f"127.0.0.1:{self.peer.port}",)),
        )
        self.process = IssuingProcess(reactor, FakeDoorServer(self, self.door).path, str(key), pauses=(0.05, 0.05))
        self.addCleanup(self.process.stop)
        await until_said(self._is_served, 30)

    async def test_issued(self) -> None:
        """The certificate comes, through a secondary, with nonces refused; nothing stays published."""
        self.process.start()
        await self.door.issued.addTimeout(PATIENCE_SECONDS, reactor)
        self.assert_issued()
        await self.assert_withdrawn()
        first = self.door.certificates[ZONE].chain
        self.door.orders[ZONE] = replace(self.door.orders[ZONE], renew_at=0.0, not_before=0.0)
        self.process.look()  # as an operator wants it renewed
        await self.door.issued.addTimeout(PATIENCE_SECONDS, reactor)
        self.assertNotEqual(self.door.certificates[ZONE].chain, first)

    async def test_killed(self) -> None:
        """The process is killed before each step once, and the certificate comes all the same."""
        left = list(STEPS)
        self.door.is_hasty = True

        def kill(what: str) -> None:
            if left and what == left[0]:
                left.pop(0)
                pid = self.process.pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
                raise ConnectionAbortedError  # nobody waits for the answer

        self.door.happened = kill
        self.process.start()
        await self.door.issued.addTimeout(2 * PATIENCE_SECONDS, reactor)
        self.assertEqual(left, [])
        self.assert_issued()
        await self.assert_withdrawn()

    def assert_issued(self) -> None:
        """Assert that a certificate for the zone and its wildcard came, with its key."""
        certificate = self.door.certificates[ZONE]
        leaf = x509.load_pem_x509_certificates(certificate.chain.encode())[0]
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(set(names.get_values_for_type(x509.DNSName)), {ZONE, f"*.{ZONE}"})
        self.assertIn("BEGIN PRIVATE KEY", certificate.key)
        self.assertEqual((self.door.orders[ZONE].step, self.door.orders[ZONE].error), ("issued", ""))

    async def _is_served(self) -> bool:
        try:
            query = dns.message.make_query(ZONE, "SOA")
            reply = await deferToThread(dns.query.udp, query, "127.0.0.1", timeout=1, port=self.peer.port)
        except (dns.exception.DNSException, OSError):
            return False
        return bool(reply.answer)

    async def assert_withdrawn(self) -> None:
        """Assert that the secondary has no challenge any more, as soon as it has heard of it."""

        async def is_gone() -> bool:
            query = dns.message.make_query(OWNER, "TXT")
            reply = await deferToThread(dns.query.udp, query, "127.0.0.1", timeout=1, port=self.peer.port)
            return not reply.answer

        await until_said(is_gone)

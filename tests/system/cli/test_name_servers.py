"""Asking real name servers for a name, over real sockets, as `warp up` does."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from twisted.internet.defer import Deferred

from tests.case import AsyncTestCase, reactor
from tests.system.dns.peers import KEY_NAME, SECRET_TEXT, Peer
from tests.system.ports import free_port
from warp_base.reactor import as_reactor
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
from warp_twisted.agent.events import NameUnanswered
from warp_twisted.cli.expose.name_servers import ask_server, unanswered

ZONE = "warp.example"
NAME = f"app.{ZONE}"


class AskingTests(AsyncTestCase):
    """A server of ours, and Knot as its secondary."""

    timeout = 60

    async def prepare(self) -> None:
        """Serve a zone without the name."""
        self.peer = Peer("knot")
        self.source = FixedSource()
        secret = Path(self.mktemp())
        secret.write_text(SECRET_TEXT)
        zone = ZoneSettings(
            name=ZONE,
            nameservers={f"ns1.{ZONE}": ["127.0.0.1"], f"ns2.{ZONE}": ["127.0.0.1"]},
            transfer=TransferSettings(keys=[KEY_NAME]),
            notify=[NotifySettings(address=f"127.0.0.1:{self.peer.port}", key=KEY_NAME)],
        )
        settings = ServerSettings(keys=[KeySettings(name=KEY_NAME, secret_file=str(secret))])
        self.server = DnsServer(reactor, [ServedZone(zone, self.source)], settings)
        self.addCleanup(self.server.stop)
        ((_, self.port), *_) = self.server.start(["127.0.0.1:0", "[::1]:0"])

    def publish(self, *records: tuple[str, str]) -> None:
        """Let the name have records."""
        self.source.change({NAME: [Record(NAME, kind, 5, data) for kind, data in records]})

    async def ask(self, port: int, name: str = NAME, host: str = "127.0.0.1") -> str:
        """Ask one server."""
        return await ask_server(as_reactor(reactor), f"{host}:{port}", name)

    async def test_what_a_server_says(self) -> None:
        """An address is the answer that counts, of whichever kind; else it is said what the server says instead."""
        self.assertEqual(await self.ask(self.port), "NXDOMAIN")
        self.assertEqual(await self.ask(self.port, "app.other.example"), "REFUSED")
        self.publish(("TXT", '"x"'))
        self.assertEqual(await self.ask(self.port), "no address")
        self.publish(("AAAA", "2001:db8::1"))
        self.assertEqual(await self.ask(self.port), "")
        self.publish(("A", "192.0.2.1"))
        self.assertEqual(await self.ask(self.port), "")
        self.server.suspend(ZONE)
        self.publish()
        self.assertEqual(await self.ask(self.port, f"other.{ZONE}"), "SERVFAIL")

    async def test_large_answers_and_nobody(self) -> None:
        """A truncated answer is asked for over TCP; where nobody listens, or an address is none, that is said."""
        self.publish(*(("A", f"192.0.2.{number}") for number in range(100)))
        self.assertEqual(await self.ask(self.port), "")
        self.assertIn("no answer over UDP, nor over TCP: Connection was refused", await self.ask(free_port()))
        self.assertIn("does not appear to be an IPv4 or IPv6 address", await self.ask(53, host="ns1.warp.example"))

    async def test_a_secondary(self) -> None:
        """The wait ends when the secondary has the name as well, and says who has not, after its time."""
        servers = {f"ns1.{ZONE}": [f"127.0.0.1:{self.port}"], f"ns2.{ZONE}": [f"127.0.0.1:{self.peer.port}"]}
        self.publish(("A", "192.0.2.1"))
        (missing,) = await self.wait(servers, 0.1)
        self.assertEqual((missing.server, missing.hostname), (f"ns2.{ZONE}", NAME))
        self.addCleanup(self.peer.stop)
        self.peer.follow(reactor, ZONE, self.port)
        self.assertEqual(await self.wait(servers, 30), [])

    def wait(self, servers: Mapping[str, Sequence[str]], seconds: float) -> "Deferred[list[NameUnanswered]]":
        """Wait for all servers."""
        ask = partial(ask_server, as_reactor(reactor))
        return Deferred.fromCoroutine(unanswered(as_reactor(reactor), ask, [NAME], servers, seconds))

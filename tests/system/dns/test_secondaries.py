"""Knot, NSD and BIND serve our zone beside us: TSIG, AXFR, then NOTIFY and IXFR through a hundred changes."""

from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import dns.tsig
import dns.xfr
import dns.zone
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from tests.case import AsyncTestCase, reactor, until_said
from tests.dns.helpers import Events
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
from warp_dns.serve.tcp import TcpConnection

ZONE = "warp.example"
CHANGES = 100
PAUSE_SECONDS = 0.02  # fifty changes a second
PATIENCE_SECONDS = 30.0


def records_of(number: int) -> dict[str, list[Record]]:
    """Return what the n-th application publishes: two addresses, a label set, a service."""
    name = f"app{number}.{ZONE}"
    return {
        name: [
            Record(name, "A", 5, f"192.0.2.{number % 250}", "edge1"),
            Record(name, "A", 5, "198.51.100.1", "edge2"),
            Record(name, "HTTPS", 5, '1 . alpn="http/1.1"'),
            Record(name, "TXT", 5, '"release=stable"'),
        ],
        f"_http._tcp.{name}": [Record(f"_http._tcp.{name}", "SRV", 5, f"0 10 443 edge1.{ZONE}")],
    }


class SecondaryCase(AsyncTestCase):
    """A server of ours and one of another make."""

    kind: str
    most_axfr = 0  # after the first one
    timeout = 90

    async def prepare(self) -> None:
        """Serve forty applications to a secondary that has the key."""
        self.peer = Peer(self.kind)
        directory = Path(self.mktemp())
        directory.mkdir()
        secret = directory / "secret"
        secret.write_text(SECRET_TEXT)
        self.applications = set(range(40))
        self.source = FixedSource({name: r for n in self.applications for name, r in records_of(n).items()})
        self.browse()
        zone = ZoneSettings(
            name=ZONE,
            nameservers={f"ns1.{ZONE}": ["127.0.0.1"], f"ns2.{ZONE}": ["127.0.0.1"]},
            transfer=TransferSettings(keys=[KEY_NAME]),
            notify=[NotifySettings(address=f"127.0.0.1:{self.peer.port}", key=KEY_NAME)],
        )
        settings = ServerSettings(keys=[KeySettings(name=KEY_NAME, secret_file=str(secret))])
        self.logged = Events()
        self.patch(TcpConnection, "_log", Logger(observer=self.logged))
        self.server = DnsServer(reactor, [ServedZone(zone, self.source)], settings)
        self.addCleanup(self.server.stop)
        [(_, self.port)] = self.server.start(["127.0.0.1:0"])
        self.addCleanup(self.peer.stop)
        self.peer.follow(reactor, ZONE, self.port)

    def transfers(self) -> list[str]:
        """Return the kind of each transfer that was begun."""
        return [event.get("kind", "") for event in self.logged]

    def browse(self) -> None:
        """Publish the list of applications, as the registry does."""
        owner = f"_http._tcp.{ZONE}"
        pointers = [Record(owner, "PTR", 5, f"_http._tcp.app{n}.{ZONE}") for n in sorted(self.applications)]
        self.source.change({owner: pointers})

    async def peer_serial(self) -> int | None:
        """Ask the secondary for its serial."""
        query = dns.message.make_query(ZONE, "SOA")
        try:
            reply = await deferToThread(dns.query.udp, query, "127.0.0.1", timeout=1, port=self.peer.port)
        except (dns.exception.DNSException, OSError):
            return None
        return reply.answer[0][0].serial if reply.answer else None

    async def caught_up(self) -> None:
        """Wait until the secondary is at our serial."""

        async def is_at_it() -> bool:
            return await self.peer_serial() == self.server.serial(ZONE)

        try:
            await until_said(is_at_it, PATIENCE_SECONDS)
        except AssertionError:
            self.fail(f"{self.kind} did not catch up: {self.peer.output.decode(errors='replace')}")

    async def contents(self, port: int, *, signed: bool) -> set[str]:
        """Transfer the zone from a server, and return every record as a line."""

        def transfer() -> set[str]:
            zone = dns.zone.Zone(ZONE, relativize=False)
            query = dns.message.make_query(ZONE, "AXFR")
            if signed:
                query.use_tsig(dns.tsig.Key(KEY_NAME, SECRET_TEXT, "hmac-sha256."))
            dns.query.inbound_xfr("127.0.0.1", zone, query, port=port, timeout=5, lifetime=10)
            return {f"{name} {ttl} {rdata}" for name, ttl, rdata in zone.iterate_rdatas()}

        return await deferToThread(transfer)

    async def follow(self) -> None:
        """Change the zone a hundred times; the secondary must follow by differences, and hold the same at the end."""
        await self.caught_up()
        transfers = self.transfers()
        self.assertEqual(transfers, ["AXFR"] if transfers[0] == "AXFR" else ["IXFR as AXFR"])
        for number in range(CHANGES):
            if number % 3 == 2:
                gone = min(self.applications)
                self.applications.discard(gone)
                self.source.change({name: [] for name in records_of(gone)})
            else:
                self.applications.add(1000 + number)
                self.source.change(records_of(1000 + number))
            self.browse()
            await deferLater(reactor, PAUSE_SECONDS)
        await self.caught_up()
        followed = self.transfers()[1:]
        self.assertGreater(followed.count("IXFR"), 3, followed)
        self.assertLessEqual(followed.count("AXFR"), self.most_axfr, followed)
        self.assertLessEqual(set(followed), {"IXFR", "SOA", "AXFR"})
        ours = await self.contents(self.port, signed=True)
        self.assertEqual(await self.contents(self.peer.port, signed=False), ours)
        self.assertGreater(len(ours), 5 * len(self.applications))

    async def refuse_others(self) -> None:
        """Without the key there is no transfer."""
        with self.assertRaises(dns.xfr.TransferError):
            await self.contents(self.port, signed=False)


class KnotTests(SecondaryCase):
    """Knot DNS."""

    kind = "knot"

    async def test_it_follows(self) -> None:
        """It transfers with TSIG, follows 100 changes by NOTIFY and IXFR, and holds the same records."""
        await self.follow()

    async def test_a_stranger_may_not_transfer(self) -> None:
        """A client without the key is refused."""
        await self.refuse_others()


class NsdTests(SecondaryCase):
    """NSD; 4.6 starts some transfers over, by AXFR, when several differences wait for one reload of its own."""

    kind = "nsd"
    most_axfr = 4

    async def test_it_follows(self) -> None:
        """It transfers with TSIG, follows 100 changes by NOTIFY and IXFR, and holds the same records."""
        await self.follow()


class BindTests(SecondaryCase):
    """BIND."""

    kind = "bind"

    async def test_it_follows(self) -> None:
        """It transfers with TSIG, follows 100 changes by NOTIFY and IXFR, and holds the same records."""
        await self.follow()


del SecondaryCase

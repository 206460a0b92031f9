"""Tests for warp_twisted.acme.visible, with name servers of ours; `test_process` has a secondary of another make."""

import asyncio
from collections.abc import Sequence

from twisted.internet.threads import deferToThread

from tests.case import AsyncTestCase, reactor
from tests.system.ports import free_port
from warp_dns import DnsServer, FixedSource, Record, ServedZone, ZoneSettings
from warp_twisted.acme.door import DnsChallenge, NameServer
from warp_twisted.acme.errors import NotYet
from warp_twisted.acme.visible import await_visible, lacking

ZONE = "warp.example"
OWNER = f"_acme-challenge.{ZONE}"
WANTED = [DnsChallenge(name=OWNER, value="one"), DnsChallenge(name=OWNER, value="two")]


class VisibleTests(AsyncTestCase):
    """Whether all name servers answer."""

    timeout = 60

    async def prepare(self) -> None:
        """Serve the zone twice, with another source each."""
        self.sources = [FixedSource({}), FixedSource({})]
        self.ports = []
        for source in self.sources:
            zone = ZoneSettings(name=ZONE, nameservers={f"ns1.{ZONE}": ["127.0.0.1"]})
            server = DnsServer(reactor, [ServedZone(zone, source)])
            self.addCleanup(server.stop)
            [(_, port)] = server.start(["127.0.0.1:0"])
            self.ports.append(port)

    async def lacking(self, *ports: int, challenges: Sequence[DnsChallenge] = WANTED) -> list[str]:
        """Ask name servers on ports of 127.0.0.1."""
        servers = [NameServer(name=f"ns{port}", addresses=(f"127.0.0.1:{port}",)) for port in ports]
        return await deferToThread(self._ask, challenges, servers)

    def _ask(self, challenges: Sequence[DnsChallenge], servers: Sequence[NameServer]) -> list[str]:
        return asyncio.run(lacking(challenges, servers))

    def put(self, number: int, *values: str) -> None:
        """Publish values in one of the zones."""
        self.sources[number].change({OWNER: [Record(OWNER, "TXT", 1, f'"{value}"') for value in values]})

    async def test_every_server(self) -> None:
        """All values on all servers are needed; others beside them do no harm."""
        first, second = self.ports
        self.put(0, "one", "two", "of somebody else")
        self.put(1, "one")
        self.assertEqual(
            await self.lacking(first, second), [f"ns{second} (127.0.0.1:{second}) has not yet the value of {OWNER}"]
        )
        self.put(1, "one", "two")
        self.assertEqual(await self.lacking(first, second), [])

    async def test_long_answer(self) -> None:
        """Values that do not fit into a datagram are asked for again by TCP."""
        self.put(0, "one", "two", *(f"{number:043}" for number in range(60)))
        self.assertEqual(await self.lacking(self.ports[0]), [])

    async def test_no_answer(self) -> None:
        """A server that is not there, does not have the zone, or is none at all, is named with the reason."""
        self.put(0, "one", "two")
        port = free_port()
        [sentence] = await self.lacking(self.ports[0], port)
        self.assertTrue(sentence.startswith(f"ns{port} (127.0.0.1:{port}) does not answer: "), sentence)
        elsewhere = [DnsChallenge(name="_acme-challenge.elsewhere.example", value="one")]
        [sentence] = await self.lacking(self.ports[0], challenges=elsewhere)
        self.assertIn("answers REFUSED for _acme-challenge.elsewhere.example", sentence)
        self.assertEqual(await self.lacking(), ["the edge knows of no name server"])

    async def test_awaited(self) -> None:
        """The wait ends as soon as the last server has the last value."""
        servers = [NameServer(name="ns", addresses=tuple(f"127.0.0.1:{port}" for port in self.ports))]
        self.put(0, "one", "two")
        pauses: list[float] = []

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                reactor.callFromThread(self.put, 1, "one", "two")

        await deferToThread(await_visible, WANTED, servers, pause)
        self.assertEqual(pauses[:3], [0.1, 0.2, 0.5])

    async def test_too_long(self) -> None:
        """A wait that takes too long ends, and says who lacks what."""
        servers = [NameServer(name="ns", addresses=tuple(f"127.0.0.1:{port}" for port in self.ports))]
        self.put(1, "one", "two")
        with self.assertRaises(NotYet) as caught:
            await deferToThread(await_visible, WANTED, servers, lambda seconds: None, 0.0)
        error = caught.exception
        self.assertIn(f"ns (127.0.0.1:{self.ports[0]}) has not yet the value of {OWNER}", str(error))

"""The zone that the edges of a fleet transfer, when the process of one is killed, whether it numbered it or not."""

from dns.exception import DNSException
from twisted.internet.threads import deferToThread

from dns import query, zone
from tests.case import until_said
from tests.system.edge.fleet.processes import APP, STARTED_SECONDS, Edge, FleetCase
from tests.system.edge.live import HOST, ZONE

Content = frozenset[tuple[str, ...]]


class KilledTests(FleetCase):
    """Two edges as processes, an etcd, and transfers from both."""

    async def prepare(self) -> None:
        self.seen: dict[int, Content] = {}
        await super().prepare()

    async def transferred(self, edge: Edge) -> tuple[int, Content]:
        """Transfer the zone from an edge; what has a serial that was seen before must have that content."""

        def transfer() -> tuple[int, Content]:
            try:
                found = zone.from_xfr(
                    query.xfr(HOST, ZONE, port=edge.dns_port, timeout=5, relativize=False), relativize=False
                )
            except (DNSException, OSError):
                return 0, frozenset()
            records = {(str(name), str(ttl), rdata.to_text()) for name, ttl, rdata in found.iterate_rdatas()}
            return found.find_rdataset(f"{ZONE}.", "SOA")[0].serial, frozenset(records)

        serial, content = await deferToThread(transfer)
        self.assertEqual(self.seen.setdefault(serial, content), content)
        return serial, content

    async def transfers(self, edges: list[Edge], *addresses: str) -> int:
        """Wait until edges transfer the same, in which the application has just these addresses; return the serial."""
        serials: set[int] = set()

        async def is_so() -> bool:
            found = [await self.transferred(edge) for edge in edges]
            serials.clear()
            serials.update(serial for serial, _ in found)
            listed = [{each[2] for each in content if each[0] == f"{APP}."} for _, content in found]
            return len(serials) == 1 and all(names & {"127.0.0.1", "127.0.0.2"} == set(addresses) for names in listed)

        await until_said(is_so, STARTED_SECONDS)
        return serials.pop()

    async def test_killed(self) -> None:
        """Each edge is killed and comes back: what the other one transfers follows, under serials that only grow."""
        serial = await self.transfers([self.edge1, self.edge2], "127.0.0.1", "127.0.0.2")
        for killed, other in ((self.edge1, self.edge2), (self.edge2, self.edge1)):
            killed.program.signal("KILL")
            await killed.program.exited
            without = await self.transfers([other], other.address)
            self.assertGreater(without, serial)
            killed.start()
            await killed.serves()
            serial = await self.transfers([self.edge1, self.edge2], "127.0.0.1", "127.0.0.2")
            self.assertGreater(serial, without)

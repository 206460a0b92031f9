"""
The zone as two edges with one etcd transfer it: one serial means one content, whichever edge is asked, through changes
of the edge that numbers. Asked by dig, and followed by NSD with both edges as primaries.
"""

from collections.abc import Mapping
from pathlib import Path

from twisted.internet.utils import getProcessOutputAndValue

from tests.case import reactor, until, until_said
from tests.system.dns.peers import KEY_NAME, SECRET_TEXT, Peer
from tests.system.edge.live import ZONE
from tests.system.edge.relays.two_edges import HOSTNAME, TwoEdgesCase
from tests.system.registry.etcd_peer import EtcdPeer
from warp_twisted.edge.node import EdgeNode

SETTLED_SECONDS = 40.0  # four seconds, and what a busy machine needs
Content = frozenset[str]


class FleetZoneTests(TwoEdgesCase):
    """Two edges and an etcd."""

    timeout = 240

    async def prepare(self) -> None:
        """Start etcd, then the edges, and wait until one of them numbers."""
        self.etcd = EtcdPeer()
        self.clean_up_with(self.etcd.remove)
        await self.etcd.start()
        self.secondary = Peer("nsd")
        self.secret = Path(self.mktemp())
        self.secret.write_text(SECRET_TEXT)
        self.seen: dict[int, Content] = {}
        await super().prepare()
        await until(lambda: len(self.numbering()) == 1, timeout=SETTLED_SECONDS)

    def sections(self, name: str) -> Mapping[str, object]:
        """Return what all edges of the fleet have in common."""
        return {
            "registry": {"etcd": {"endpoints": [self.etcd.url]}},
            "dns": {
                "keys": [{"name": KEY_NAME, "secret_file": str(self.secret)}],
                "transfer": {"keys": [KEY_NAME]},
                "notify": [{"address": f"127.0.0.1:{self.secondary.port}", "key": KEY_NAME}],
            },
        }

    async def introduce(self) -> None:
        """Wait for their link: the registry that they share tells them of each other."""
        await until(lambda: all(node.parts.peers.links.names() for node in self.nodes), timeout=SETTLED_SECONDS)

    def numbering(self) -> list[EdgeNode]:
        """Return the edges that number the zone."""
        return [node for node in self.nodes if node.parts.numbering is not None and node.parts.numbering.is_own]

    async def dig(self, port: int, *options: str) -> str:
        """Ask a server of this machine."""
        key = [] if port == self.secondary.port else ["-y", f"hmac-sha256:{KEY_NAME}:{SECRET_TEXT}"]
        question = ["@127.0.0.1", "-p", str(port), "+norec", "+noall", "+answer", *key, ZONE, *options]
        output, _, _ = await getProcessOutputAndValue("/usr/bin/dig", question, reactor=reactor)
        return "\n".join(" ".join(line.split()) for line in output.decode().splitlines() if "TSIG" not in line)

    async def transferred(self, port: int) -> tuple[int, Content]:
        """Transfer the zone from a server, and hold its content against what others had under that serial."""
        lines = (await self.dig(port, "AXFR")).splitlines()
        if not lines or lines[0].split()[3:4] != ["SOA"]:  # it has no zone yet
            return 0, frozenset()
        serial, content = int(lines[0].split()[6]), frozenset(lines)
        self.assertEqual(self.seen.setdefault(serial, content), content)
        return serial, content

    async def same_everywhere(self, *expected: str, after: int = 0) -> int:
        """Wait until both edges transfer a newer serial with these names; return it."""
        found: list[tuple[int, Content]] = []

        async def is_same() -> bool:
            found[:] = [await self.transferred(node.ports.dns[0][1]) for node in self.nodes]
            serials = {serial for serial, _ in found}
            text = "\n".join(found[0][1])
            return len(serials) == 1 and found[0][0] > after and all(name in text for name in expected)

        await until_said(is_same, SETTLED_SECONDS)
        for node in self.nodes:
            soa = (await self.dig(node.ports.dns[0][1], "SOA")).split()
            self.assertGreaterEqual(int(soa[6]), found[0][0])
        return found[0][0]

    async def test_one_content(self) -> None:
        """An agent at either edge is in what both transfer, under the same serial; nobody numbers beside the other."""
        first, second = self.nodes
        serial = await self.same_everywhere()
        await self.agent(second, "far", f"far.{ZONE}")
        serial = await self.same_everywhere(f"far.{ZONE}", after=serial)
        await self.agent(first, "near")
        await self.same_everywhere(f"far.{ZONE}", HOSTNAME, after=serial)
        self.assertEqual(len(self.numbering()), 1)
        shown = [numbering.collect() for node in self.nodes if (numbering := node.parts.fleet_numbering) is not None]
        samples = {sample.name: sample.value for families in shown for family in families for sample in family.samples}
        self.assertEqual((len(shown), samples["warp_edge_zone_serials_used_up"]), (2, 0.0))

    async def test_the_edge_that_numbers_goes(self) -> None:
        """
        Its place is taken within seconds when it says nothing more, and at once when it stops; a secondary with both as
        primaries follows through all of it.
        """
        await self.agent(self.nodes[0], "one")
        serial = await self.same_everywhere(HOSTNAME)
        self.addCleanup(self.secondary.stop)
        self.secondary.follow(reactor, ZONE, *(node.ports.dns[0][1] for node in self.nodes))
        await self.secondary_has(HOSTNAME, serial)
        (holder,) = self.numbering()
        (other,) = (node for node in self.nodes if node is not holder)
        assert holder.parts.fleet_numbering is not None
        holder.parts.fleet_numbering.stop()  # as if it were killed: nothing is written
        await until(lambda: other in self.numbering(), timeout=SETTLED_SECONDS)
        self.assertEqual(self.numbering(), [other])
        holder.parts.fleet_numbering.start()
        await self.agent(holder, "two", f"two.{ZONE}")
        serial = await self.same_everywhere(HOSTNAME, f"two.{ZONE}", after=serial)
        await self.secondary_has(f"two.{ZONE}", serial)
        self.nodes.remove(other)
        await other.stopService()
        await until(lambda: holder in self.numbering(), timeout=SETTLED_SECONDS)
        await self.agent(holder, "three", f"three.{ZONE}")
        serial = await self.same_everywhere(f"three.{ZONE}", after=serial)
        await self.secondary_has(f"three.{ZONE}", serial)

    async def test_etcd_away(self) -> None:
        """While etcd is away, the edge that numbers goes on, and the other one follows."""
        serial = await self.same_everywhere()
        self.etcd.pause()
        try:
            for node in self.nodes:
                await until(lambda node=node: bool(node.parts.store.problem), timeout=SETTLED_SECONDS)  # type: ignore
            numbering = self.numbering()
            self.assertEqual(len(numbering), 1)
            for node in self.nodes:
                node.parts.grace.begin("nobody", [f"kept-{node.settings.edge.name}.{ZONE}"])
            (name,) = (node.settings.edge.name for node in numbering)
            await self.same_everywhere(f"kept-{name}.{ZONE}", after=serial)
        finally:
            self.etcd.go_on()
        for node in self.nodes:
            await until(lambda node=node: not node.parts.store.problem, timeout=SETTLED_SECONDS)  # type: ignore
        self.assertEqual(self.numbering(), numbering)

    async def secondary_has(self, name: str, serial: int) -> None:
        """Wait until the secondary has a name, at a serial or a newer one."""

        async def has_it() -> bool:
            found, content = await self.transferred(self.secondary.port)
            return found >= serial and name in "\n".join(content)

        await until_said(has_it, SETTLED_SECONDS)

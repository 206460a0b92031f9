"""Tests of `warp_twisted.edge.assembly`."""

from pathlib import Path
from typing import Any

from tests.case import AsyncTestCase, reactor
from tests.system.edge.live import edge_files
from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_twisted.configuration import convert
from warp_twisted.edge.assembly import EdgeParts, assemble
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.errors import InvalidSettings


class _Lifecycle:
    """What operators may do to the edge, which these tests do not."""

    def drain(self) -> Any:
        """Not asked for."""
        raise NotImplementedError

    async def reload(self) -> object:
        """Not asked for."""
        raise NotImplementedError


class AssembleTests(AsyncTestCase):
    """The parts of an edge, none of which is started."""

    async def prepare(self) -> None:
        self.directory = Path(self.mktemp()).absolute()

    def make(self, **sections: Any) -> EdgeParts:
        """Make an edge's parts."""
        settings = convert(edge_files(self.directory, **sections), EdgeSettings, "edge.yaml")
        parts = assemble(reactor, MACHINE_WALL_CLOCK, settings, _Lifecycle(), {})
        self.addCleanup(parts.store.close)
        return parts

    async def test_they_are_joined(self) -> None:
        """Parts that must share something share it, and nothing listens yet."""
        parts = self.make()
        self.assertEqual(parts.settings().zone, "warp.test")
        self.assertIsNotNone(parts.nameserver)
        self.assertEqual(parts.listeners.ports.http, ())
        self.assertTrue(parts.serving.routes.is_reserved("ns1.warp.test"))
        self.assertFalse(parts.serving.routes.is_reserved("app.warp.test"))
        self.assertEqual(parts.entry.tunnel_addresses(), [])

    async def test_metrics_of_every_part(self) -> None:
        """One scrape reads visitors, tunnels and DNS."""
        text = b"".join(self.make().metrics.pieces()).decode()
        for name in ("warp_edge_visitors", "warp_edge_tunnels", "warp_dns_zone_serial"):
            self.assertIn(f"# TYPE {name} ", text)

    async def test_without_dns(self) -> None:
        """An edge whose zone is served elsewhere has no name server."""
        self.assertIsNone(self.make(listen={"dns": []}).nameserver)

    async def test_a_directory_that_cannot_be_made(self) -> None:
        """What cannot be used is refused with its key, and no file stays locked."""
        self.directory.mkdir()
        (self.directory / "file").touch()
        with self.assertRaisesRegex(InvalidSettings, "^state: .*file/state"):
            self.make(state=str(self.directory / "file" / "state"))
        self.assertTrue(self.make().store)

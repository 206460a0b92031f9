"""What several edges of one registry have of ACME, in memory."""

from pathlib import Path

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock

from tests.clocks import SettableWallClock
from warp_twisted.acme.door import Settings
from warp_twisted.edge.acme.copies import SealedCopies
from warp_twisted.edge.acme.kept import KeptAcme
from warp_twisted.edge.acme.sealing_key import SealingKey
from warp_twisted.registry.edge_records import EdgeRecord
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import encode

ZONE = "warp.example"
NOW = 1_800_000_000.0


class AcmeEdge:
    """
    One edge.

    :ivar wanted: which certificates it wants.
    """

    def __init__(self, name: str, store: MemoryStore, clock: Clock, state: Path) -> None:
        state.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.store = store
        self.wall = SettableWallClock(NOW)
        self.key = SealingKey(state)
        self.mirror = Mirror(store, clock)
        self.copies = SealedCopies(name, self.key, store, self.mirror, clock)
        self.wanted: tuple[tuple[str, ...], ...] = ((ZONE, f"*.{ZONE}"),)
        self.kept = KeptAcme(
            name,
            ZONE,
            store,
            self.mirror,
            self.copies,
            self.wall,
            execute,
            wanted=lambda: self.wanted,
            nameservers=lambda: {f"ns1.{ZONE}": ["192.0.2.1:53"]},
            settings=lambda: Settings(directory="letsencrypt"),
            caa=lambda: True,
        )

    def start(self) -> None:
        """Follow the registry."""
        started = Deferred.fromCoroutine(self.mirror.start())
        assert started.called

    def join(self) -> None:
        """Write the edge's record."""
        record = EdgeRecord(name=self.name, addresses=(), authority_key="", sealing_key=self.key.public)
        self.store.put(record.key, encode(record))

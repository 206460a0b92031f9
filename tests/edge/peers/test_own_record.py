"""`edge.peers.own_record`: the record is written when it is not there, and again when the registry is back."""

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from tests.registry.fakes import FlakyStore
from warp_twisted.edge.peers.own_record import LOOK_SECONDS, OwnRecord
from warp_twisted.registry.edge_records import EdgeRecord
from warp_twisted.registry.mirror import Mirror

RECORD = EdgeRecord(name="edge1", addresses=("192.0.2.1:7844",), authority_key="k")


class OwnRecordTests(TestCase):
    """The record of one edge."""

    async def test_it_is_kept_true(self) -> None:
        """It is written at the start and when it changes, waits for the registry, and stays at the end."""
        clock = Clock()
        store = FlakyStore(clock)
        mirror = Mirror(store, clock)
        await mirror.start()
        wanted = [RECORD]
        own = OwnRecord(store, mirror, clock, lambda: wanted[0])
        store.is_away = True
        own.start()
        clock.advance(LOOK_SECONDS)
        self.assertEqual(mirror.edge_records, {})
        store.is_away = False
        clock.advance(LOOK_SECONDS)
        self.assertEqual(mirror.edge_records, {"edge1": RECORD})
        revision = store.revision
        clock.advance(LOOK_SECONDS)
        self.assertEqual(store.revision, revision)
        wanted[0] = EdgeRecord(name="edge1", addresses=("192.0.2.5:7844",), authority_key="k")
        clock.advance(LOOK_SECONDS)
        self.assertEqual(mirror.edge_records, {"edge1": wanted[0]})
        own.stop()
        self.assertEqual((mirror.edge_records, clock.getDelayedCalls()), ({"edge1": wanted[0]}, []))

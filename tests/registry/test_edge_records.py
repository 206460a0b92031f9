"""`registry.edge_records`: each value has its place."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.registry.edge_records import EdgePolicy, EdgeRecord
from warp_twisted.registry.model import is_live


class PlaceTests(SynchronousTestCase):
    """Where values are stored."""

    def test_keys(self) -> None:
        """A record lasts; which policy an edge has in force is said as long as it runs."""
        record = EdgeRecord(name="edge1", addresses=(), authority_key="k")
        policy = EdgePolicy(edge="edge1")
        self.assertEqual((record.key, policy.key), ("warp/edge-records/edge1", "warp/edge-policies/edge1"))
        self.assertEqual((is_live(record.key), is_live(policy.key)), (False, True))

"""Tests of what is counted of relayed streams."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.relays.rig import Rig, Visitor
from warp_twisted.edge.relays.counters import RelayCounters


class RelayCountersTests(SynchronousTestCase):
    """The collector."""

    def values(self, counters: RelayCounters) -> dict[str, float]:
        """Return samples by name and labels."""
        return {
            " ".join([sample.name, *sample.labels.values()]): sample.value
            for metric in counters.collect()
            for sample in metric.samples
        }

    def test_alone(self) -> None:
        """An edge without others has no such metrics."""
        self.assertEqual(self.values(RelayCounters()), {})

    def test_relayed(self) -> None:
        """Streams and bytes are counted by the edge at the other end."""
        rig = Rig()
        rig.ask(Visitor(), b"request")
        rig.origin.stream.write(b"the answer")
        rig.pump()
        values = self.values(rig.counters)
        wanted = {
            "warp_edge_relayed_streams_now edge-1": 1, "warp_edge_relayed_streams_total edge-1 joined": 1,
            "warp_edge_relayed_streams_total edge-1 refused": 0, "warp_edge_relayed_bytes_total edge-1 to_origins": 7,
            "warp_edge_relayed_bytes_total edge-1 from_origins": 10, "warp_edge_relays_total edge-2": 1,
        }  # fmt: skip
        self.assertEqual({name: values[name] for name in wanted}, wanted)

"""Tests of `warp_dns.zone.source`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_dns.zone.source import FixedSource, Record, Records


class FixedSourceTests(SynchronousTestCase):
    """Records that a program changes by hand."""

    def test_changes_are_told_and_kept(self) -> None:
        """Subscribers hear each change, the snapshot has it, and an empty sequence takes a name away."""
        record = Record("a.example.org", "A", 5, "192.0.2.1")
        source = FixedSource({"a.example.org": [record]})
        heard: list[Records] = []
        stop = source.subscribe(heard.append)
        source.change({"b.example.org": [record], "a.example.org": []})
        self.assertEqual(heard, [{"b.example.org": [record], "a.example.org": []}])
        self.assertEqual(source.snapshot(), {"b.example.org": [record]})
        stop()
        source.change({"c.example.org": [record]})
        self.assertEqual(len(heard), 1)

    def test_a_snapshot_is_a_copy(self) -> None:
        """What is changed later does not change a snapshot that was taken."""
        source = FixedSource()
        before = source.snapshot()
        source.change({"a.example.org": [Record("a.example.org", "A", 5, "192.0.2.1")]})
        self.assertEqual(before, {})

"""`benchmarks.dns.__main__`: what is promised of DNS, and whether it is met."""

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.dns.__main__ import HONEST, Extras, judge, report
from benchmarks.dns.large import LargeZone
from benchmarks.dns.servers import KNOT, NSD, WARP


def _zone(cpu: float, longest: float, lost: int = 0) -> LargeZone:
    return LargeZone(
        cpu_seconds=cpu, extra_bytes=0, reload_seconds=1, longest_seconds=longest, p99_seconds=0, lost=lost
    )


class JudgeTests(SynchronousTestCase):
    """Promises beside figures."""

    def _verdicts(self, extras: Extras) -> list[tuple[str, bool]]:
        return [(measured, is_enough) for _, measured, is_enough in judge({}, extras)]

    def test_nothing_measured(self) -> None:
        """What was not measured is not judged."""
        self.assertEqual(judge({}, Extras()), [])

    def test_large_zone(self) -> None:
        """Reading is judged beside Knot, and reading again by the latest answer."""
        met = Extras(large={KNOT: _zone(0.1, 1), WARP: _zone(0.8, 0.02)})
        self.assertEqual(self._verdicts(met), [("8.0 x Knot", True), ("20.0 ms", True)])
        missed = Extras(large={KNOT: _zone(0.1, 0), WARP: _zone(0.9, 0.021)})
        self.assertEqual(self._verdicts(missed), [("9.0 x Knot", False), ("21.0 ms", False)])

    def test_lost_answers(self) -> None:
        """An answer that never came is later than any."""
        self.assertEqual(self._verdicts(Extras(large={WARP: _zone(1, 0.001, lost=1)})), [("1.0 ms", False)])

    def test_honest_questions(self) -> None:
        """All of them have to be answered; what another server answers is told only."""
        extras = Extras(honest={NSD: 10, WARP: HONEST - 1})
        self.assertEqual(self._verdicts(extras), [("11,999", False)])
        self.assertIn("NSD 10, Warp 11,999.", report({}, extras, "2026-11-29"))

"""Tests of `warp_twisted.durations`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.durations import parse_duration


class DurationTests(SynchronousTestCase):
    """Lengths of time."""

    def test_units(self) -> None:
        """Days to milliseconds, alone or joined, also in parts."""
        for text, seconds in {
            "30s": 30,
            "1m30s": 90,
            "1h30m": 5400,
            "1.5h": 5400,
            "2m": 120,
            "7d": 604800,
            "1d1s": 86401,
            "500ms": 0.5,
            " 1s500ms ": 1.5,
            "0s": 0,
        }.items():
            self.assertAlmostEqual(parse_duration(text), seconds, msg=text)

    def test_refused(self) -> None:
        """Bare numbers, other units, signs, wrong order and nothing at all are refused, with what was expected."""
        for text in ("", "10", "s", "-1s", "1 s", "1w", "30s1m", "1s1s", "³s", "1e3s", ".5s"):
            with self.assertRaises(ValueError, msg=text) as caught:
                parse_duration(text)
            self.assertEqual(str(caught.exception), f"expected a length of time such as 30s, 1h30m or 7d, got {text!r}")

"""Tests of `policy.document.values`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.document.values import check_each, listed, parse_rate, parse_size, positive_duration


class ValuesTests(SynchronousTestCase):
    """Rates, sizes, lengths of time, lists."""

    def test_rates(self) -> None:
        """A rate is a number by a unit of time, of bytes with a unit."""
        self.assertEqual(
            [parse_rate(text) for text in ("50/s", "60/m", "1.5 / s", "3600/h", "86400/d")], [50, 1, 1.5, 1, 1]
        )
        self.assertEqual(parse_rate("2MiB/s", of_bytes=True), 2 << 20)
        self.assertEqual(parse_rate("60kB/m", of_bytes=True), 1_000)
        for text in ("", "50", "0/s", "-1/s", "1/week", "10MiB/s", "1e3/s", "٣/s"):
            self.assertRaisesRegex(ValueError, "expected a rate such as 50/s", parse_rate, text)
        self.assertRaisesRegex(ValueError, "10MiB/s, got '5/s'", parse_rate, "5/s", of_bytes=True)

    def test_sizes(self) -> None:
        """A size is a number of bytes, with a unit or without."""
        self.assertEqual([parse_size(text) for text in ("1", "512KiB", "10 MB")], [1, 512 << 10, 10**7])
        for text in ("", "0", "KiB", "1TB"):
            self.assertRaisesRegex(ValueError, "expected a size", parse_size, text)

    def test_lengths_of_time(self) -> None:
        """No time at all is refused."""
        self.assertEqual(positive_duration("10m"), 600)
        self.assertRaisesRegex(ValueError, "more than no time", positive_duration, "0s")

    def test_lists(self) -> None:
        """One value is a list of one; an error names the index only where there are several."""
        values: list[str] = listed("a")
        self.assertEqual(values, ["a"])
        self.assertEqual(listed(values), ["a"])
        self.assertRaisesRegex(ValueError, r"^size: expected", check_each, "size", ["x"], parse_size)
        self.assertRaisesRegex(ValueError, r"^size\[1\]: expected", check_each, "size", ["1", "x"], parse_size)

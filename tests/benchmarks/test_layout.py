"""`benchmarks.layout`: values and tables as text."""

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.layout import format_value, table


class FormatTests(SynchronousTestCase):
    """Values and tables as text."""

    def test_values(self) -> None:
        """Three digits tell enough; large numbers are grouped."""
        for value, text in ((97123.4, "97,123"), (0.0554, "0.055"), (42.91, "42.9"), (1.207, "1.21"), (0, "0")):
            self.assertEqual(format_value(value), text)

    def test_table(self) -> None:
        """Words are set to the left, numbers to the right, and the rule says so."""
        self.assertEqual(
            table([["peer", "MB/s"], ["HAProxy", "5"]]),
            "| peer    | MB/s |\n| ------- | ---: |\n| HAProxy |    5 |",
        )

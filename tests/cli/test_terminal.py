"""Tests of `warp_twisted.cli.terminal`."""

import io

from rich.console import Console
from rich.text import Text
from twisted.trial.unittest import SynchronousTestCase

from tests.base.test_escaping import HOSTILE
from warp_base.escaping import printable
from warp_twisted.cli.terminal import LivePicture, add_numbers, cell, plain_table


class LivePictureTests(SynchronousTestCase):
    """The picture on a terminal."""

    def test_pictures_and_lines(self) -> None:
        """Each picture is drawn over the last, a line stays above as it is, and the last picture is left."""
        written = io.StringIO()
        picture = LivePicture(Console(file=written, force_terminal=True, width=60), Text("first"))
        picture.redraw(Text("second"))
        picture.say("a [bold]line[/nope]")
        picture.close()
        shown = written.getvalue()
        self.assertLess(shown.index("first"), shown.index("second"))
        self.assertIn("a [bold]line[/nope]\n", shown)
        self.assertLess(shown.index("line[/nope]"), shown.rindex("second"))
        self.assertIn("\x1b[2K", shown, "the line of the picture is erased before it is drawn again")


class CellTests(SynchronousTestCase):
    """What others say in a picture."""

    def test_hostile(self) -> None:
        """Neither rich's markup nor the terminal's own sequences have an effect."""
        written = io.StringIO()
        Console(file=written, force_terminal=True, width=200).print(cell(f"[red]a[/nope]{HOSTILE}"))
        self.assertEqual(written.getvalue(), f"[red]a[/nope]{printable(HOSTILE)}\n")


class TableTests(SynchronousTestCase):
    """Tables without lines."""

    def test_numbers_are_aligned_to_the_right(self) -> None:
        """Text is on the left, numbers on the right of their columns, below their heads."""
        table = plain_table()
        table.add_column("URL")
        add_numbers(table, "REQUESTS", "ERRORS")
        table.add_row("http://a", "12", "0")
        written = io.StringIO()
        Console(file=written, width=60).print(table)
        lines = [line.rstrip() for line in written.getvalue().splitlines()]
        self.assertEqual(lines, ["URL       REQUESTS  ERRORS", "http://a        12       0"])

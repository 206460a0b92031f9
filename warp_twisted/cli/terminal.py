"""
What commands that keep running draw with: a picture that is redrawn in place, and tables without lines.

What the picture shows is decided by the command's own view.
"""

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from warp_base.escaping import printable, printable_lines


class LivePicture:
    """
    A picture at the bottom of a terminal, with room above it for lines that stay.

    :param first: what is shown until there is something to see.
    """

    def __init__(self, console: Console, first: RenderableType) -> None:
        self._live = Live(first, console=console, auto_refresh=False, redirect_stdout=False)
        self._live.start(refresh=True)

    def redraw(self, picture: RenderableType) -> None:
        """Show another picture in place of the last."""
        self._live.update(picture, refresh=True)

    def say(self, line: str) -> None:
        """Print a line above the picture, or several: those of a traceback."""
        self._live.console.print(printable_lines(line), markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the last picture where it is."""
        self._live.stop()


def cell(text: str, style: str = "") -> Text:
    """Return what somebody else says, as it is: rich finds no markup in it, and the terminal nothing to obey."""
    return Text(printable(text), style)


def plain_table(*, show_header: bool = True) -> Table:
    """Return a table without lines."""
    return Table(box=None, padding=(0, 2, 0, 0), header_style="bold", show_header=show_header)


def add_numbers(table: Table, *heads: str) -> None:
    """Add columns that are aligned to the right and never wrapped."""
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)

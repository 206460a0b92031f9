"""
How `warp demo --canary` shows its samples: a bar of what was asked for above one of what was sent, and the visitors.

On a terminal they are redrawn in place by rich; anywhere else a line every other second says the same; with `--json`
each sample and each line is an object in a line of its own.
"""

import json
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.text import Text

from warp_base.escaping import printable_json
from warp_twisted.cli.output import percent
from warp_twisted.cli.terminal import LivePicture, add_numbers, cell, plain_table
from warp_twisted.demo.canary.samples import Sample, ShareSample
from warp_twisted.names import shown_selector

WIDTH = 50  # cells of a bar
EACH = 4  # samples for one line where there is no terminal
LOOKS = (("blue", "█", "●"), ("yellow", "▒", "○"), ("magenta", "▓", "◆"), ("cyan", "░", "◇"))  # also without colours
_VERDICTS = {"better": "green", "undecided": "yellow", "worse": "red"}


class View(Protocol):
    """Shows samples one after the other."""

    def show(self, sample: Sample) -> None:
        """Show the newest."""

    def say(self, line: str) -> None:
        """Show a line that stays."""

    def close(self) -> None:
        """Show nothing more."""


def draw(sample: Sample) -> RenderableType:
    """Draw a sample for a terminal."""
    table = plain_table()
    table.add_column("SHARE", no_wrap=True)
    add_numbers(table, "ASKED", "SENT", "REQUESTS", "ERRORS")
    for share, (colour, fill, _) in zip(sample.shares, cycle(LOOKS)):
        errors = Text(str(share.recent_errors), "red" if share.recent_errors else "dim")
        name = cell(f"{fill} {shown_selector(share.selector)}", colour)
        table.add_row(name, percent(share.asked), _sent(share), str(share.recent_requests), errors)
    return Group(
        Text(),
        Text.assemble("asked     ", _bar([share.asked for share in sample.shares])),
        Text.assemble("sent      ", _bar([share.sent or 0.0 for share in sample.shares])),
        Text.assemble("visitors  ", _dots(sample)),
        Text(),
        Text(f"In the last {sample.seconds:.0f} s:", "dim"),
        table,
        Text(),
        _state(sample),
    )


def _bar(parts: Sequence[float]) -> Text:
    """Draw parts of 1 beside each other."""
    bar, begin, total = Text(), 0, 0.0
    for part, (colour, fill, _) in zip(parts, cycle(LOOKS)):
        total += part
        end = round(total * WIDTH)
        bar.append(fill * (end - begin), colour)
        begin = end
    bar.append("·" * (WIDTH - begin), "dim")
    return bar


def _dots(sample: Sample) -> Text:
    """Draw each visitor as the release that served it last, and as a cross if it got an error."""
    looks = {
        share.selector.removeprefix("release="): (dot, colour)
        for share, (colour, _, dot) in zip(sample.shares, cycle(LOOKS))
    }
    dots = Text()
    for seen in sample.visitors:
        dots.append(*(("✗", "red") if seen.has_failed else looks.get(seen.release, ("·", "dim"))))
    return dots


def _state(sample: Sample) -> Text:
    state = Text()
    if sample.target is not None and not sample.taken_back:
        state.append(f"shift     {shown_selector(sample.selector)} goes to {percent(sample.target)}\n")
    if sample.guard:
        state.append("guard     ")
        state.append_text(cell(sample.guard, _VERDICTS.get(sample.guard, "")))
        state.append_text(cell(f": {sample.reason}"))
    return state


def _sent(share: ShareSample) -> str:
    return "-" if share.sent is None else f"{share.sent:.1%}".replace("%", " %")


def line_of(sample: Sample) -> str:
    """Say in a line what a sample shows."""
    shares = ", ".join(
        f"{shown_selector(share.selector)} asked {percent(share.asked)} sent {_sent(share)}"
        + (f" ({share.recent_errors} errors)" if share.recent_errors else "")
        for share in sample.shares
    )
    return f"{shares}; guard: {sample.guard} ({sample.reason})" if sample.guard else shares


def object_of(sample: Sample) -> dict[str, object]:
    """Return a sample for machines."""
    return {
        "event": "sample",
        "hostname": sample.hostname,
        "seconds": round(sample.seconds, 3),
        "shares": [
            {
                "selector": share.selector,
                "asked": share.asked,
                "sent": share.sent,
                "recent_requests": share.recent_requests,
                "recent_errors": share.recent_errors,
                "requests": share.requests,
                "errors": share.errors,
            }
            for share in sample.shares
        ],
        "shift": None if sample.target is None else {"selector": sample.selector, "target": sample.target},
        "guard": {"verdict": sample.guard, "reason": sample.reason, "taken_back": sample.taken_back},
        "visitors": {
            release: sum(seen.release == release for seen in sample.visitors)
            for release in sorted({seen.release for seen in sample.visitors if seen.release})
        },
    }


class Screen(LivePicture):
    """Redraws the picture in place, below what was said."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, Text())

    def show(self, sample: Sample) -> None:
        """Draw."""
        self.redraw(draw(sample))


class Lines:
    """
    Prints a line for every few samples.

    :param write: prints a line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._count = 0

    def show(self, sample: Sample) -> None:
        """Print one of a few."""
        if self._count % EACH == 0:
            self._write(line_of(sample))
        self._count += 1

    def say(self, line: str) -> None:
        """Print a line."""
        self._write(line)

    def close(self) -> None:
        """There is nothing to put back."""


class Objects:
    """
    Prints objects for machines, one a line.

    :param write: prints a line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def show(self, sample: Sample) -> None:
        """Print a sample."""
        self._print(object_of(sample))

    def say(self, line: str) -> None:
        """Print what was said."""
        self._print({"event": "said", "text": line})

    def _print(self, value: dict[str, object]) -> None:
        self._write(printable_json(json.dumps(value, ensure_ascii=False)))

    def close(self) -> None:
        """There is nothing to put back."""

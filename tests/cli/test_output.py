"""Tests of `warp_twisted.cli.output`: what people read."""

import io
import json
import re
from contextlib import redirect_stdout
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import warp_twisted
from tests.base.test_escaping import HOSTILE, is_safe
from warp_base.escaping import printable, printable_lines
from warp_twisted.cli.output import (
    instant,
    labels_text,
    percent,
    print_document,
    print_json,
    print_table,
    say,
    say_lines,
    some,
    span,
)


class _Terminal(io.StringIO):
    """Says that somebody looks at it."""

    def isatty(self) -> bool:
        """Say so."""
        return True


class OutputTests(SynchronousTestCase):
    """Columns, times and labels."""

    def test_columns_are_aligned_and_whole(self) -> None:
        """Columns are as wide as their widest cell; no cell is cut, no line ends in spaces."""
        output = io.StringIO()
        with redirect_stdout(output):
            print_table(["name", "state"], [["a" * 100, "ready"], ["b", ""]])
        self.assertEqual(output.getvalue(), f"name{' ' * 96}  state\n{'a' * 100}  ready\nb\n")

    def test_control_characters(self) -> None:
        """What an agent says cannot move the cursor, colour the terminal or begin a row."""
        output = io.StringIO()
        with redirect_stdout(output):
            print_table(["name"], [["a\x1b[2J\nb\r\x9b1m"]])
        self.assertEqual(output.getvalue(), "name\na\\x1b[2J\\x0ab\\x0d\\x9b1m\n")

    def test_everything_else(self) -> None:
        """Lines and JSON are as safe; JSON says the same, and a traceback keeps its lines."""
        output = io.StringIO()
        with redirect_stdout(output):
            say(f"a\n{HOSTILE}")
            say_lines("b\n\tc\x1b")
            print_json({"name": HOSTILE})
        first, second, third, rest = output.getvalue().split("\n", 3)
        self.assertEqual((first, second, third), (f"a\\x0a{printable(HOSTILE)}", "b", "\tc\\x1b"))
        self.assertTrue(is_safe(rest, "\n"))
        self.assertEqual(json.loads(rest), {"name": HOSTILE})

    def test_a_document(self) -> None:
        """What is kept in a file is exact; a terminal obeys nothing of it."""
        text = f"a: {HOSTILE}\n"
        for output, expected in ((io.StringIO(), text), (_Terminal(), printable_lines(text))):
            with redirect_stdout(output):
                print_document(text)
            self.assertEqual(output.getvalue(), expected)

    def test_nothing_goes_past_it(self) -> None:
        """No command prints in another way, but for help and a script, which only we write."""
        ours = {"cli/output.py", "cli/completion.py", "cli/main.py"}
        root = Path(warp_twisted.__file__).parent
        found = {
            path.relative_to(root).as_posix()
            for room in ("cli", "demo")
            for path in (root / room).rglob("*.py")
            if re.search(r"click\.(echo|secho)\b|(?<![.\w])print\(", path.read_text())
        }
        self.assertEqual(found, ours)

    def test_span(self) -> None:
        """At most two units, the largest ones."""
        cases = {0: "0 s", 59.9: "59 s", 60: "1 min", 3661: "1 h 1 min", 90000: "1 d 1 h", 86400: "1 d", -5: "0 s"}
        self.assertEqual({seconds: span(seconds) for seconds in cases}, cases)

    def test_some(self) -> None:
        """Of many names a few are written, and how many more there are."""
        self.assertEqual(some([]), "")
        self.assertEqual((some(["a", "b", "c"]), some(["a", "b", "c", "d"])), ("a, b, c", "a, b, c and 1 more"))

    def test_percent(self) -> None:
        """Parts are written with two places at most, and none that says nothing."""
        found = [percent(part) for part in (0, 0.1, 0.125, 2 / 3, 1)]
        self.assertEqual(found, ["0 %", "10 %", "12.5 %", "66.67 %", "100 %"])

    def test_instant(self) -> None:
        """Instants are in UTC; none is a dash."""
        self.assertEqual(instant(0), "-")
        self.assertEqual(instant(1_767_225_600), "2026-01-01 00:00")

    def test_labels(self) -> None:
        """Labels are written as the selector that matches them."""
        self.assertEqual(labels_text({"tier": "web", "release": "canary"}), "release=canary,tier=web")
        self.assertEqual(labels_text({}), "-")

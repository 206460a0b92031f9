"""Tests of `warp_twisted.cli.policy.difference`."""

import random
import re
import time

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.cli.policy import difference as module
from warp_twisted.cli.policy.difference import difference

NAMES = ("version 1", "version 2")
LINES = st.lists(st.sampled_from(["a", "b", "c", "- d"]), max_size=12)


def applied(before: list[str], text: str) -> list[str]:
    """Return what a unified diff makes of some lines."""
    if not text:
        return before
    lines = text.splitlines()[2:]
    made: list[str] = []
    at = 0
    for line in lines:
        if match := re.fullmatch(r"@@ -(\d+)(?:,(\d+))? \+.* @@", line):
            start = int(match[1]) - (match[2] != "0")
            made += before[at:start]
            at = start
        elif line[0] in "- ":
            assert before[at] == line[1:]
            made += [line[1:]] if line[0] == " " else []
            at += 1
        else:
            made.append(line[1:])
    return made + before[at:]


class DifferenceTests(SynchronousTestCase):
    """`difference`."""

    def test_in_words(self) -> None:
        """It is a unified diff; equal texts have none."""
        self.assertEqual(
            difference("a\nb\n", "a\nc\n", NAMES), "--- version 1\n+++ version 2\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
        )
        self.assertEqual(difference("a\n", "a\n", NAMES), "")
        self.assertIn("ends of lines", difference("a\n", "a\r\n", NAMES))

    @settings(deadline=None)
    @given(LINES, LINES, st.booleans())
    def test_it_leads_from_one_to_the_other(self, before: list[str], after: list[str], is_long: bool) -> None:
        """What it says makes the second text of the first, however long they are."""
        most, module.MAX_COMPARED = module.MAX_COMPARED, 0 if is_long else module.MAX_COMPARED
        try:
            self.assertEqual(applied(before, difference("\n".join(before), "\n".join(after), NAMES)), after)
        finally:
            module.MAX_COMPARED = most

    def test_cost(self) -> None:
        """Two policies of the largest size that have nothing in common take no time that anybody notices."""
        chance = random.Random(7)
        before, after = ("".join(chance.choice("ab") + "\n" for _ in range(1 << 18)) for _ in range(2))
        began = time.process_time()
        self.assertIn("\n-", difference(before, after, NAMES))
        self.assertLess(time.process_time() - began, 5.0)

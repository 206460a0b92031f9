"""The table of the specification that says what came when, held against the previous release's own messages."""

import ast
import re
from typing import get_args

from twisted.trial.unittest import SynchronousTestCase

from tests.case import short_directory_of
from tests.system.releases.previous import ROOT, extract
from warp_twisted.wire.control import ControlMessage
from warp_twisted.wire.releases import PROTECTIONS, WORD_OF

SECTION = (ROOT / "warp_twisted/wire/spec.md").read_text().split("## 9. ")[1]


def fields_in(source: str) -> dict[str, set[str]]:
    """Return type → fields of each message that a release's `wire/control.py` defines."""
    found: dict[str, set[str]] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            tags = [
                word.value.value for word in node.keywords if word.arg == "tag" and isinstance(word.value, ast.Constant)
            ]
            for tag in tags:
                lines = [line for line in node.body if isinstance(line, ast.AnnAssign)]
                found[str(tag)] = {line.target.id for line in lines if isinstance(line.target, ast.Name)}
    return found


class WhatCameWhenTests(SynchronousTestCase):
    """What edge and agent say today, and what those of the previous release said."""

    def test_everything_new_is_in_the_table(self) -> None:
        """Each field and each kind that the previous release lacks has a row; none that it had is gone."""
        directory = short_directory_of(self)
        before = fields_in((extract(directory) / "warp_twisted/wire/control.py").read_text())
        now = fields_in((ROOT / "warp_twisted/wire/control.py").read_text())
        self.assertEqual(len(now), len(get_args(ControlMessage)))
        named = set(re.findall(r"`([a-z_.]+)`", SECTION))
        new = {kind for kind in now if kind not in before}
        new |= {f"{kind}.{field}" for kind in before for field in now[kind] - before[kind]}
        self.assertEqual(new - named, set())
        self.assertEqual({kind for kind in before if before[kind] - now.get(kind, set())}, set())

    def test_words(self) -> None:
        """Each word of the code is in the section, and each protection in its table."""
        for word in WORD_OF.values():
            self.assertIn(f"word `{word}`", SECTION)
        self.assertEqual(re.findall(r"^\| `([a-z-]+)` \|", SECTION, re.MULTILINE), list(PROTECTIONS))

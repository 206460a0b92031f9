"""Tests of `warp_twisted.edge.policy.delivery.parsing`: a process reads what `parse_policy` reads, and ends."""

import os
import sys
from pathlib import Path
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.policy.delivery import parsing
from warp_twisted.policy.document.policy import MAX_BYTES, parse_policy
from warp_twisted.policy.errors import InvalidPolicy, NewerPolicy

EXAMPLE = Path(__file__).parents[4] / "docs/examples/policy.yaml"
PADDING = "#" * parsing.SHORT_BYTES + "\n"


class ParseTests(SynchronousTestCase):
    """Long texts, which a process of its own reads."""

    def test_the_same_document(self) -> None:
        """What comes back is the document that is read here."""
        text = EXAMPLE.read_text()
        for each in (
            text,
            "rules: [{name: r, except: [/a, {header: {X-A: b}}], limits: [{name: l, rate: 1/s}]}]",
            "{}",
        ):
            self.assertEqual(parsing.parse((PADDING + each).encode(), "p"), parse_policy(each, "p"))

    def test_the_same_errors(self) -> None:
        """What is refused is refused with the same words, of the same kind."""
        for text, kind in (
            ("rules: [{name: r, paht: 1}]", InvalidPolicy),
            ("version: 9", NewerPolicy),
            ("rules: [", InvalidPolicy),
            ("a: \xff\ud800", InvalidPolicy),
        ):
            content = (PADDING + text).encode("utf-8", "surrogatepass")
            there, here = (self.assertRaises(kind, read, content, "p.yaml") for read in (parsing.parse, parse_policy))
            self.assertEqual((str(there), type(there)), (str(here), type(here)))
        for content in (b"[" * 100_000, b"#" * (MAX_BYTES + 1)):
            error = self.assertRaises(InvalidPolicy, parsing.parse, content, "p.yaml")
            self.assertRegex(str(error), r"^p\.yaml: (not YAML: maximum recursion|larger than 512 KiB)")

    def test_a_process_that_does_not_end_well(self) -> None:
        """One that is killed, says nothing, or cannot be started is told as what it is."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        for program in ("#!/bin/sh\nkill -9 $$\n", "#!/bin/sh\n:\n", "#!/bin/sh\nexec sleep 60\n", None):
            path = directory / "python"
            path.unlink(missing_ok=True)
            if program is not None:
                path.write_text(program)
                path.chmod(0o755)
            with patch.object(sys, "executable", str(path)), patch.object(parsing, "WAIT_SECONDS", 0.2):
                error = self.assertRaises(InvalidPolicy, parsing.parse, PADDING.encode(), "p.yaml")
            self.assertTrue(str(error).startswith("p.yaml: cannot be read: "), error)

    def test_nothing_of_the_working_directory_is_run(self) -> None:
        """Who may write where the edge runs cannot put a module there for the process to import."""
        directory = Path(self.mktemp())
        directory.mkdir()
        (directory / "resource.py").write_text("raise SystemExit(3)")
        (directory / "yaml.py").write_text("raise SystemExit(3)")
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(directory)
        self.assertEqual(parsing.parse(f"{PADDING}{{}}".encode(), "p"), parse_policy("{}", "p"))


class ShortTests(SynchronousTestCase):
    """Short texts, which are read here."""

    @settings(deadline=None)
    @given(st.text(max_size=40))
    def test_anything(self, text: str) -> None:
        """Whatever it is: a document, or `InvalidPolicy`."""
        try:
            parsing.parse(text.encode("utf-8", "surrogatepass"), "p")
        except InvalidPolicy as error:
            self.assertTrue(str(error).startswith("p"))

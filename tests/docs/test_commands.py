"""Tests that command lines in documents, also those that no test runs, name commands, options and files that exist."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.docs.commands import command_lines, commands, complaint, inline_commands

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "dns/*.md", "roles/*/README.md", ".github/*.md")
    for path in ROOT.glob(pattern)
)


class DocumentsTests(SynchronousTestCase):
    """Every document."""

    def test_warp(self) -> None:
        """Each `warp` command and each of its options is one that the command has."""
        found = []
        count = 0
        for path in DOCUMENTS:
            text = path.read_text()
            for words in [*command_lines(text), *inline_commands(text)]:
                if words[0].rpartition("/")[2] == "warp":
                    count += 1
                    wrong = complaint(words)
                    found += [f"{path.relative_to(ROOT)}: {wrong}"] if wrong else []
        self.assertEqual(found, [])
        self.assertGreater(count, 20)

    def test_playbooks(self) -> None:
        """Each playbook that is named is there."""
        named = {
            (str(path.relative_to(ROOT)), word)
            for path in DOCUMENTS
            for words in [*command_lines(path.read_text()), *inline_commands(path.read_text())]
            if words[0].rpartition("/")[2] == "ansible-playbook"
            for word in words[1:]
            if word.endswith(".yml") and "inventory" not in word
        }
        self.assertGreater(len(named), 5)
        self.assertEqual(sorted(each for each in named if not (ROOT / each[1]).exists()), [])

    def test_python_modules(self) -> None:
        """Each `python -m` of ours that is named is there."""
        named = {
            words[at + 1]
            for path in DOCUMENTS
            for words in command_lines(path.read_text())
            for at, word in enumerate(words[:-1])
            if word == "-m" and words[at + 1].split(".")[0] in ("tests", "benchmarks", "constraints", "warp_twisted")
        }
        gone = [
            name
            for name in named
            if not (ROOT / f"{name.replace('.', '/')}.py").exists()
            and not (ROOT / name.replace(".", "/") / "__main__.py").exists()
            and not (ROOT / name.replace(".", "/") / "__init__.py").exists()
        ]
        self.assertEqual(sorted(gone), [])


class CommandsTests(SynchronousTestCase):
    """Taking lines apart, and judging them."""

    def test_lines(self) -> None:
        """Commands are split where a shell splits them; environment and sudo are left out."""
        self.assertEqual(list(commands("A=1 sudo warp drain && x 'a b' | y")), [["warp", "drain"], ["x", "a b"], ["y"]])
        self.assertEqual(list(commands("it's output")), [])
        self.assertEqual(list(command_lines("```sh\nwarp up \\\n  3000\n```\n`warp x`")), [["warp", "up", "3000"]])
        self.assertEqual(list(inline_commands("see `warp status --json` or `make`")), [["warp", "status", "--json"]])

    def test_judgement(self) -> None:
        """Commands and options that do not exist are told; arguments and placeholders are not looked at."""
        for line in ("warp up 3000", "warp token create --hostname x --ttl=1h", "warp ORIGIN", "warp --version"):
            (words,) = commands(line)
            self.assertIsNone(complaint(words), line)
        for line, wrong in (("warp fly", "no command fly"), ("warp status --al", "no option --al")):
            (words,) = commands(line)
            self.assertIn(wrong, complaint(words) or "")

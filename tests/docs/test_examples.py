"""Tests that the examples in our documents do what the documents show; see tests.docs.console for their form."""

import os
import re
import shutil
import sys
from pathlib import Path

from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest

from tests.case import AsyncTestCase
from tests.docs.console import Example, examples, matches
from tests.system.demo.program import SERVING, DemoPrograms
from warp_twisted.demo.ports import WANTED

ROOT = Path(__file__).resolve().parents[2]
_PROGRAMS = {
    "warp": "from warp_twisted.cli.main import main; main()",
    "twistd": "from twisted.scripts.twistd import run; run()",
}
_TOOLS = {"curl", "dig", "jq", "openssl"}
_ADDRESS = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_DOCUMENTATION = re.compile(r"127\.|192\.0\.2\.|198\.51\.100\.|203\.0\.113\.|0\.0\.0\.0")
_NAME = re.compile(r"(?<![\w.@/-])(?:[a-z0-9-]+\.)+(?:example|com|net|org|io|dev|localhost)\b")
_NAMES_ALLOWED = re.compile(r"(?:.*\.)?(?:warp\.example|example\.(?:com|net|org)|localhost)|inventory\.example")
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def documents() -> list[Path]:
    """Return the documents that this test reads; dns/README.md and those of roles have tests of their own."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
    return [*top, *sorted((ROOT / "docs").glob("*.md"))]


class ExamplesTests(AsyncTestCase):
    """Every `console` block of every document."""

    timeout = 120

    async def prepare(self) -> None:
        self.demos = DemoPrograms()
        self.clean_up_with(self.demos.close)
        self.ports: dict[str, str] = {}
        programs = self.demos.directory / "bin"
        programs.mkdir()
        for name, script in _PROGRAMS.items():
            program = programs / name
            program.write_text(f"#!{sys.executable}\n{script}\n")
            program.chmod(0o755)
        self.environment = {
            **self.demos.environment,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(self.demos.directory),
        }

    async def run_document(self, path: Path) -> None:
        """Run the examples of one document in order, all in one directory."""
        found = list(examples(path.read_text()))
        missing = {tool for each in found for tool in _TOOLS & set(each.command.split()) if not shutil.which(tool)}
        if missing:
            raise SkipTest(f"not installed: {', '.join(sorted(missing))}")
        if any(each.needs_demo for each in found) and not self.ports:  # one demo for all documents
            await self.start_demo()
        directory = self.demos.directory / "work"
        directory.mkdir(exist_ok=True)
        for example in found:
            await self.run_example(path, example, directory)

    async def start_demo(self) -> None:
        """Run a demo, and note which ports it took instead of those that documents name."""
        program = self.demos.start()
        await program.printed(SERVING)
        info = self.demos.info()
        for name in ("http", "https", "dns", "tunnel"):
            self.ports[str(getattr(WANTED, name))] = str(getattr(info, f"{name}_port"))

    async def run_example(self, path: Path, example: Example, directory: Path) -> None:
        """Run one command, and compare what it prints."""
        command, expected = self.moved(example.command), self.moved(example.expected)
        output, errors, status = await getProcessOutputAndValue(
            "/bin/bash", ["-c", command], env=self.environment, path=str(directory)
        )
        printed = (output + errors).decode()
        place = f"{path.relative_to(ROOT)}:{example.line}: {command}\n{printed}"
        self.assertEqual(status != 0, example.must_fail, place)
        if example.expected:
            self.assertTrue(matches(expected, printed), f"{place}--- expected\n{expected}")

    def moved(self, text: str) -> str:
        """Write the ports that the demo has in place of those that documents name."""
        for wanted, port in self.ports.items():
            text = re.sub(rf"(?<=[: ]){wanted}\b", port, text)
        return text

    async def test_readme(self) -> None:
        """README.md."""
        await self.run_document(ROOT / "README.md")

    async def test_docs(self) -> None:
        """docs/ and what stands beside README.md."""
        for path in documents()[1:]:
            await self.run_document(path)

    def test_names_and_addresses(self) -> None:
        """Documents use only names and addresses that are set aside for documents, and loopback."""
        found = []
        for path in documents():
            for number, line in enumerate(path.read_text().splitlines(), 1):
                text = re.sub(r"https?://\S+", lambda url: url[0] if "warp" in url[0] else "", line)
                wrong = [address for address in _ADDRESS.findall(text) if not _DOCUMENTATION.match(address)]
                wrong += [name for name in _NAME.findall(text) if not _NAMES_ALLOWED.fullmatch(name)]
                found += [f"{path.relative_to(ROOT)}:{number}: {each}" for each in wrong]
        self.assertEqual(found, [])

    def test_links(self) -> None:
        """Links between documents lead somewhere, to a heading if they name one."""
        found = [
            f"{path.relative_to(ROOT)}: {name}#{heading}"
            for path in documents()
            for name, heading in _LINK.findall(path.read_text())
            if not leads_somewhere(path.parent / name if name else path, heading)
        ]
        self.assertEqual(found, [])


def leads_somewhere(path: Path, heading: str) -> bool:
    """Whether there is such a file or directory, and in it such a heading, by the name that GitHub gives it."""
    if not path.exists() or not heading:
        return path.exists()
    headings = _HEADING.findall(path.read_text())
    return heading in {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}

"""
Examples in documents: fenced blocks named `console`, whose lines with `$ ` are commands and the rest what they print.

`...` stands for any text, also over several lines. A command without expected lines must only succeed; one whose
expected output holds a line `warp: …` must fail. Lines with `> ` straight after a command continue it. A block after
a line `<!-- demo -->` needs a running `warp demo`. Blocks of any other name (`sh`, `yaml`, `text`) are not run.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"^```(\w*)\s*$")
_DEMO = "<!-- demo -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One command of a document."""

    line: int
    command: str
    expected: str
    needs_demo: bool

    @property
    def must_fail(self) -> bool:
        """Whether the document shows this command being refused."""
        return any(line.startswith("warp: ") for line in self.expected.splitlines())


def examples(text: str) -> Iterator[Example]:
    """Yield the examples of one document, in order."""
    kind: str | None = None
    needs_demo = False
    block: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.match(line)
        if kind is None and fence:
            kind, block = fence[1], []
        elif kind is not None and line.startswith("```"):
            if kind == "console":
                yield from _commands(block, needs_demo)
            kind, needs_demo = None, False
        elif kind is not None:
            block.append((number, line))
        elif line.strip():
            needs_demo = line.strip() == _DEMO


def _commands(block: list[tuple[int, str]], needs_demo: bool) -> Iterator[Example]:
    number, command = 0, ""
    output: list[str] = []
    for at, line in [*block, (0, "$ ")]:
        if command.endswith("\\"):
            command = command[:-1] + line.lstrip()
        elif line.startswith("> ") and command and not output:
            command += "\n" + line[2:]
        elif not line.startswith("$ "):
            output.append(line)
        else:
            if command:
                expected = "\n".join(output).strip()
                yield Example(line=number, command=command, expected=expected, needs_demo=needs_demo)
            number, command, output = at, line[2:], []


def matches(expected: str, actual: str) -> bool:
    """Whether what was printed is what the document shows, spaces at line ends aside."""
    pattern = ".*".join(re.escape(part) for part in _trim(expected).split("..."))
    return re.fullmatch(pattern, _trim(actual), re.DOTALL) is not None


def _trim(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())

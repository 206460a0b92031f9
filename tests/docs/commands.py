"""
Command lines in documents that are not run, since they need machines of their own: do they name what there is?

Lines of `sh` and `console` blocks, and text in backticks that begins with `warp` or `ansible-playbook`.
"""

import re
import shlex
from collections.abc import Iterator, Sequence

import click

from warp_twisted.cli.main import warp

_BLOCK = re.compile(r"^ *```(?:sh|console)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`((?:warp|ansible-playbook) [^`\n]+)`")
_SEPARATORS = {"&&", "||", "|", ";", "(", ")"}


def command_lines(document: str) -> Iterator[list[str]]:
    """Yield the words of each command in a document's blocks: without prompt, environment and `sudo`."""
    for block in _BLOCK.findall(document):
        for line in block.replace("\\\n", " ").splitlines():
            yield from commands(line.strip().removeprefix("$ "))


def inline_commands(document: str) -> Iterator[list[str]]:
    """Yield the words of commands in backticks within the text."""
    for text in _INLINE.findall(document):
        yield from commands(text)


def commands(line: str) -> Iterator[list[str]]:
    """Yield the words of each command of a line; nothing for a line that is no shell, such as output."""
    try:
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
    except ValueError:
        return
    command: list[str] = []
    for word in [*words, ";"]:
        if word in _SEPARATORS:
            if command:
                yield command
            command = []
        elif command or not (word == "sudo" or re.match(r"[A-Z_]+=", word)):
            command.append(word)


def complaint(words: Sequence[str]) -> str | None:
    """Return what is wrong with a call of `warp`: a command that does not exist, or an option that it does not take."""
    command: click.Command = warp
    context = click.Context(warp, info_name="warp")
    for word in words[1:]:
        if word.startswith("-") and word != "-":
            option = word.partition("=")[0]
            known = {name for parameter in command.get_params(context) for name in parameter.opts}
            if option not in known | {"-h", "--help"}:
                return f"{' '.join(words)}: {command.name} has no option {option}"
        elif isinstance(command, click.Group) and re.fullmatch(r"[a-z]+(-[a-z]+)*", word):
            found = command.get_command(context, word)
            if found is None:
                return f"{' '.join(words)}: {command.name} has no command {word}"
            command = found
    return None

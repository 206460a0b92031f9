"""The warnings and errors that the code logs, as format strings, and those that a document's log table explains."""

import ast
import re
from collections.abc import Iterator

_LEVELS = {"warn", "error", "critical"}
_ROW = re.compile(r"^\| `(?P<message>[^`]+)` \|", re.MULTILINE)


def logged(source: str) -> Iterator[str]:
    """Yield the format of each warning, error and critical message that a module logs with a `Logger`."""
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _LEVELS
            and ast.unparse(node.func.value).split(".")[-1] in ("_log", "log")
            and node.args
        ):
            message = node.args[0]
            yield str(message.value) if isinstance(message, ast.Constant) else ast.unparse(message)


def explained(document: str, heading: str) -> set[str]:
    """Return the messages in the first column of the tables under one `## heading`."""
    section = document.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return {row["message"] for row in _ROW.finditer(section)}

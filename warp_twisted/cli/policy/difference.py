"""What a policy changes, as a unified diff whose cost is bounded: both texts may have 512 KiB."""

import difflib

MAX_COMPARED = 4_000_000  # pairs of lines; more take tens of seconds
CONTEXT_LINES = 3


def difference(before: str, after: str, names: tuple[str, str]) -> str:
    """
    Compare two texts line by line; empty if they are equal.

    Where too many lines differ, everything between the first and the last of them is shown as replaced.

    :param names: of both.
    """
    old, new = before.splitlines(), after.splitlines()
    if old == new:
        return "" if before == after else f"--- {names[0]}\n+++ {names[1]}\n\\ Only ends of lines differ.\n"
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    if (len(old) - head - tail) * (len(new) - head - tail) <= MAX_COMPARED:
        lines = list(difflib.unified_diff(old, new, *names, n=CONTEXT_LINES, lineterm=""))
    else:
        above, below = max(0, head - CONTEXT_LINES), min(tail, CONTEXT_LINES)
        before_lines, after_lines = old[head : len(old) - tail], new[head : len(new) - tail]
        around = old[above:head], old[len(old) - tail :][:below]
        count = len(around[0]) + len(around[1])
        lines = [
            f"--- {names[0]}",
            f"+++ {names[1]}",
            f"@@ -{above + 1},{count + len(before_lines)} +{above + 1},{count + len(after_lines)} @@",
            *(f" {line}" for line in around[0]),
            *(f"-{line}" for line in before_lines),
            *(f"+{line}" for line in after_lines),
            *(f" {line}" for line in around[1]),
        ]
    return "\n".join(lines) + "\n"


def _common(one: list[str], other: list[str]) -> int:
    """Return how many lines are equal from the first on."""
    for at, (line, its) in enumerate(zip(one, other, strict=False)):
        if line != its:
            return at
    return min(len(one), len(other))

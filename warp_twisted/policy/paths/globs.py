"""
Texts in which `*` stands for any characters, compared in linear time.

No regular expression: `.*.*.*` would take time in a power of the length of what a visitor sends.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Glob:
    """
    A text with at least one `*`.

    :ivar first: what stands before the first `*`.
    :ivar middle: what stands between, in order, none of it empty.
    :ivar last: what stands after the last.
    """

    first: bytes
    middle: tuple[bytes, ...]
    last: bytes

    def matches(self, value: bytes) -> bool:
        """Whether the whole value fits."""
        if not value.startswith(self.first) or not value.endswith(self.last):
            return False
        at = len(self.first)
        end = len(value) - len(self.last)
        for part in self.middle:
            found = value.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return at <= end


def parse_glob(text: bytes) -> Glob | None:
    """Return what a text with `*` matches, None if it holds none."""
    first, *rest = text.split(b"*")
    if not rest:
        return None
    return Glob(first, tuple(part for part in rest[:-1] if part), rest[-1])

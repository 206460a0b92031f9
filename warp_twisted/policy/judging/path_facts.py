"""A request's path as rules ask about it: as it came, what is odd in it, and how servers read it."""

from collections.abc import Hashable

from warp_twisted.policy.paths.spelling import is_plain, oddities, readings
from warp_twisted.policy.paths.tree import exact_segments

_NOTHING: frozenset[str] = frozenset()


class PathFacts:
    """
    One path.

    :ivar path: as it came, without the query.
    :ivar is_plain: whether it has neither oddities nor escapes, as most have.
    :ivar odd: what servers read in different ways in it.
    :ivar methods: rule → the methods of each of its routes that a plain path is among, None for all; where that is
        remembered.
    """

    __slots__ = ("_exact", "_readings", "is_plain", "methods", "odd", "path")

    def __init__(self, path: bytes) -> None:
        self.path = path
        self.methods: dict[Hashable, list[frozenset[bytes] | None]] | None = None
        self._exact: list[list[bytes]] | None = None
        self._readings: tuple[frozenset[bytes] | None] | None = None
        if is_plain(path):
            self.is_plain = True
            self.odd = _NOTHING
            return
        self.is_plain = False
        # OPTIONS with the target `*` asks for the server as a whole: restricted like its root, permitted by no pattern.
        self.odd = _NOTHING if path == b"*" else oddities(path)

    @property
    def readings(self) -> frozenset[bytes] | None:
        """Every way to read it; None if there are too many. Costs up to a millisecond where something is odd."""
        if not self.odd:
            return frozenset((self.path,))
        if self._readings is None:
            self._readings = (readings(self.path),)
        return self._readings[0]

    @property
    def exact(self) -> list[list[bytes]]:
        """The segments of every reading, as patterns that permit are compared with them; made once for all rules."""
        if self._exact is None:
            if self.is_plain:  # nothing is encoded
                self._exact = [self.path.split(b"/")[1:]]
                return self._exact
            found = (self.readings or ()) if self.odd else (self.path,)
            self._exact = [exact_segments(reading) for reading in found]
        return self._exact

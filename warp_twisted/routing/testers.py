"""
Which share a visitor chose for itself, where the split lets it: by a field or a cookie whose value is a selector.

Only those choose whom the document names, by where they come from or who they proved to be. Whoever else sends such a
field or cookie is drawn as if it had not: that is no error, as browsers keep cookies and scripts keep fields. Neither
reaches an origin, so no application relies on what anybody may send.

The value is compared byte by byte with the selectors as the document writes them, blanks at its ends aside. What could
be read in two ways chooses nothing: two fields, two cookies, or a field that only some servers take for this one.
"""

from collections.abc import Sequence

from warp_twisted.names import shown_selector
from warp_twisted.policy.changes import FOLDING, Changes, changed, folded
from warp_twisted.policy.document.testers import Testers as TestersDocument
from warp_twisted.policy.document.testers import parse_identity
from warp_twisted.policy.facts import read_fields
from warp_twisted.policy.interfaces import Identity
from warp_twisted.policy.sources.prefixes import Addresses
from warp_twisted.policy.visitor import Visitor
from warp_twisted.routing.cookies import take_cookies, usual_form
from warp_twisted.routing.layout import NOBODY

_LINE_END = b"\r\n".translate(FOLDING)
SourceSet = tuple[int, Addresses]  # with its number, as of `Visitor.is_in`


class Testers:
    """
    Who may choose, compiled.

    :ivar told_by: how a visitor says it, for people: `header X-Release`.
    :ivar may_take_back: whether a share may be chosen that its guard took back.
    """

    __slots__ = (
        "_cookie", "_field", "_identities", "_lines", "_shares", "_sought", "_sources", "_usual", "may_take_back",
        "told_by",
    )  # fmt: skip

    def __init__(self, document: TestersDocument, names: Sequence[str], sources: SourceSet | None = None) -> None:
        """
        Compile.

        :param names: selectors of the shares.
        :param sources: what the document's are.
        """
        self._shares = {shown_selector(name).encode("ascii"): index for index, name in enumerate(names)}
        self._sources = sources
        self._identities = frozenset(map(parse_identity, document.identities or ()))
        self._cookie = self._usual = self._field = self._sought = b""
        self._lines = Changes(frozenset(), b"")
        if document.cookie is not None:
            self._cookie = document.cookie.encode("ascii")
            self._usual = usual_form(self._cookie)
        elif document.header is not None:
            self._field = folded(document.header.encode("ascii"))
            self._sought = b"%b%b-" % (_LINE_END, self._field)
            self._lines = Changes(frozenset({self._field}), b"")
        self.told_by = f"cookie {document.cookie}" if document.cookie is not None else f"header {document.header}"
        self.may_take_back = document.taken_back

    def choose(self, lines: bytes, visitor: Visitor, identities: Sequence[Identity]) -> tuple[int, bytes]:
        """
        Read what a request chooses.

        :param lines: its field lines, each with its CR LF.
        :param identities: that were proven with it.
        :returns: a share, or `NOBODY`; and the lines without what chose it.
        """
        value, lines = self._take_cookie(lines) if self._cookie else self._take_field(lines)
        share = self._shares.get(value, NOBODY) if value else NOBODY
        if share != NOBODY and not self._may_choose(visitor, identities):
            share = NOBODY
        return share, lines

    def _may_choose(self, visitor: Visitor, identities: Sequence[Identity]) -> bool:
        if any((each.kind, each.subject) in self._identities for each in identities):
            return True
        try:
            return self._sources is not None and visitor.is_in(*self._sources)
        except ValueError:
            return False  # no address, so from nowhere that a list could name

    def _take_cookie(self, lines: bytes) -> tuple[bytes, bytes]:
        values, lines = take_cookies(lines, self._cookie, self._usual)
        return values[0] if len(values) == 1 else b"", lines

    def _take_field(self, lines: bytes) -> tuple[bytes, bytes]:
        text = lines.translate(FOLDING)
        if self._sought not in text and not text.startswith(self._sought[len(_LINE_END) :]):
            return b"", lines  # as in most requests
        values = read_fields(lines).get(self._field)
        if values is None:
            return b"", lines
        return values.all[0] if values.is_plain else b"", changed(lines, (self._lines,))

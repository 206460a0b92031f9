"""
The compiled answers of one zone, kept from snapshot to snapshot for as long as they are true.

An answer is dropped when a name that it looked at changes; all answers that tell the serial become invalid at once at
the next one; the rest stays, so a zone that changes many times a second still answers from the cache. Bounded: a full
cache is replaced by an empty one, which costs one compilation per live question and needs no bookkeeping.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any

from warp_dns.message import names
from warp_dns.message.answer import Answer, Order
from warp_dns.message.codes import NOERROR, NXDOMAIN
from warp_dns.message.records import ANY, CNAME, DNAME, DS
from warp_dns.message.wire import Compiled, Validity, compile_answer
from warp_dns.zone.data import Zone
from warp_dns.zone.lookup import arrange, lookup, names_edges

MAX_ANSWERS = 32768  # about 1 KiB each; a fleet of 1,500 applications asks some 10,000 questions
MANY_NAMES = 1000  # changed at once: the cache is emptied instead of looking for each

_Key = tuple[bytes, int, int]  # name or closest encloser, type (0: any), length of the name below it or 0


@dataclass(slots=True, eq=False)
class _Kept:
    compiled: Compiled
    key: _Key
    looked_at: frozenset[bytes]


_NONE: frozenset[_Kept] = frozenset()


class AnswerCache:
    """Answers a zone's questions with compiled bytes."""

    def __init__(
        self,
        zone: Zone,
        emptied: Callable[[], object],
        discard: Callable[[dict[Any, Any]], None],
        limit: int = MAX_ANSWERS,
    ) -> None:
        """
        Begin empty.

        :param emptied: called when all answers were dropped: replies built from them can no longer be invalidated.
        :param discard: frees a large table in slices.
        """
        self.zone = zone
        self._emptied = emptied
        self._discard = discard
        self._limit = limit
        self._kept: dict[_Key, _Kept] = {}
        self._by_name: dict[bytes, set[_Kept]] = {}
        self._at_serial = Validity()  # of all answers that tell the serial

    def find(self, qname: bytes, qtype: int) -> Compiled:
        """
        Return the compiled answer to a question.

        :param qname: folded, at or below the zone's apex.
        """
        kept = self._kept.get((qname, qtype, 0))
        if kept is not None and kept.compiled.validity.holds:
            return kept.compiled
        key = self._key(qname, qtype)
        kept = self._kept.get(key)
        if kept is not None:
            if kept.compiled.validity.holds:
                return kept.compiled
            self._drop(kept)
        answer = lookup(self.zone, qname, qtype)
        compiled = compile_answer(answer, qname)
        compiled.counted_as = _counted_as(answer, qname, self.zone.apex)
        if any(names_edges(rrset) for rrset in answer.answer):
            compiled.arranged, compiled.source = {}, (answer, qname)
        if not answer.is_for_one_name:
            self._keep(key, answer, compiled)
        return compiled

    def advance(self, zone: Zone, touched: Set[bytes]) -> None:
        """
        Go on to the next snapshot: what is no longer true becomes invalid.

        :param touched: as `Change.touched`.
        """
        self.zone = zone
        if len(touched) > MANY_NAMES:
            self.clear()
            return
        self._at_serial.holds = False
        self._at_serial = Validity()
        for name in touched:
            for kept in tuple(self._by_name.get(name, _NONE)):
                kept.compiled.validity.holds = False
                self._drop(kept)

    def arranged(self, compiled: Compiled, order: Order, most: int) -> Compiled:
        """
        Return an answer with its edges in an order.

        :param compiled: what `find` returned, with edges to choose from.
        :param most: how many edges to name; 0: all.
        """
        source = compiled.source
        if compiled.arranged is None or source is None:
            return compiled
        found = compiled.arranged.get(order)
        if found is None:
            answer, qname = source
            found = compile_answer(arrange(answer, order, most), qname)
            compiled.arranged[order] = found
        return found

    def clear(self) -> None:
        """Forget every answer, and say so."""
        self._discard(self._kept)
        self._discard(self._by_name)
        self._kept, self._by_name = {}, {}
        self._at_serial = Validity()
        self._emptied()

    def __len__(self) -> int:
        return len(self._kept)

    def _key(self, qname: bytes, qtype: int) -> _Key:
        """Find the widest question that has the same answer; see `Answer.encloser`."""
        zone = self.zone
        node = zone.get(qname)
        if node is not None:
            if qtype in node.rrsets or CNAME in node.rrsets or qtype in (ANY, DS):
                return (qname, qtype, 0)
            return (qname, 0, 0)  # every type that is not there
        for suffix in names.suffixes(names.parent(qname)):
            if suffix in zone:
                by_type = qtype if names.wildcard_of(suffix) in zone else 0
                return (suffix, by_type, len(qname))
        raise AssertionError("a name below the apex has an encloser")

    def _keep(self, key: _Key, answer: Answer, compiled: Compiled) -> None:
        if len(self._kept) >= self._limit:
            self.clear()
        compiled.keeps_replies = not key[2]
        if answer.tells_serial:
            compiled.validity = self._at_serial
        kept = _Kept(compiled, key, frozenset(answer.looked_at))
        self._kept[key] = kept
        for name in kept.looked_at:
            self._by_name.setdefault(name, set()).add(kept)

    def _drop(self, kept: _Kept) -> None:
        del self._kept[kept.key]
        for name in kept.looked_at:
            members = self._by_name[name]
            members.discard(kept)
            if not members:
                del self._by_name[name]


def _counted_as(answer: Answer, qname: bytes, apex: bytes) -> bytes:
    """
    Return what rate limiting counts an answer by, as BIND and NSD do: its kind, and the name that brought it about.

    Names that a client may make up without end count as one: those that do not exist as their zone, those that a
    wildcard, a delegation or a DNAME covers as that.
    """
    if answer.rcode == NXDOMAIN:
        return b"n" + apex
    if answer.rcode != NOERROR:
        return b"e" + apex
    if answer.is_referral:
        return b"r" + answer.authority[0].owner.lower()
    if not answer.answer:
        return b"d" + (answer.encloser or qname)
    first = answer.answer[0]
    return b"a" + (first.owner.lower() if first.type == DNAME else answer.encloser or qname)

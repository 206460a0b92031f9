"""
The compiled answers of one zone, kept from snapshot to snapshot for as long as they are true.

An answer is dropped when a name that it looked at changes, or at the next serial if it tells the serial; all others
stay, so a zone that changes many times a second still answers from the cache. Bounded: a full cache is emptied,
which costs one compilation per live question and needs no bookkeeping on the way.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from warp_dns.message import names
from warp_dns.message.answer import Answer, Order
from warp_dns.message.records import ANY, CNAME, DS
from warp_dns.message.wire import Compiled, compile_answer
from warp_dns.zone.data import Zone
from warp_dns.zone.lookup import arrange, lookup, names_edges

MAX_ANSWERS = 32768  # about 1 KiB each; a fleet of 1,500 applications asks some 10,000 questions

_Key = tuple[bytes, int, int]  # name or closest encloser, type (0: any), length of the name below it or 0


@dataclass(slots=True, eq=False)
class _Kept:
    compiled: Compiled
    key: _Key
    looked_at: frozenset[bytes]
    tells_serial: bool


_NONE: frozenset[_Kept] = frozenset()


class AnswerCache:
    """Answers a zone's questions with compiled bytes."""

    def __init__(self, zone: Zone, emptied: Callable[[], object], limit: int = MAX_ANSWERS) -> None:
        """
        Begin empty.

        :param emptied: called when the limit was reached: whatever was made of the answers is no longer followed.
        """
        self.zone = zone
        self._emptied = emptied
        self._limit = limit
        self._kept: dict[_Key, _Kept] = {}
        self._by_name: dict[bytes, set[_Kept]] = {}
        self._telling_serial: set[_Kept] = set()

    def find(self, qname: bytes, qtype: int) -> Compiled:
        """
        Return the compiled answer to a question.

        :param qname: folded, at or below the zone's apex.
        """
        kept = self._kept.get((qname, qtype, 0))
        if kept is not None:
            return kept.compiled
        key = self._key(qname, qtype)
        kept = self._kept.get(key)
        if kept is not None:
            return kept.compiled
        answer = lookup(self.zone, qname, qtype)
        compiled = compile_answer(answer, qname)
        if any(names_edges(rrset) for rrset in answer.answer):
            compiled.arranged, compiled.source = {}, (answer, qname)
        if not answer.is_for_one_name:
            self._keep(key, answer, compiled)
        return compiled

    def advance(self, zone: Zone, touched: Iterable[bytes]) -> list[bytes]:
        """
        Go on to the next snapshot.

        :param touched: as `Change.touched`.
        :returns: the query bytes (`Compiled.keys`) of what is no longer true.
        """
        self.zone = zone
        stale = self._telling_serial
        self._telling_serial = set()
        for name in touched:
            stale |= self._by_name.get(name, _NONE)
        keys: list[bytes] = []
        for kept in stale:
            keys += kept.compiled.keys or ()
            del self._kept[kept.key]
            for name in kept.looked_at:
                self._by_name[name].discard(kept)
                if not self._by_name[name]:
                    del self._by_name[name]
        return keys

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
        self._kept.clear()
        self._by_name.clear()
        self._telling_serial.clear()
        self._emptied()

    def __len__(self) -> int:
        return len(self._kept)

    def _key(self, qname: bytes, qtype: int) -> _Key:
        """Find the widest question that has the same answer; see `Answer.encloser`."""
        node = self.zone.get(qname)
        if node is not None:
            if qtype in node.rrsets or CNAME in node.rrsets or qtype in (ANY, DS):
                return (qname, qtype, 0)
            return (qname, 0, 0)  # every type that is not there
        for suffix in names.suffixes(names.parent(qname)):
            if self.zone.get(suffix) is not None:
                by_type = qtype if self.zone.get(names.wildcard_of(suffix)) is not None else 0
                return (suffix, by_type, len(qname))
        raise AssertionError("a name below the apex has an encloser")

    def _keep(self, key: _Key, answer: Answer, compiled: Compiled) -> None:
        if len(self._kept) >= self._limit:
            self.clear()
        if not key[2]:
            compiled.keys = set()
        kept = _Kept(compiled, key, frozenset(answer.looked_at), answer.tells_serial)
        self._kept[key] = kept
        for name in kept.looked_at:
            self._by_name.setdefault(name, set()).add(kept)
        if answer.tells_serial:
            self._telling_serial.add(kept)

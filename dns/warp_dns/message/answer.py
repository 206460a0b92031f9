"""
An answer before it is bytes: its sections, what it depends on, and the order in which it names edges.

`zone.lookup` makes it, `wire` compiles it, `zone.cache` keeps it. It says which names were looked at, so that a cache
knows when it is stale, and how far it depends on the exact name that was asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from warp_dns.message.codes import NOERROR
from warp_dns.message.records import RRset


@dataclass(slots=True)
class Answer:
    """
    The sections for one question.

    :ivar is_authoritative: the AA bit, which speaks of the first owner in the answer section (RFC 1035 §4.1.1).
    :ivar is_referral: the authority section delegates; its glue must not be left out (RFC 9471).
    :ivar looked_at: folded names whose appearance, change or removal makes this answer stale. The question's own
        name is not among them while it does not exist: see `encloser`.
    :ivar tells_serial: it holds the SOA, so it is stale at the next serial.
    :ivar encloser: the closest encloser when the name asked for does not exist: every name below it that does not
        exist either, and has the same length, gets the same bytes. None when the name exists.
    :ivar tells_absence: it says, or relies on it, that a name or a type does not exist: NXDOMAIN, NODATA, and what a
        wildcard gives. True only of a zone whose records are all known.
    :ivar is_for_one_name: the question's name itself went into the data (DNAME), so no other name shares the answer.
    """

    rcode: int = NOERROR
    is_authoritative: bool = True
    is_referral: bool = False
    answer: list[RRset] = field(default_factory=list)
    authority: list[RRset] = field(default_factory=list)
    additional: list[RRset] = field(default_factory=list)
    looked_at: set[bytes] = field(default_factory=set)
    tells_serial: bool = False
    encloser: bytes | None = None
    tells_absence: bool = False
    is_for_one_name: bool = False


class Order(tuple[str, ...]):
    """
    Edges to name, best first, and which of them only if no other is available.

    :ivar last_resort: edges that drain.
    """

    last_resort: frozenset[str]

    def arrange(self, edges: Sequence[str]) -> list[int]:
        """
        Return the indexes of those edges to name, best first; never empty.

        Unknown edges and "" (no edge) follow the known ones, in their given order.
        """
        rank = {edge: index for index, edge in enumerate(self)}
        indexes = sorted(range(len(edges)), key=lambda index: rank.get(edges[index], len(rank)))
        healthy = [index for index in indexes if edges[index] not in self.last_resort]
        return healthy or indexes

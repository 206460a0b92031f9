"""
Whole replies, kept by the bytes of the query that they answer: what `udp` sends without asking anything else.

Bounded: a full table is replaced by an empty one, and the old one is freed in slices.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from warp_dns.message.answer import Order
from warp_dns.message.query import Query
from warp_dns.message.wire import HEADER_BYTES, Compiled, Validity
from warp_dns.serve.metrics import Cell

MAX_REPLIES = 65536  # about 400 bytes each


@dataclass(slots=True, eq=False)
class KeptReply:
    """
    A whole reply after the id, and the count it adds to.

    :ivar validity: whether it is still true; an untrue one stays until another takes its place.
    :ivar counted_as: what rate limiting counts it by.
    :ivar whole: None when the reply depends on where the client is; then `placed` has one for each order of edges.
    """

    count: Cell
    validity: Validity
    counted_as: bytes
    whole: bytes | None = None
    placed: dict[Order, bytes] | None = None


class KeptReplies:
    """
    The table.

    :ivar by_query: a query's bytes after the id → its reply. Replaced by another table now and then.
    """

    def __init__(self, discard: Callable[[dict[Any, Any]], None], most: int = MAX_REPLIES) -> None:
        """
        Begin empty.

        :param discard: frees a table that is no longer used.
        """
        self.by_query: dict[bytes, KeptReply] = {}
        self._discard = discard
        self._most = most

    def keep(self, key: bytes, answer: Compiled, count: Cell, order: Order | None, tail: bytes) -> None:
        """
        Keep a reply.

        :param answer: what it was made of.
        :param order: the order of edges in it, if that matters.
        :param tail: the reply after the id.
        """
        kept = self.by_query.get(key)
        if kept is None or kept.validity is not answer.validity:
            kept = KeptReply(count, answer.validity, answer.counted_as)
        if order is None:
            kept.whole = tail
        else:
            if kept.placed is None:
                kept.placed = {}
            kept.placed[order] = tail
        if len(self.by_query) >= self._most and key not in self.by_query:
            self.forget()
        self.by_query[key] = kept

    def forget(self) -> None:
        """Forget all replies."""
        forgotten, self.by_query = self.by_query, {}
        self._discard(forgotten)


def may_come_again(query: Query) -> bool:
    """
    Whether the same bytes are likely to come again, and would get the same reply.

    Names in mixed case (0x20) mostly come once; they would drive out the rest.
    """
    edns = query.edns
    if edns is not None and (edns.cookie or edns.subnet or edns.wants_nsid):
        return False
    return query.data[HEADER_BYTES : query.question_end - 4] == query.qname

"""
The query log: one query in so many, so that a busy server says what it is asked without stopping for it.

Whole batches are counted and the last query of the batch in which the number is reached is the one that is written:
over time every kind of query has its chance, and a query that is not written costs nothing.
"""

from twisted.logger import Logger

from warp_dns.message import names, records
from warp_dns.message.codes import RCODE_TEXTS
from warp_dns.message.query import Ignored, Malformed, read_query


class QueryLog:
    """Counts queries and writes some of them."""

    _log = Logger()

    def __init__(self, one_in: int) -> None:
        """
        Begin to count.

        :param one_in: how many queries make a line; 0: no lines.
        """
        self._one_in = one_in
        self._counted = 0

    def is_due(self, queries: int) -> bool:
        """Count queries, and say whether the last of them is to be written."""
        if not self._one_in:
            return False
        self._counted += queries
        if self._counted < self._one_in:
            return False
        self._counted %= self._one_in
        return True

    def write(self, transport: str, host: str, data: bytes, reply: bytes | None) -> None:
        """Write one query and the reply it got."""
        try:
            query = read_query(data)
            name, rtype = names.to_text(query.qname or names.ROOT), records.type_text(query.qtype)
        except (Ignored, Malformed):
            name, rtype = "", "malformed"
        self._log.info(
            "query {name} {type} from {host} over {transport}: {rcode}, {size} bytes",
            name=name,
            type=rtype,
            host=host,
            transport=transport,
            rcode="no reply" if reply is None else RCODE_TEXTS.get(reply[3] & 15, str(reply[3] & 15)),
            size=0 if reply is None else len(reply),
        )

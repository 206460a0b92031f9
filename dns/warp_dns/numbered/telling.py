"""
What one other edge is still to be told of the numbered zone: a snapshot, then what changed, in the order of serials.

Pure. Nothing piles up for an edge that is slow: names that changed are noted once, and told as they are at the serial
at which there is room. A snapshot that has begun is told to its end, as it does not change. The messages are those with
which a DNS server tells its worker processes (`warp_dns.serve.replica`).
"""

from collections.abc import Iterator

from warp_dns.serve import replica
from warp_dns.zone.data import Change
from warp_dns.zone.numbering import ZoneNumbering

VERSION = b"\1"  # of what is told, before all else; who knows another one does not understand it
PIECE_BYTES = 64 * 1024  # written at once
MAX_NAMES = 100_000  # that changed; beyond it a new snapshot is told


class ZoneTeller:
    """What waits for one edge."""

    def __init__(self, numbering: ZoneNumbering) -> None:
        self._numbering = numbering
        self._is_fresh = True
        self._touched: set[bytes] = set()
        self._has_changed = False
        self._pieces: Iterator[bytes] = iter(())

    def mark(self, change: Change | None) -> None:
        """Note a change; None: everything is another."""
        if change is None or len(self._touched) + len(change.touched) > MAX_NAMES:
            self._is_fresh = True
            self._touched = set()
        elif not self._is_fresh:
            self._touched |= change.touched
        self._has_changed = True

    def next_piece(self) -> bytes | None:
        """Return the next bytes; None if nothing waits."""
        for piece in self._pieces:
            return piece
        zone = self._numbering.zone
        if zone is None:
            return None
        if self._is_fresh:
            orders = replica.serving(zone)
        elif self._has_changed:
            orders = replica.advancing(Change(zone, self._touched))
        else:
            return None
        self._is_fresh = self._has_changed = False
        self._touched = set()
        self._pieces = _pieces(orders)
        return next(self._pieces)


def _pieces(orders: Iterator[replica.Order]) -> Iterator[bytes]:
    for order in orders:
        value = replica.pack_value(order)
        for at in range(0, len(value), PIECE_BYTES):
            yield value[at : at + PIECE_BYTES]

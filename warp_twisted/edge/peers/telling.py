"""
What one other edge is still to be told: a set of keys, whose values are read when there is room to send them.

So nothing piles up for an edge that is slow or stands still: a key that changes again and again waits once, and is told
as it is when its turn comes. A snapshot is all keys at once, with a mark after them. Pure: `read` says what there is.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable

from warp_twisted.edge.peers.messages import (
    BATCH_BYTES,
    BATCH_VALUES,
    Complete,
    encode_message,
    encode_told,
    encode_value,
)
from warp_twisted.edge.peers.notices import Lifted, Renewal
from warp_twisted.registry.acme.challenges import EdgeChallenges
from warp_twisted.registry.ban_records import KeptBan
from warp_twisted.registry.edge_records import EdgePolicy
from warp_twisted.registry.model import TUNNELS, Edge, Revocation, Tunnel, Value

POLICY_VERSION = "policy version"  # stands for the number, which is no value of the registry
_SNAPSHOT_ENDS = ""
_LISTS: dict[type, str] = {Tunnel: "tunnels", Revocation: "revocations", KeptBan: "bans", Renewal: "renewals"}
_SINGLE: dict[type, str] = {Edge: "edge", EdgePolicy: "edge_policy", EdgeChallenges: "challenges"}

Tellable = Value | Lifted | Renewal | int | None


class Teller:
    """
    What waits to be told to one edge.

    :param read: returns what a key stands for now; None: nothing any more.
    """

    def __init__(self, read: Callable[[str], Tellable]) -> None:
        self._read = read
        self._stale: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        """Return how many keys wait."""
        return len(self._stale)

    def mark(self, keys: Iterable[str], *, first: bool = False) -> None:
        """Tell what keys stand for, in their turn, or before all others."""
        for key in keys:
            self._stale.setdefault(key)
            if first:
                self._stale.move_to_end(key, last=False)

    def mark_snapshot_end(self) -> None:
        """Say, after all that waits, that everything was told."""
        self._stale[_SNAPSHOT_ENDS] = None

    def next_message(self) -> bytes | None:
        """Return the next message, of some keys that wait; None if there are none."""
        lists: dict[str, list[bytes]] = {}
        single: dict[str, bytes] = {}
        size = count = 0
        while self._stale and count < BATCH_VALUES and size < BATCH_BYTES:
            key = next(iter(self._stale))
            if key == _SNAPSHOT_ENDS:
                if count:
                    break
                del self._stale[key]
                return encode_message(Complete())
            del self._stale[key]
            value = self._read(key)
            if isinstance(value, int):
                single["policy_version"] = encode_value(value)
            elif isinstance(value, Lifted):
                lists.setdefault("lifted", []).append(encode_value(value.network))
            elif value is None:
                if key.startswith(TUNNELS):
                    lists.setdefault("gone", []).append(encode_value(key))
            else:
                text = encode_value(value)
                size += len(text)
                if type(value) in _SINGLE:
                    single[_SINGLE[type(value)]] = text
                elif type(value) in _LISTS:
                    lists.setdefault(_LISTS[type(value)], []).append(text)
            count += 1
        return encode_told(lists, single) if count else None

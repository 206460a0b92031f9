"""
What is in a hurry: revocations, and bans of operators, told by the links beside the registry.

The registry brings them to every edge as well, when it is there. So a notice that is heard twice changes nothing, and
the number of those that are kept for an edge that comes back is bounded: the newest. Pure.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from warp_twisted.registry.ban_records import BANS, KeptBan
from warp_twisted.registry.model import Revocation

MAX_NOTICES = 4096
RENEWALS = "renewals/"  # and an agent: under which key its renewal is told, which is no key of the registry


@dataclass(frozen=True, slots=True)
class Lifted:
    """A network that an operator has let in again."""

    network: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """
    A certificate that the edge which says so has issued to an agent; see `edge.peers.renewals`.

    :param expires_at: when it ends, in seconds since the epoch.
    :param key_sha256: of its public key, as `ca.returning.key_fingerprint` writes it.
    """

    agent: str
    expires_at: float
    key_sha256: str


Notice = Revocation | KeptBan | Lifted


class Notices:
    """The newest notices by key: one of an agent, one of a network."""

    def __init__(self) -> None:
        self._by_key: OrderedDict[str, Notice] = OrderedDict()

    def __iter__(self) -> Iterator[str]:
        """Yield the keys, the oldest first."""
        return iter(self._by_key)

    def get(self, key: str) -> Notice | None:
        """Return a notice."""
        return self._by_key.get(key)

    def add(self, notice: Notice) -> str | None:
        """Note one, and return its key; None if it is known already."""
        key = BANS + notice.network if isinstance(notice, KeptBan | Lifted) else notice.key
        if self._by_key.get(key) == notice:
            return None
        self._by_key[key] = notice
        self._by_key.move_to_end(key)
        if len(self._by_key) > MAX_NOTICES:
            self._by_key.popitem(last=False)
        return key

    def drop(self, key: str) -> None:
        """Forget one."""
        self._by_key.pop(key, None)

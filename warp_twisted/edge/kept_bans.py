"""
Bans that operators make, kept in the registry: they outlive the edge, and every edge of the registry has them.

Bans that edges make themselves are not kept: they are short, many, and made again where they are deserved. A ban acts
here first, other edges are told over their links, and it is kept then: who bans is in a hurry, and has the ban at all
edges also while the registry is away. It ends what the network has open, too, also at a process of this edge that
drains.
"""

from collections.abc import Callable, Sequence
from itertools import islice

from twisted.logger import Logger

from warp_base.wall_clock import WallClock
from warp_twisted.edge.peers.notices import Lifted
from warp_twisted.edge.policy.banning import Banning
from warp_twisted.policy.bans import parse_network
from warp_twisted.registry.ban_records import BANS, KeptBan
from warp_twisted.registry.errors import RegistryError
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Change, encode
from warp_twisted.registry.store import Delete, Put, Store

MAX_KEPT = 1_000  # what is more belongs into a list of sources
MAX_FORGOTTEN = 100  # bans that have ended, with each that is made


class KeptBans:
    """
    The bans of operators.

    :param mirror: heard from now on; it should not have been started yet.
    :param banning: turns away who is banned, at this edge.
    :param cut: ends what a network that is banned has open.
    :param tell: tells all other edges.
    """

    _log = Logger()

    def __init__(
        self,
        store: Store,
        mirror: Mirror,
        banning: Banning,
        wall: WallClock,
        cut: Callable[[str], None] = lambda network: None,
        tell: Callable[[KeptBan | Lifted], None] = lambda notice: None,
    ) -> None:
        self._cut = cut
        self._store = store
        self._mirror = mirror
        self._banning = banning
        self._wall = wall
        self._tell = tell
        self._unkept: set[str] = set()  # networks that other edges were told of, but not the registry
        mirror.subscribe(self._registry_changed)

    async def add(self, text: str, seconds: float, reason: str) -> tuple[str, str]:
        """
        Ban a network, or replace its ban.

        :param text: an address, or the network; see `parse_network`.
        :returns: the network, as it is written, and why the ban is not kept but ends with this edge; empty if it is.
        :raises EdgeError: if it is never banned, or there is no room; then nothing has changed.
        :raises ValueError: if it is no network that can be banned.
        """
        network, now = parse_network(text), self._wall.now()
        shown = self._banning.add(text, seconds, reason)
        self._cut(network)
        known = self._mirror.kept_bans
        ended = list(islice((each for each in known.values() if each.until <= now), MAX_FORGOTTEN))
        if network not in known and len(known) - len(ended) >= MAX_KEPT:
            return shown, f"{MAX_KEPT} bans are kept, which is most; deny sources in the policy instead"
        ban = KeptBan(network=network, seconds=seconds, until=now + seconds, reason=reason)
        forgotten = [Delete(each.key) for each in ended if each.network != network]
        self._tell(ban)
        try:
            await self._store.transact([], [Put(ban.key, encode(ban)), *forgotten])
        except RegistryError as error:
            if len(self._unkept) < MAX_KEPT:
                self._unkept.add(network)
            return shown, f"it could not be written down: {error}"
        return shown, ""

    async def remove(self, text: str) -> bool:
        """
        End a ban; return whether there was one.

        :raises ValueError: as of `add`.
        :raises RegistryError: if it may be kept still, as the registry cannot be written. It is over at this edge.
        """
        network = parse_network(text)
        was_banned = self._banning.remove(text)
        if network in self._unkept or network in self._mirror.kept_bans:
            self._unkept.discard(network)
            self._tell(Lifted(network))
        was_kept = await self._store.delete(BANS + network)
        return was_banned or was_kept

    def _registry_changed(self, changes: Sequence[Change]) -> None:
        """Follow what is kept: also what other edges' operators do, and all of it at the start."""
        now = self._wall.now()
        for change in changes:
            before, after = change.before, change.after
            if isinstance(after, KeptBan):
                left = after.seconds_left(now)
                if left > 0 and not self._banning.put(after.network, left, after.reason):
                    self._log.warn("a ban that is kept finds no room: {network}", network=after.network)
                elif left > 0:
                    self._cut(after.network)
            elif isinstance(before, KeptBan) and before.seconds_left(now) > 0:
                self._banning.lift(before.network)

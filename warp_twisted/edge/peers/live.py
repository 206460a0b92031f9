"""
Between the links and the registry's mirror: what this edge tells of itself, and where goes what is heard of others.

Live values go into the mirror. A revocation goes into the registry as well, and holds at once also while that is away.
A ban acts at this edge, and a renewal at another edge on the agent's tunnels here. A newer version of the policy makes
the mirror read the registry, whose watch may be dead.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_base.slices import in_steps
from warp_base.wall_clock import WallClock
from warp_twisted.edge.errors import BadPeerMessage
from warp_twisted.edge.peers.hearing import Heard
from warp_twisted.edge.peers.notices import RENEWALS, Lifted, Notice, Notices
from warp_twisted.edge.peers.renewals import Renewals
from warp_twisted.edge.peers.telling import POLICY_VERSION, Tellable
from warp_twisted.registry.acme.challenges import CHALLENGES
from warp_twisted.registry.ban_records import KeptBan
from warp_twisted.registry.edge_records import EDGE_POLICIES
from warp_twisted.registry.errors import RegistryError
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import EDGES, TUNNELS, Change, CurrentPolicy, Revocation, Tunnel, encode
from warp_twisted.registry.store import Put, Store

KEYS_IN_A_STEP = 256
FORGOTTEN_IN_A_STEP = 32


class Bans(Protocol):
    """The bans that act at this edge; see `edge.policy.banning`."""

    def put(self, network: str, seconds: float, reason: str) -> bool:
        """Ban a network for some time; return whether there was room."""

    def lift(self, network: str) -> bool:
        """Let a network in again."""


class LiveState:
    """
    What is told and what is heard.

    :param own: this edge's name.
    :param mirror: heard from now on; it should not have been started yet.
    :param renewals: of agents, that are told and heard.
    :ivar banned: called with each network that another edge's operator bans, for what it has open.
    :ivar lost: called with each tunnel of an edge that is lost, before it is forgotten.
    :ivar marked: called with keys whose values have changed, and whether they are in a hurry.
    """

    _log = Logger()

    def __init__(self, own: str, store: Store, mirror: Mirror, bans: Bans, wall: WallClock, renewals: Renewals) -> None:
        self._own = own
        self._tunnels = f"{TUNNELS}{own}/"
        self._entries = (EDGES + own, EDGE_POLICIES + own, CHALLENGES + own)
        self._store = store
        self._mirror = mirror
        self._bans = bans
        self.banned: Callable[[str], None] = lambda network: None
        self._wall = wall
        self._notices = Notices()
        self._renewals = renewals
        renewals.told = lambda key: self.marked([key], False)
        self.marked: Callable[[Sequence[str], bool], None] = lambda keys, is_first: None
        self.lost: Callable[[Tunnel], None] = lambda tunnel: None
        mirror.subscribe(self._registry_changed)

    # What is told.

    def read(self, key: str) -> Tellable:
        """Return what a key stands for now."""
        if key == POLICY_VERSION:
            return self._mirror.policy_version
        if key.startswith(RENEWALS):
            return self._renewals.get(key)
        notice = self._notices.get(key)
        return notice if notice is not None else self._mirror.value(key)

    def own_keys(self) -> Iterator[Sequence[str]]:
        """Yield the keys of all that there is to tell, some at a time."""
        yield (*self._entries, POLICY_VERSION, *self._notices)
        yield from in_steps(list(self._renewals), KEYS_IN_A_STEP)
        own = [tunnel for tunnel in self._mirror.tunnels.values() if tunnel.edge == self._own]
        for at in range(0, len(own), KEYS_IN_A_STEP):
            yield [tunnel.key for tunnel in own[at : at + KEYS_IN_A_STEP]]

    def note(self, notice: Notice) -> None:
        """Tell all edges of something in a hurry."""
        key = self._notices.add(notice)
        if key is not None:
            self.marked([key], True)

    def _registry_changed(self, changes: Sequence[Change]) -> None:
        tunnels = [change.key for change in changes if change.key.startswith(self._tunnels)]
        if tunnels:
            self.marked(tunnels, False)
        for change in changes:
            after, before = change.after, change.before
            if change.key in self._entries:
                self.marked([change.key], True)
            elif isinstance(after, Revocation | KeptBan):
                self.note(after)
            elif isinstance(after, CurrentPolicy):
                self.marked([POLICY_VERSION], True)
            elif isinstance(before, Revocation):
                self._notices.drop(change.key)
            elif isinstance(before, KeptBan):
                if before.seconds_left(self._wall.now()) > 0:
                    self.note(Lifted(before.network))
                else:
                    self._notices.drop(change.key)

    # What is heard.

    def heard(self, told: Heard) -> None:
        """
        Do what follows from what an edge told.

        :raises BadPeerMessage: if it names a tunnel as another edge's is named; then nothing of it is believed.
        """
        for value in told.values.values():
            known = self._mirror.tunnels.get(value.id) if isinstance(value, Tunnel) else None
            if value is not None and known is not None and known.key != value.key:
                raise BadPeerMessage("a tunnel with the id of one of another edge")
        if told.values:
            self._mirror.learn(told.values)
        for revocation in told.revocations:
            self._revoke(revocation)
        now = self._wall.now()
        for ban in told.bans:
            left = ban.seconds_left(now)
            if left > 0 and self._notices.add(ban) is not None:
                self._bans.put(ban.network, left, ban.reason)
                self.banned(ban.network)
        for network in told.lifted:
            if self._notices.add(Lifted(network)) is not None:
                self._bans.lift(network)
        for renewal in told.renewals:
            self._renewals.hear(renewal)
        if told.policy_version > self._mirror.policy_version:
            self._mirror.read_again()

    def forgetting(self, keys: Collection[str], *, is_lost: bool = False) -> Iterator[None]:
        """
        Take what an edge told out of the mirror; its own entry first, so that DNS follows at once.

        :param is_lost: whether it left without a goodbye: then `lost` is told of its tunnels before, and meanwhile the
            edge is named as one that drains, only where there is no other.
        """
        if is_lost:
            yield from self._losing(keys)
        ordered = sorted(keys, key=lambda key: key.startswith(TUNNELS))
        for at in range(0, len(ordered), FORGOTTEN_IN_A_STEP):
            self._mirror.learn(dict.fromkeys(ordered[at : at + FORGOTTEN_IN_A_STEP]))
            yield

    def _losing(self, keys: Collection[str]) -> Iterator[None]:
        for edge in [edge for edge in self._mirror.edges.values() if edge.key in keys]:
            self._mirror.learn({edge.key: replace(edge, draining=True)})
        for at, key in enumerate(key for key in keys if key.startswith(TUNNELS)):
            tunnel = self._mirror.value(key)
            if isinstance(tunnel, Tunnel):
                self.lost(tunnel)
            if at % FORGOTTEN_IN_A_STEP == 0:
                yield

    def _revoke(self, revocation: Revocation) -> None:
        if revocation.agent not in self._mirror.revocations:
            self._log.info("agent {agent} was revoked at another edge", agent=revocation.agent)
            insisted: Deferred[bool] = self._store.insist([Put(revocation.key, encode(revocation))])
            insisted.addErrback(self._not_kept)

    def _not_kept(self, failure: Failure) -> None:
        failure.trap(RegistryError)
        self._log.error("a revocation could not be noted: {error}", error=failure.value)

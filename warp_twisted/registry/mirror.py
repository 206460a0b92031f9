"""
The registry's content in this process: read once, kept current by a watch, and reported to subscribers.

Whatever decides by what the registry knows reads the mirror, never the store, so nothing on the data path waits.
When the store is away the last content stays, and `is_current` says that it may be old.

Two halves come together here. What lasts is in the store. What an edge says of itself as long as it runs
(`model.is_live`) is in a store in this process for this edge, and is told by the links for the others (`learn`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from warp_twisted.registry.acme.challenges import EdgeChallenges
from warp_twisted.registry.acme.records import CURRENT_ACCOUNT, AcmeAccount, AcmeOrder, OrderedCertificate
from warp_twisted.registry.ban_records import KeptBan
from warp_twisted.registry.edge_records import EdgePolicy, EdgeRecord
from warp_twisted.registry.errors import BadValue, RegistryError
from warp_twisted.registry.model import (
    CURRENT_POLICY,
    ROOT,
    Agent,
    Change,
    CurrentPolicy,
    Edge,
    GivenName,
    JoinToken,
    Owner,
    PolicyVersion,
    Revocation,
    ServiceToken,
    Snapshot,
    Tunnel,
    Value,
    decode,
    is_live,
)
from warp_twisted.registry.route_records import Guarded, RouteKey, Shift
from warp_twisted.registry.store import Event, Listing, Store, Watch

RETRY_SECONDS = 1.0

V = TypeVar("V", bound=Value)


class Mirror:
    """
    A live copy of a registry.

    :param store: what is mirrored.
    :param clock: times the retries when the store is away.
    :param live: holds this edge's live values; None: they are in `store`, and there are no other edges.
    """

    _log = Logger()

    def __init__(self, store: Store, clock: IReactorTime, live: Store | None = None) -> None:
        self._store = store
        self._live = live
        self._live_watch: Watch | None = None
        self._clock = clock
        self._values: dict[str, Value] = {}
        self._revision = 0
        self._watch: Watch | None = None
        self._reading: Deferred[None] | None = None
        self._retry: IDelayedCall | None = None
        self._subscribers: list[Callable[[Sequence[Change]], None]] = []
        self.edges: dict[str, Edge] = {}
        self.edge_records: dict[str, EdgeRecord] = {}
        self.tunnels: dict[str, Tunnel] = {}
        self.agents: dict[str, Agent] = {}
        self.tokens: dict[str, JoinToken] = {}
        self.revocations: dict[str, Revocation] = {}
        self.given_names: dict[str, GivenName] = {}
        self.owners: dict[str, Owner] = {}
        self.service_tokens: dict[str, ServiceToken] = {}
        self.edge_policies: dict[str, EdgePolicy] = {}
        self.challenges: dict[str, EdgeChallenges] = {}
        self._accounts: dict[str, AcmeAccount] = {}
        self.acme_orders: dict[str, AcmeOrder] = {}
        self.ordered_certificates: dict[str, OrderedCertificate] = {}
        self.policy_versions: dict[str, PolicyVersion] = {}
        self.route_keys: dict[str, RouteKey] = {}
        self.shifts: dict[str, Shift] = {}
        self.guarded: dict[str, Guarded] = {}
        self.kept_bans: dict[str, KeptBan] = {}
        self._current_policy: dict[str, CurrentPolicy] = {}

    @property
    def is_current(self) -> bool:
        """Whether changes arrive, rather than what is here being the last that was known."""
        return self._watch is not None

    @property
    def revision(self) -> int:
        """The registry's revision that is mirrored."""
        return self._revision

    @property
    def policy_version(self) -> int:
        """The number of the policy's version that edges are to have in force; 0 while there is none."""
        current = self._current_policy.get(CURRENT_POLICY)
        return current.number if current is not None else 0

    @property
    def acme_account(self) -> AcmeAccount | None:
        """The account at a certificate authority."""
        return self._accounts.get(CURRENT_ACCOUNT)

    def snapshot(self) -> Snapshot:
        """Return everything as it is now; later changes do not touch it."""
        return Snapshot(
            revision=self._revision,
            edges=dict(self.edges),
            tunnels=dict(self.tunnels),
            agents=dict(self.agents),
            tokens=dict(self.tokens),
            revocations=dict(self.revocations),
        )

    def subscribe(self, changed: Callable[[Sequence[Change]], None]) -> Callable[[], None]:
        """
        Call a function with all changes of one moment at a time.

        :returns: call it to hear no more.
        """
        self._subscribers.append(changed)
        return lambda: self._subscribers.remove(changed)

    async def start(self) -> None:
        """
        Read everything, then follow.

        :raises RegistryError: if the store cannot be read; nothing is followed then.
        """
        if self._live is not None and self._live_watch is None:
            self._live_watch = self._live.watch(ROOT, 0, self._live_changed, self._live_lost)
        self._follow(await self._store.range(ROOT))

    def value(self, key: str) -> Value | None:
        """Return what a key holds."""
        return self._values.get(key)

    def learn(self, values: Mapping[str, Value | None]) -> None:
        """Take in live values of other edges; None: there is none any more."""
        self._announce([self._change(key, value) for key, value in values.items()])

    def read_again(self) -> None:
        """Read the store anew, as it is said to hold what was not told; nothing happens while that is under way."""
        if self._watch is not None and self._reading is None:
            self._watch.cancel()
            self._watch = None
            self._read_again()

    def stop(self) -> None:
        """Follow no more; the content stays."""
        if self._live_watch is not None:
            self._live_watch.cancel()
            self._live_watch = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._reading is not None:
            self._reading.cancel()

    def _follow(self, listing: Listing) -> None:
        found = {item.key: item.value for item in listing.items if self._is_stored(item.key)}
        gone = [self._change(key, None) for key in self._values.keys() - found.keys() if self._is_stored(key)]
        self._announce(gone + [self._change(key, self._read(key, text)) for key, text in found.items()])
        self._revision = listing.revision
        self._watch = self._store.watch(ROOT, listing.revision, self._changed, self._lost)

    def _changed(self, events: Sequence[Event]) -> None:
        self._revision = events[-1].revision
        self._apply([event for event in events if self._is_stored(event.key)])

    def _live_changed(self, events: Sequence[Event]) -> None:
        self._apply(events)

    def _live_lost(self, error: RegistryError) -> None:
        self._live_watch = None  # this process ends, as the store is in it

    def _apply(self, events: Sequence[Event]) -> None:
        self._announce(
            [
                self._change(event.key, self._read(event.key, event.item.value) if event.item is not None else None)
                for event in events
            ]
        )

    def _is_stored(self, key: str) -> bool:
        return self._live is None or not is_live(key)

    def _lost(self, error: RegistryError) -> None:
        self._log.warn("the registry is not followed for now: {error}", error=error)
        self._watch = None
        self._read_again_later()

    def _read_again_later(self) -> None:
        self._retry = self._clock.callLater(RETRY_SECONDS, self._read_again)

    def _read_again(self) -> None:
        self._retry = None
        self._reading = Deferred.fromCoroutine(self._attempt())

    async def _attempt(self) -> None:
        try:
            await self.start()
        except CancelledError:
            return
        except RegistryError as error:
            self._log.warn("the registry cannot be read: {error}", error=error)
            self._read_again_later()
        finally:
            self._reading = None

    def _read(self, key: str, text: bytes) -> Value | None:
        """Read a value; None if it cannot be read."""
        try:
            return decode(key, text)
        except BadValue as error:
            self._log.warn("the registry holds what cannot be read: {error}", error=error)
            return None

    def _change(self, key: str, after: Value | None) -> Change | None:
        """Apply one key, and say what changed; None when nothing did."""
        before = self._values.get(key)
        if before == after:
            return None
        if before is not None:
            self._put(before, present=False)
            del self._values[key]
        if after is not None:
            self._put(after, present=True)
            self._values[key] = after
        return Change(key=key, before=before, after=after)

    def _put(self, value: Value, present: bool) -> None:
        match value:
            case Edge():
                _set(self.edges, value.name, value, present)
            case EdgeRecord():
                _set(self.edge_records, value.name, value, present)
            case Tunnel():
                _set(self.tunnels, value.id, value, present)
            case Agent():
                _set(self.agents, value.id, value, present)
            case JoinToken():
                _set(self.tokens, value.id, value, present)
            case Revocation():
                _set(self.revocations, value.agent, value, present)
            case GivenName():
                _set(self.given_names, value.hostname, value, present)
            case Owner():
                _set(self.owners, value.hostname, value, present)
            case ServiceToken():
                _set(self.service_tokens, value.id, value, present)
            case RouteKey():
                _set(self.route_keys, value.key, value, present)
            case Shift():
                _set(self.shifts, value.hostname, value, present)
            case Guarded():
                _set(self.guarded, value.hostname, value, present)
            case EdgePolicy():
                _set(self.edge_policies, value.edge, value, present)
            case EdgeChallenges():
                _set(self.challenges, value.edge, value, present)
            case AcmeAccount():
                _set(self._accounts, value.key, value, present)
            case AcmeOrder():
                _set(self.acme_orders, value.name, value, present)
            case OrderedCertificate():
                _set(self.ordered_certificates, value.name, value, present)
            case KeptBan():
                _set(self.kept_bans, value.network, value, present)
            case PolicyVersion():
                _set(self.policy_versions, value.key, value, present)
            case CurrentPolicy():
                _set(self._current_policy, value.key, value, present)

    def _announce(self, changes: Sequence[Change | None]) -> None:
        real = [change for change in changes if change is not None]
        if not real:
            return
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(real)
            except Exception:
                self._log.failure("a subscriber to the registry failed")


def _set(table: dict[str, V], key: str, value: V, present: bool) -> None:
    if present:
        table[key] = value
    else:
        table.pop(key, None)

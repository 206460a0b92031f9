"""
Claims: values that this process keeps in the registry for as long as it stands behind them.

All of them hang on one lease, which is kept alive here, so that an edge with 16,000 tunnels has one keep-alive and not
16,000. What is claimed, changed and released in one turn of the reactor is written in one transaction, a bounded batch
a turn. If the lease is lost all the same (the process slept, the store was away for longer), every value is put again
under a new one; if the store is away, it is tried again until it is back. Callers say what should be there and go on.
"""

from collections import OrderedDict
from collections.abc import Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_twisted.registry.errors import LeaseNotFound, RegistryError, TooLarge
from warp_twisted.registry.model import Value, encode
from warp_twisted.registry.store import NO_LEASE, Delete, LeaseId, Operation, Put, Store

SWEEP_SECONDS = 1.0
KEEP_ALIVES_PER_TTL = 3  # two may fail before the lease runs out
BATCH = 32  # values written in one transaction, in 2 to 3 ms; the watches hear of them in one turn


class Claim:
    """
    One value that should be in the registry.

    :ivar key: where it is.
    :ivar value: what should be there now; None: nothing, the claim is over.
    :ivar stored: what the registry is known to hold.
    """

    __slots__ = ("_claims", "key", "stored", "value")

    def __init__(self, claims: "Claims", value: Value) -> None:
        self._claims = claims
        self.key = value.key
        self.value: Value | None = value
        self.stored: Value | None = None

    @property
    def is_settled(self) -> bool:
        """Whether the registry is known to hold what it should."""
        return self.stored is self.value

    def update(self, value: Value) -> Deferred[None]:
        """Put another value under the same key; fires as `Claims.put`'s Deferred does."""
        self.value = value
        return self._claims.settle(self)

    def keep_to(self, value: Value) -> Deferred[None]:
        """Do as `update`, but nothing if that is what should be there already, or the claim is over."""
        if self.value is None or self.value == value:
            return succeed(None)
        return self.update(value)

    def release(self) -> Deferred[None]:
        """Take the value out; fires as `Claims.put`'s Deferred does."""
        self.value = None
        return self._claims.settle(self)


class Claims:
    """
    All claims of this process.

    :ivar ttl_seconds: how long a value stays when this process vanishes; may be changed.
    """

    _log = Logger()

    def __init__(self, store: Store, clock: IReactorTime, ttl_seconds: float) -> None:
        self.ttl_seconds = ttl_seconds
        self._store = store
        self._clock = clock
        self._lease: LeaseId = NO_LEASE
        self._lease_seconds = ttl_seconds
        self._keep_at = 0.0
        self._claims: set[Claim] = set()  # those whose value is there, or should be
        self._dirty: OrderedDict[Claim, None] = OrderedDict()  # to be written, in the order in which they changed
        self._waiting: dict[Claim, list[Deferred[None]]] = {}
        self._call: IDelayedCall | None = None
        self._working: Deferred[None] | None = None  # a batch that is being written, or a keep-alive
        self._sweep = LoopingCall(self._sweep_once)
        self._sweep.clock = clock
        self._is_failing = False

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt to reach the store failed."""
        return self._is_failing

    def start(self) -> None:
        """Begin to keep claims alive."""
        self._sweep.start(SWEEP_SECONDS, now=False)

    async def stop(self) -> None:
        """Release every claim, and keep none alive any more; a store that is away forgets them with their lease."""
        if self._sweep.running:
            self._sweep.stop()
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._working is not None:
            await self._working
        for claim in self._claims:
            claim.value = None
            self._dirty[claim] = None
        self._is_failing = False
        while self._dirty and not self._is_failing:
            await self._write_batch()
        lease, self._lease = self._lease, NO_LEASE
        if lease != NO_LEASE:
            try:
                await self._store.revoke(lease)
            except RegistryError as error:
                self._failed(error)

    def put(self, value: Value) -> tuple[Claim, Deferred[None]]:
        """
        Claim a value.

        :returns: the claim, and a Deferred that fires after one attempt to write it, successful or not; a failed one
            is repeated later.
        """
        claim = Claim(self, value)
        self._claims.add(claim)
        return claim, self.settle(claim)

    def settle(self, claim: Claim) -> Deferred[None]:
        """Make the registry hold what a claim says, in the next turn; fires as `put`'s Deferred does."""
        done: Deferred[None] = Deferred()
        self._waiting.setdefault(claim, []).append(done)
        self._dirty[claim] = None
        self._write_soon()
        return done

    # Writing.

    def _write_soon(self) -> None:
        if self._call is None and self._working is None:
            self._call = self._clock.callLater(0, self._begin)

    def _begin(self) -> None:
        self._call = None
        self._work(Deferred.fromCoroutine(self._write_batch()))

    def _work(self, work: Deferred[None]) -> None:
        self._working = work
        work.addErrback(self._not_done).addBoth(self._worked)

    def _worked(self, result: None) -> None:
        self._working = None
        if self._dirty and not self._is_failing:
            self._write_soon()  # in another turn

    async def _write_batch(self) -> None:
        batch = [self._dirty.popitem(last=False)[0] for _ in range(min(BATCH, len(self._dirty)))]
        waiting = [done for claim in batch for done in self._waiting.pop(claim, ())]
        wanted = [(claim, claim.value) for claim in batch if not claim.is_settled]
        try:
            if wanted:
                await self._write(wanted)
                self._succeeded()
        except TooLarge as error:
            await self._write_each(wanted, error)
        except RegistryError as error:
            self._failed(error)
            self._dirty.update((claim, None) for claim, _ in wanted)
        for done in waiting:
            done.callback(None)

    async def _write_each(self, wanted: Sequence[tuple[Claim, Value | None]], error: RegistryError) -> None:
        """Write one after the other what is too large together, so that one that is too large fails alone."""
        for claim, value in wanted:
            try:
                if len(wanted) == 1:
                    raise error
                await self._write([(claim, value)])
            except RegistryError as refusal:
                self._failed(refusal)
                self._dirty[claim] = None

    async def _write(self, wanted: Sequence[tuple[Claim, Value | None]]) -> None:
        try:
            await self._store.transact([], await self._operations(wanted))
        except LeaseNotFound:
            self._begin_again()
            await self._store.transact([], await self._operations(wanted))
        for claim, value in wanted:
            claim.stored = value
            if value is None and claim.value is None:
                self._claims.discard(claim)

    async def _operations(self, wanted: Sequence[tuple[Claim, Value | None]]) -> list[Operation]:
        if self._lease == NO_LEASE and any(value is not None for _, value in wanted):
            self._lease_seconds = self.ttl_seconds
            self._lease = await self._store.grant(self._lease_seconds)
            self._keep_at = self._clock.seconds() + self._lease_seconds / KEEP_ALIVES_PER_TTL
        return [
            Delete(claim.key) if value is None else Put(claim.key, encode(value), self._lease)
            for claim, value in wanted
        ]

    def _begin_again(self) -> None:
        """Put everything under another lease: the one that was is lost, or of another length than it should be."""
        self._lease = NO_LEASE
        for claim in self._claims:
            claim.stored = None
            if claim.value is not None:
                self._dirty[claim] = None

    # The lease.

    def _sweep_once(self) -> None:
        if self._working is not None:
            return
        if self._lease != NO_LEASE and self._lease_seconds != self.ttl_seconds:
            self._begin_again()
        if self._dirty:
            self._write_soon()
        elif self._claims and self._lease != NO_LEASE and self._clock.seconds() >= self._keep_at:
            self._work(Deferred.fromCoroutine(self._keep_alive()))

    async def _keep_alive(self) -> None:
        try:
            await self._store.keep_alive(self._lease)
        except LeaseNotFound:
            self._begin_again()
        except RegistryError as error:
            self._failed(error)  # the next sweep tries again
        else:
            self._keep_at = self._clock.seconds() + self._lease_seconds / KEEP_ALIVES_PER_TTL
            self._succeeded()

    def _succeeded(self) -> None:
        if self._is_failing:
            self._is_failing = False
            self._log.info("the registry takes changes again")

    def _failed(self, error: RegistryError) -> None:
        if not self._is_failing:
            self._is_failing = True
            self._log.warn("the registry takes no changes for now: {error}", error=error)

    def _not_done(self, failure: Failure) -> None:
        self._log.failure("claims could not be written", failure=failure)

"""
Claims: values that this process keeps in the registry for as long as it stands behind them.

Each claim has a lease of its own, kept alive here. If the lease is lost all the same (the process slept, the store
was away for longer), the value is put again under a new one; if the store is away, it is tried again until it is
back. Callers say what should be there and go on.
"""

from collections import deque

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_twisted.registry.errors import LeaseNotFound, RegistryError
from warp_twisted.registry.model import Value, encode
from warp_twisted.registry.store import NO_LEASE, LeaseId, Store

SWEEP_SECONDS = 1.0
KEEP_ALIVES_PER_TTL = 3  # two may fail before the lease runs out


class Claim:
    """
    One value that should be in the registry.

    :ivar value: what should be there now; None: nothing, the claim is over.
    """

    __slots__ = ("_claims", "_lease", "_there", "_working", "due_at", "value")

    def __init__(self, claims: "Claims", value: Value) -> None:
        self._claims = claims
        self._lease: LeaseId = NO_LEASE
        self._there: Value | None = None
        self._working: Deferred[None] | None = None
        self.value: Value | None = value
        self.due_at = 0.0

    @property
    def is_settled(self) -> bool:
        """Whether the registry is known to hold what it should."""
        return self._working is None and self._there is self.value

    def update(self, value: Value) -> Deferred[None]:
        """Put another value under the same key; fires as `settle` does."""
        self.value = value
        return self.settle()

    def release(self) -> Deferred[None]:
        """Take the value out now; fires as `settle` does."""
        self.value = None
        return self.settle()

    def settle(self) -> Deferred[None]:
        """
        Make the registry hold what it should.

        :returns: fires after one attempt, successful or not; a failed one is repeated by and by.
        """
        if self._working is None:
            self._working = Deferred.fromCoroutine(self._work())
            if self._working.called:
                self._working = None
        done: Deferred[None] = Deferred()
        if self._working is None:
            done.callback(None)
        else:
            self._working.addBoth(lambda result: done.callback(None))
        return done

    async def keep_alive(self) -> None:
        """Let the lease run for its full time again, or take a new one if it is lost."""
        if self._lease != NO_LEASE and self._there is not None:
            try:
                await self._claims.store.keep_alive(self._lease)
            except LeaseNotFound:
                self._lease, self._there = NO_LEASE, None
            except RegistryError as error:
                self._claims.failed(error)
                return
        await self.settle()

    async def _work(self) -> None:
        try:
            while self._there is not self.value:
                wanted = self.value
                if wanted is None:
                    await self._end_lease()
                else:
                    await self._put(wanted)
                self._there = wanted
            self._claims.succeeded()
        except RegistryError as error:
            self._claims.failed(error)
        finally:
            self._working = None

    async def _put(self, value: Value) -> None:
        store = self._claims.store
        if self._lease == NO_LEASE:
            self._lease = await store.grant(self._claims.ttl_seconds)
        try:
            await store.put(value.key, encode(value), self._lease)
        except LeaseNotFound:
            self._lease = await store.grant(self._claims.ttl_seconds)
            await store.put(value.key, encode(value), self._lease)

    async def _end_lease(self) -> None:
        lease, self._lease = self._lease, NO_LEASE
        if lease != NO_LEASE:
            try:
                await self._claims.store.revoke(lease)
            except RegistryError:
                self._lease = lease
                raise


class Claims:
    """
    All claims of this process.

    :param ttl_seconds: how long a value stays when this process vanishes.
    """

    _log = Logger()

    def __init__(self, store: Store, clock: IReactorTime, ttl_seconds: float) -> None:
        self.store = store
        self.ttl_seconds = ttl_seconds
        self._clock = clock
        self._queue: deque[Claim] = deque()  # ordered by due_at, as each waits equally long
        self._sweep = LoopingCall(self._keep_due_alive)
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
        """Release every claim, and keep none alive any more."""
        if self._sweep.running:
            self._sweep.stop()
        claims, self._queue = self._queue, deque()
        await gatherResults([claim.release() for claim in claims])

    def claim(self, value: Value) -> Claim:
        """Say that a value should be in the registry; `settle` the claim to put it there."""
        claim = Claim(self, value)
        self._wait_turn(claim)
        return claim

    def put(self, value: Value) -> tuple[Claim, Deferred[None]]:
        """Claim a value and put it there; the Deferred fires as `Claim.settle`'s does."""
        claim = self.claim(value)
        return claim, claim.settle()

    def succeeded(self) -> None:
        """Note that the store was reached."""
        if self._is_failing:
            self._is_failing = False
            self._log.info("the registry takes changes again")

    def failed(self, error: RegistryError) -> None:
        """Note that the store was not reached; said once until it is again."""
        if not self._is_failing:
            self._is_failing = True
            self._log.warn("the registry takes no changes for now: {error}", error=error)

    def _wait_turn(self, claim: Claim) -> None:
        claim.due_at = self._clock.seconds() + self.ttl_seconds / KEEP_ALIVES_PER_TTL
        self._queue.append(claim)

    def _keep_due_alive(self) -> None:
        now = self._clock.seconds()
        due: list[Claim] = []
        while self._queue and self._queue[0].due_at <= now:
            due.append(self._queue.popleft())
        for claim in due:
            if claim.value is None and claim.is_settled:
                continue
            self._wait_turn(claim)
            Deferred.fromCoroutine(claim.keep_alive()).addErrback(self._not_kept)

    def _not_kept(self, failure: Failure) -> None:
        self._log.failure("a lease was not kept alive", failure=failure)

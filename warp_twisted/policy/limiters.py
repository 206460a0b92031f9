"""
Limiters: the counts of one limit for all its keys.

Pure. A rate lets a key spend its burst, then so much a second; what is concurrent is counted until it is given back.
"""

from collections.abc import Hashable

from warp_base.token_buckets import MAX_KEYS, TokenBuckets
from warp_twisted.policy.document.limits import CONCURRENT, Limit

RETRY_SECONDS = 1.0  # said when something concurrent must end first: nobody knows when it will


class RateLimiter:
    """So many units a second for each key."""

    def __init__(self, limit: Limit, most_keys: int = MAX_KEYS) -> None:
        self._buckets = TokenBuckets(limit.per_second, limit.burst_units, max_keys=most_keys)

    @property
    def per_second(self) -> float:
        """Units that each key gains a second, now."""
        return self._buckets.per_second

    @property
    def burst(self) -> float:
        """Units that a key may have at once, now."""
        return self._buckets.burst

    def take(self, key: Hashable, price: float, now: float) -> float:
        """Take units; see `Limiter.take`."""
        return self._buckets.take(key, now, price)

    def charge(self, key: Hashable, price: float, now: float) -> float:
        """Take units in any case; return the seconds until what is missing is paid."""
        return self._buckets.charge(key, now, price)

    def refund(self, key: Hashable, price: float) -> None:
        """Give back units that were charged and not used."""
        self._buckets.refund(key, price)

    def give_back(self, key: Hashable, price: float) -> None:
        """Nothing comes back of a rate."""

    def __len__(self) -> int:
        """Return how many keys are known by themselves."""
        return self._buckets.known()


class ConcurrencyLimiter:
    """So many units at the same time for each key; there are as many keys as units in use, so memory is bounded."""

    def __init__(self, limit: Limit) -> None:
        self._most = float(limit.most or 1)
        self._in_use: dict[Hashable, float] = {}

    def take(self, key: Hashable, price: float, now: float) -> float:
        """Take units; see `Limiter.take`."""
        in_use = self._in_use.get(key, 0.0) + price
        if in_use > self._most:
            return RETRY_SECONDS
        self._in_use[key] = in_use
        return 0.0

    def give_back(self, key: Hashable, price: float) -> None:
        """Give units back."""
        left = self._in_use.get(key, 0.0) - price
        if left > 0:
            self._in_use[key] = left
        else:
            self._in_use.pop(key, None)

    def __len__(self) -> int:
        return len(self._in_use)


AnyLimiter = RateLimiter | ConcurrencyLimiter


def follow(limiter: AnyLimiter, other: AnyLimiter) -> None:
    """Go on with what another limiter of the same kind allows; what was counted stays. A fraction of a microsecond."""
    if isinstance(limiter, RateLimiter) and isinstance(other, RateLimiter):
        limiter._buckets.per_second = other._buckets.per_second
        limiter._buckets.burst = other._buckets.burst
    elif isinstance(limiter, ConcurrencyLimiter) and isinstance(other, ConcurrencyLimiter):
        limiter._most = other._most


def make_limiter(limit: Limit, most_keys: int = MAX_KEYS) -> AnyLimiter:
    """
    Make the limiter of a limit's kind.

    :param most_keys: that a rate counts each by itself.
    """
    return ConcurrencyLimiter(limit) if limit.of in CONCURRENT else RateLimiter(limit, most_keys)

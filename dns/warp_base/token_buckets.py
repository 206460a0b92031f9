"""
Token buckets for many peers at once: what each peer causes has a price, and each peer's rate is bounded.

The algorithm is GCRA, the virtual scheduling form of a token bucket (ITU-T I.371): one float for each key, the instant
at which the key's bucket will be full again. A key with a full bucket may be forgotten, one that owes may not: with
each new key two known ones are looked at, and those that owe nothing go. While as many keys owe as there is room for,
new ones are counted in two rows of shared slots (a count-min sketch), where keys that meet in both wait for each other.

Pure: instants are arguments, of any clock that only goes forward.
"""

import secrets
from array import array
from collections.abc import Hashable

MAX_KEYS = 170_000  # just below where a dict grows to twice the size: some 25 MB with short strings as keys
LOOKED_AT = 2  # known keys for each new one, so that those which owe nothing go faster than others come
SHARED_SLOTS = 1 << 15  # in each of the two rows: half a megabyte, which exists only while more keys owe than fit


class TokenBuckets:
    """
    One bucket for each key, all of one size and rate.

    What a key owes is never forgotten, whatever others do. At most `max_keys` keys are known each by itself.

    :ivar per_second: tokens that each bucket gains a second; may be changed at any time.
    :ivar burst: tokens in a full bucket; may be changed at any time.
    """

    __slots__ = ("_looked_at", "_max_keys", "_shared", "_to_look_at", "burst", "per_second")

    def __init__(self, per_second: float, burst: float, *, max_keys: int = MAX_KEYS) -> None:
        """
        Begin with full buckets.

        :param per_second: more than 0.
        :param burst: 1 or more.
        """
        self.per_second = per_second
        self.burst = burst
        self._max_keys = max_keys
        self._looked_at: dict[Hashable, float] = {}  # and those that are new
        self._to_look_at: dict[Hashable, float] = {}
        self._shared: SharedSlots | None = None

    def take(self, key: Hashable, now: float, price: float = 1.0) -> float:
        """
        Take the price from a key's bucket, if it holds so much.

        A price above `burst` is granted when the bucket is full, and is then paid off as debt, so that nothing is
        impossible for ever.

        :param now: seconds of a clock that only goes forward.
        :returns: 0.0 if it was granted; else the seconds after which the same price will be granted, and nothing was
            taken.
        """
        where: dict[Hashable, float] | SharedSlots = self._looked_at
        full_at = self._looked_at.get(key)
        if full_at is None:
            where = self._to_look_at
            full_at = self._to_look_at.get(key)
            if full_at is None:
                where, full_at = self._room_for(key, now)
        per_second = self.per_second
        owed = (full_at - now) * per_second if full_at > now else 0.0
        burst = self.burst
        missing = owed + (price if price < burst else burst) - burst
        if missing > 1e-9:  # floats: a bucket that was emptied token by token is empty, not short of a billionth
            return missing / per_second
        where[key] = now + (owed + price) / per_second
        return 0.0

    def charge(self, key: Hashable, now: float, price: float) -> float:
        """
        Take the price of something that has happened already, whether or not the key's bucket holds so much.

        :returns: 0.0 if the bucket held it; else the seconds after which what is missing will be paid.
        """
        where: dict[Hashable, float] | SharedSlots
        if key in self._looked_at:
            where, full_at = self._looked_at, self._looked_at[key]
        elif key in self._to_look_at:
            where, full_at = self._to_look_at, self._to_look_at[key]
        else:
            where, full_at = self._room_for(key, now)
        where[key] = full_at = max(full_at, now) + price / self.per_second
        return max(0.0, full_at - now - self.burst / self.per_second)

    def refund(self, key: Hashable, price: float) -> None:
        """Give back what was charged for something that did not happen, unless the key shares slots with others."""
        for known in (self._looked_at, self._to_look_at):
            if key in known:
                known[key] -= price / self.per_second

    def forgive(self, key: Hashable) -> None:
        """Fill a key's bucket, unless it shares slots with others."""
        self._looked_at.pop(key, None)
        self._to_look_at.pop(key, None)

    def known(self) -> int:
        """Return how many keys take memory now."""
        return len(self._looked_at) + len(self._to_look_at)

    def _room_for(self, key: Hashable, now: float) -> "tuple[dict[Hashable, float] | SharedSlots, float]":
        """Return where a new key is to be kept, and when its bucket is full."""
        for _ in range(LOOKED_AT):
            if not self._to_look_at:
                if not self._looked_at:
                    break
                self._looked_at, self._to_look_at = {}, self._looked_at
            other, full_at = self._to_look_at.popitem()
            if full_at > now:
                self._looked_at[other] = full_at
        if self._shared is not None and self._shared.all_full_at <= now:
            self._shared = None
        full_at = now if self._shared is None else self._shared[key]
        if self.known() < self._max_keys:
            return self._looked_at, full_at
        if self._shared is None:
            self._shared = SharedSlots()
        return self._shared, full_at


class SharedSlots:
    """
    When buckets will be full, for any number of keys in fixed memory: never too early, at times too late.

    Each key has a slot in both rows, and the sooner of the two holds. Which keys meet in a slot is secret.

    :ivar all_full_at: when every bucket will be full.
    """

    __slots__ = ("_first", "_second", "_secret", "all_full_at")

    def __init__(self) -> None:
        self._first = array("d", bytes(8 * SHARED_SLOTS))
        self._second = array("d", bytes(8 * SHARED_SLOTS))
        self._secret = secrets.token_bytes(16)
        self.all_full_at = 0.0

    def __getitem__(self, key: Hashable) -> float:
        mixed = hash((self._secret, key))
        first, second = self._first[mixed % SHARED_SLOTS], self._second[(mixed >> 32) % SHARED_SLOTS]
        return first if first < second else second

    def __setitem__(self, key: Hashable, full_at: float) -> None:
        mixed = hash((self._secret, key))
        for row, slot in ((self._first, mixed % SHARED_SLOTS), (self._second, (mixed >> 32) % SHARED_SLOTS)):
            if row[slot] < full_at:
                row[slot] = full_at
        if self.all_full_at < full_at:
            self.all_full_at = full_at

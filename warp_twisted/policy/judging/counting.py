"""Limits, compiled: which limiter, and by which key it counts a request or a connection."""

from collections.abc import Callable, Hashable, Sequence

from warp_twisted.policy.changes import folded
from warp_twisted.policy.document.limits import HeaderKey, Limit
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.interfaces import Identity, Limiter

Key = Callable[[Facts, Sequence[Identity]], Hashable]
MAX_KEY = 256  # bytes of a field's value that tell keys apart


class CountedLimit:
    """
    One limit.

    :ivar by_identity: whether it counts by who was proven, so only after that.
    """

    __slots__ = ("by_identity", "key", "limit", "limiter")

    def __init__(self, limit: Limit, limiter: Limiter) -> None:
        self.limit = limit
        self.limiter = limiter
        self.by_identity = limit.key == "identity"
        self.key: Key = _per_hostname(_key_of(limit), limit)


def _key_of(limit: Limit) -> Key:
    key = limit.key
    if isinstance(key, HeaderKey):
        name = folded(key.header.encode())
        return lambda facts, identities: b",".join(facts.field(name).all)[:MAX_KEY]
    if key == "visitor":
        return lambda facts, identities: facts.visitor.network
    if key == "hostname":
        return lambda facts, identities: ""  # the hostname is added where each counts alone
    return _identity_key


def _identity_key(facts: Facts, identities: Sequence[Identity]) -> Hashable:
    """Return who was proven; where nobody was, the visitor's network, so that nobody shares a count with strangers."""
    return tuple((each.kind, each.subject) for each in identities) or facts.visitor.network


def _per_hostname(key: Key, limit: Limit) -> Key:
    if limit.per == "all":
        return key
    if limit.key == "hostname":
        return lambda facts, identities: facts.hostname
    if limit.key == "visitor":  # the usual one, in one call
        return lambda facts, identities: (facts.hostname, facts.visitor.network)
    return lambda facts, identities: (facts.hostname, key(facts, identities))

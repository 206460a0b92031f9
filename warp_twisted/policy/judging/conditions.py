"""
Conditions: one key of a `match` each, and whether it holds for a request.

In `match` a condition holds if any server could read the request so: it restricts. In `except`, where it permits, it
holds only if every server reads the request so. A path is compared by trees (`paths.tree`) that rules may share.
"""

from collections.abc import Sequence
from typing import Protocol

from warp_twisted.names import Hostname, HostnamePattern, LabelSelector
from warp_twisted.policy.changes import folded
from warp_twisted.policy.document.matches import Match
from warp_twisted.policy.document.values import listed
from warp_twisted.policy.facts import Facts, Values
from warp_twisted.policy.paths.globs import Glob, parse_glob
from warp_twisted.policy.sources.prefixes import Addresses


class Condition(Protocol):
    """One condition."""

    @property
    def key(self) -> str:
        """Which key of the match it is, such as `method` or `header X-Team`."""

    def holds(self, facts: Facts) -> bool:
        """Whether it holds for a request."""


class HostnameIs:
    """
    The hostname is one of some, or below one of some.

    :ivar names: in their normal form, `*.` before those below which hostnames are meant.
    """

    key = "hostname"

    def __init__(self, names: Sequence[str]) -> None:
        self._patterns = [HostnamePattern.parse(name) for name in names]
        self.names = tuple(pattern.text for pattern in self._patterns)

    def holds(self, facts: Facts) -> bool:
        """Whether it holds."""
        return self.covers(facts.hostname)

    def covers(self, hostname: str) -> bool:
        """Whether a hostname, in its normal form, is meant."""
        return any(pattern.allows(Hostname(hostname)) for pattern in self._patterns)


class MethodIs:
    """The method is one of some; GET stands for HEAD too, which is the same without the body (RFC 9110 §9.3.2)."""

    key = "method"

    def __init__(self, methods: Sequence[str]) -> None:
        self._methods = methods_of(methods)

    def holds(self, facts: Facts) -> bool:
        """Whether it holds."""
        return facts.method in self._methods


class SchemeIs:
    """The visitor came by http, or by https."""

    key = "scheme"

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme

    def holds(self, facts: Facts) -> bool:
        """Whether it holds."""
        return facts.scheme == self._scheme


class SourceIsIn:
    """
    The visitor's address is in a set.

    :ivar number: of the set, as `Visitor.is_in` has it.
    """

    key = "source"

    def __init__(self, number: int, addresses: Addresses) -> None:
        self.number = number
        self.addresses = addresses

    def holds(self, facts: Facts) -> bool:
        """Whether it holds."""
        return facts.visitor.is_in(self.number, self.addresses)


class LabelsMatch:
    """A selector matches the labels of one of the tunnels that may serve; where it permits, those of all of them."""

    key = "label"

    def __init__(self, selector: str, *, is_strict: bool) -> None:
        self._selector = LabelSelector.parse(selector)
        self._is_strict = is_strict

    def holds(self, facts: Facts) -> bool:
        """Whether it holds."""
        found = [self._selector.matches(labels) for labels in facts.labels]
        return all(found) and bool(found) if self._is_strict else any(found)


class _ValueIs:
    """A field or parameter has one of some values, is there, or is not."""

    def __init__(self, key: str, name: bytes, wanted: "str | list[str] | bool", *, is_strict: bool) -> None:
        self.key = key
        self._name = name
        self._is_strict = is_strict
        self._wanted: bool | list[bytes | Glob] = (
            wanted
            if isinstance(wanted, bool)
            else [parse_glob(text.encode()) or text.encode() for text in listed(wanted)]
        )

    def _holds_for(self, values: Values) -> bool:
        if self._wanted is True:
            return bool(values.all) and (values.is_plain or not self._is_strict)
        if self._wanted is False:
            return not values.all or not (values.is_plain or self._is_strict)
        if self._is_strict and not values.is_plain:
            return False
        return any(self._is_wanted(value) for value in values.all)

    def _is_wanted(self, value: bytes) -> bool:
        assert isinstance(self._wanted, list)  # noqa: S101 -- the caller has looked
        return any(value == each if isinstance(each, bytes) else each.matches(value) for each in self._wanted)


class FieldIs(_ValueIs):
    """A field of the request."""

    def holds(self, facts: Facts) -> bool:
        """Whether it holds."""
        return self._holds_for(facts.field(self._name))


class ParameterIs(_ValueIs):
    """A parameter of the query."""

    def holds(self, facts: Facts) -> bool:
        """Whether it holds."""
        return self._holds_for(facts.parameter(self._name))


def conditions_of(match: Match, source: SourceIsIn | None, *, is_strict: bool) -> tuple[Condition, ...]:
    """
    Return the conditions of a match, the cheap ones first; hostname and path are not among them.

    :param source: what its key `source` became.
    :param is_strict: whether it permits.
    """
    found: list[Condition] = []
    if match.scheme is not None:
        found.append(SchemeIs(match.scheme))
    if match.method is not None:
        found.append(MethodIs(listed(match.method)))
    if source is not None:
        found.append(source)
    if match.label is not None:
        found.append(LabelsMatch(match.label, is_strict=is_strict))
    for name, wanted in (match.header or {}).items():
        found.append(FieldIs(f"header {name}", folded(name.encode()), wanted, is_strict=is_strict))
    for name, wanted in (match.query or {}).items():
        found.append(ParameterIs(f"query {name}", name.encode(), wanted, is_strict=is_strict))
    return tuple(found)


def methods_of(methods: Sequence[str]) -> frozenset[bytes]:
    """Return methods as they come in requests, HEAD with GET."""
    found = {method.encode("ascii") for method in methods}
    return frozenset(found | {b"HEAD"} if b"GET" in found else found)

"""
Limits of connections: which are asked as soon as a visitor connects, and which once its hostname is known.

A connection is counted once by each limit and key, however many requests it carries. What it took of a limit on
concurrent ones is given back at its end. A rule with such limits matches by hostname, source and scheme only; of its
exceptions those count that ask for no more than that, as there is no request yet.

Pure: instants are arguments, of a clock that only goes forward.
"""

from collections.abc import Hashable, Iterable
from itertools import count

from warp_twisted.policy.facts import Facts
from warp_twisted.policy.interfaces import Identity, Limiter
from warp_twisted.policy.judging.counting import CountedLimit
from warp_twisted.policy.judging.rules import CompiledRule
from warp_twisted.policy.verdict import ALLOWED, CHECK_FAILED, TOO_MANY, Action, Objection, Verdict

MAX_COUNTS = 1_000  # limits and keys of one connection: one for so many hostnames is a connection of its own
_NOBODY: tuple[Identity, ...] = ()
_NUMBERS = count(1)


class Counts:
    """What one connection was counted by."""

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken: dict[tuple[Limiter, Hashable], None] = {}

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, limiter: Limiter, key: Hashable, now: float) -> float:
        """Count the connection by one limit, unless it is already; returns as `Limiter.take` does."""
        place = limiter, key
        if place in self._taken:
            return 0.0
        if len(self._taken) >= MAX_COUNTS:
            return 1.0
        wait = limiter.take(key, 1.0, now)
        if not wait:
            self._taken[place] = None
        return wait

    def give_back(self) -> None:
        """The connection is over, or is not let in: give back what is concurrent."""
        taken, self._taken = self._taken, {}
        for limiter, key in taken:
            limiter.give_back(key, 1.0)


class ConnectionLimits:
    """
    The limits of connections of some rules that are asked at the same moment.

    :ivar number: no other ones have it.
    """

    __slots__ = ("_limits", "number")

    def __init__(self, limits: Iterable[tuple[CompiledRule, CountedLimit]]) -> None:
        self._limits = tuple(limits)
        self.number = next(_NUMBERS)

    def judge(self, facts: Facts, counts: Counts, now: float) -> Verdict:
        """
        Count a connection.

        It never raises: what fails denies, and the verdict carries the error.

        :param facts: hostname, scheme and visitor, as far as they are known.
        :param counts: of this connection; what was taken before an objection stays in it.
        """
        would: list[Objection] = []
        try:
            for rule, each in self._limits:
                if not rule.is_about_connection(facts):
                    continue
                wait = counts.take(each.limiter, each.key(facts, _NOBODY), now)
                if not wait:
                    continue
                objection = Objection(rule.name, TOO_MANY, f"limits: {each.limit.name}", limit=each.limit, wait=wait)
                if not rule.log_only:
                    return Verdict(Action.DENY, objection, would=tuple(would))
                would.append(objection)
        except Exception as error:
            return Verdict(Action.DENY, Objection("", CHECK_FAILED, "the policy failed"), errors=(error,))
        return Verdict(Action.ALLOW, would=tuple(would)) if would else ALLOWED


def on_arrival(rules: Iterable[CompiledRule]) -> ConnectionLimits | None:
    """Return the limits, of all rules, that need no hostname; None if there are none."""
    return _some((rule, each) for rule in rules for each in rule.of_connections if not _needs_hostname(rule, each))


def of_hostname(rules: Iterable[CompiledRule]) -> ConnectionLimits | None:
    """Return the limits, of the rules about one hostname, that need it; None if there are none."""
    return _some((rule, each) for rule in rules for each in rule.of_connections if _needs_hostname(rule, each))


def _some(limits: Iterable[tuple[CompiledRule, CountedLimit]]) -> ConnectionLimits | None:
    found = tuple(limits)
    return ConnectionLimits(found) if found else None


def _needs_hostname(rule: CompiledRule, each: CountedLimit) -> bool:
    return rule.hostnames is not None or rule.excepts_hostnames or each.limit.per == "hostname"

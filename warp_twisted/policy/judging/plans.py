"""
What is left to look at of a usual request, once its path, its method and the rules that they lead to are known.

A plan is made once for some rules and judges in one go. Whatever it cannot let pass goes the whole `Course`, step after
step: what is said against a request, and what rules change about it, is decided in that one place.

Pure. It must not know how paths and rules were found.
"""

from collections.abc import Mapping, Sequence

from warp_twisted.policy.facts import Facts
from warp_twisted.policy.interfaces import Answer, Check, Outcome, Question
from warp_twisted.policy.judging.course import Course, over
from warp_twisted.policy.judging.path_facts import PathFacts
from warp_twisted.policy.judging.proofs import Looked
from warp_twisted.policy.judging.rules import NEEDS_END, CompiledRule
from warp_twisted.policy.verdict import ALLOWED, Action, Verdict

_ALLOW, _PROVEN = Action.ALLOW, Outcome.PROVEN  # names of this module are found much faster than members of an Enum
_NO_ANSWERS: Mapping[Question, Answer] = {}


class Plan:
    """The judgement of requests that some rules are about, and that none of them refuses for its path or method."""

    __slots__ = ("_asserted", "_check", "_is_secure_only", "_limits", "_rules", "_sources", "_withheld")

    def __init__(self, rules: Sequence[CompiledRule]) -> None:
        """
        Put together what the rules ask for.

        :param rules: those that `plan_of` finds fit.
        """
        self._rules = rules
        self._sources = tuple(
            (source.number, source.addresses, must_hold) for rule in rules for source, must_hold in rule.sources
        )
        self._is_secure_only = any(rule.https for rule in rules)
        self._limits = tuple((rule, each) for rule in rules for each in rule.early_limits)
        self._check: Check | None = None
        self._asserted = False
        self._withheld: tuple[bytes, ...] = ()
        for rule in rules:
            if rule.authentication is not None:
                (self._check,) = rule.authentication.proof.checks
                self._asserted = rule.authentication.asserted
                if rule.authentication.withholds:
                    self._withheld = tuple(dict.fromkeys(self._check.carriers))

    def judge(self, facts: Facts, path: PathFacts, now: float, wall: float) -> Verdict:
        """Judge a request; as `Program.judge`, but what fails raises."""
        visitor = facts.visitor
        for number, addresses, must_hold in self._sources:
            if visitor.is_in(number, addresses) is not must_hold:
                return Course(facts, path, now, wall, _NO_ANSWERS, False).run(self._rules)
        if self._is_secure_only and facts.scheme == "http":
            return Course(facts, path, now, wall, _NO_ANSWERS, False).run(self._rules)
        for rule, each in self._limits:
            wait = each.limiter.take(each.key(facts, ()), 1.0, now)
            if wait:
                return Verdict(Action.DENY, over(rule, each, wait))
        check = self._check
        if check is None:
            return ALLOWED
        looked: Looked | None = None
        try:
            found = check.look(facts, now, wall)
            if type(found) is Answer and found.outcome is _PROVEN and found.identity is not None:
                withheld, asserted = self._withheld, self._asserted
                return Verdict(
                    _ALLOW,
                    identities=(found.identity,),
                    withheld=withheld,
                    asserted=asserted,
                    passes=not (withheld or asserted),
                )
            looked = check, found
        except Exception as error:
            looked = check, error
        return Course(facts, path, now, wall, _NO_ANSWERS, True, looked).run(self._rules)


def plan_of(rules: Sequence[CompiledRule]) -> Plan | None:
    """
    Return the plan for some rules; None if they go the whole course.

    There is one if they judge all requests that they are about alike, ask for one proof at most, and do nothing later.
    """
    proofs = 0
    for rule in rules:
        if rule.is_conditional or rule.log_only or rule.needs & NEEDS_END:
            return None
        if rule.authentication is not None:
            proofs += 1
            if rule.authentication.passes_preflight or len(rule.authentication.proof.checks) != 1:
                return None
    return Plan(rules) if proofs <= 1 else None

"""The course of one judgement: step after step over the rules that are about a request, to the first objection."""

from collections.abc import Iterable, Mapping, Sequence

from warp_twisted.policy.changes import Changes
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.interfaces import Answer, Identity, Question
from warp_twisted.policy.judging.counting import CountedLimit
from warp_twisted.policy.judging.path_facts import PathFacts
from warp_twisted.policy.judging.proofs import Inquiry, Looked
from warp_twisted.policy.judging.rules import (
    NEEDS_COUNTING,
    NEEDS_END,
    NEEDS_HTTPS,
    NEEDS_PROOF,
    CompiledRule,
)
from warp_twisted.policy.verdict import (
    ALLOWED,
    INSECURE,
    TOO_MANY,
    Action,
    Held,
    Objection,
    Verdict,
)

# A name of this module is found much faster than a member of an Enum.
_ALLOW = Action.ALLOW
_NO_IDENTITIES: Sequence[Identity] = ()


class Course:
    """
    One judgement.

    :ivar is_second: whether questions were asked before: what was counted then is not counted again.
    """

    __slots__ = ("_answers", "_facts", "_is_second", "_looked", "_now", "_path", "_wall")

    def __init__(
        self,
        facts: Facts,
        path: PathFacts,
        now: float,
        wall: float,
        answers: Mapping[Question, Answer],
        is_second: bool,
        looked: Looked | None = None,
    ) -> None:
        """
        Prepare.

        :param looked: what a check was found to say already; it is not asked again.
        """
        self._facts = facts
        self._path = path
        self._now = now
        self._wall = wall
        self._answers = answers
        self._is_second = is_second
        self._looked = looked

    def run(self, rules: Sequence[CompiledRule]) -> Verdict:
        """Judge by some rules, all of which are about the request."""
        facts, path = self._facts, self._path
        needs = 0
        for rule in rules:
            if rule.refuses:
                objection = rule.refusal(facts, path)
                if objection is not None:
                    return Verdict(Action.DENY, objection)
            needs |= rule.needs
        if not needs:
            return ALLOWED
        if needs & NEEDS_HTTPS and facts.scheme == "http":
            return Verdict(
                Action.REDIRECT, Objection(next(each.name for each in rules if each.https), INSECURE, "https")
            )
        if needs & NEEDS_COUNTING and not self._is_second:
            for rule in rules:
                if rule.early_limits:
                    objection = self._count(rule, rule.early_limits, _NO_IDENTITIES)
                    if objection is not None:
                        return Verdict(Action.DENY, objection)
        if not needs & NEEDS_PROOF:
            return self._end(rules, (), ()) if needs & NEEDS_END else ALLOWED
        inquiry = Inquiry(facts, self._now, self._wall, self._answers, self._looked)
        for rule in rules:
            objection = rule.prove(inquiry) if rule.authentication is not None else None
            if objection is not None:
                action = Action.CHALLENGE if objection.challenges else Action.DENY
                return Verdict(action, objection, errors=tuple(inquiry.errors))
        if inquiry.questions:
            questions = tuple(dict.fromkeys(inquiry.questions))
            return Verdict(Action.ASK, questions=questions, errors=tuple(inquiry.errors))
        identities = _unique(inquiry.identities)
        verdict = self._end(rules, identities, tuple(inquiry.errors)) if needs & NEEDS_END else ALLOWED
        return _told(verdict, rules, inquiry, identities) if verdict.action is _ALLOW else verdict

    def _count(
        self, rule: CompiledRule, limits: Iterable[CountedLimit], identities: Sequence[Identity]
    ) -> Objection | None:
        for each in limits:
            wait = each.limiter.take(each.key(self._facts, identities), 1.0, self._now)
            if wait:
                return over(rule, each, wait)
        return None

    def _end(
        self, rules: Sequence[CompiledRule], identities: tuple[Identity, ...], errors: tuple[Exception, ...]
    ) -> Verdict:
        """Count by identity, take what goes with the request, and collect what the rules change."""
        for rule in rules:
            objection = self._count(rule, rule.late_limits, identities)
            if objection is not None:
                return Verdict(Action.DENY, objection, identities=identities, errors=errors)
        held: list[Held] = []
        objection = self._hold(rules, identities, held)
        if objection is not None:
            give_back(held)
            return Verdict(Action.DENY, objection, identities=identities, errors=errors)
        request: list[Changes] = []
        response: list[Changes] = []
        is_secure = self._facts.scheme == "https"
        for rule in rules:
            if rule.request is not None:
                request.append(rule.request)
            if rule.response is not None:
                response.append(rule.response)
            if is_secure and rule.secure_response is not None:
                response.append(rule.secure_response)
        return Verdict(_ALLOW, request=tuple(request), response=tuple(response), held=tuple(held))

    def _hold(
        self, rules: Sequence[CompiledRule], identities: Sequence[Identity], held: list[Held]
    ) -> Objection | None:
        """Take what is concurrent; what was taken before an objection, or an error, is in `held`."""
        try:
            for rule in rules:
                for each in rule.concurrent:
                    key = each.key(self._facts, identities)
                    wait = each.limiter.take(key, 1.0, self._now)
                    if wait:
                        return over(rule, each, wait)
                    held.append(Held(each.limit, each.limiter, key, rule.name))
                for each in rule.paced:
                    held.append(Held(each.limit, each.limiter, each.key(self._facts, identities), rule.name))
        except BaseException:
            give_back(held)
            raise
        return None


def _unique(identities: Sequence[Identity]) -> tuple[Identity, ...]:
    """Return each identity once; more rules than one may ask for the same proof."""
    if len(identities) < 2:
        return tuple(identities)
    found: list[Identity] = []
    for identity in identities:
        if identity not in found:  # an identity has claims, so it has no hash
            found.append(identity)
    return tuple(found)


def _told(
    verdict: Verdict, rules: Sequence[CompiledRule], inquiry: Inquiry, identities: tuple[Identity, ...]
) -> Verdict:
    """Return a verdict that allows, with who was proven, and with what the origin hears and does not hear of that."""
    withheld: tuple[bytes, ...] = ()
    asserted = False
    for rule in rules:
        authentication = rule.authentication
        if authentication is not None:
            asserted = asserted or authentication.asserted
            if authentication.withholds:
                withheld = tuple(dict.fromkeys((*withheld, *inquiry.carriers)))
    return Verdict(
        _ALLOW,
        identities=identities,
        request=verdict.request,
        response=verdict.response,
        withheld=withheld,
        asserted=asserted and bool(identities),
        held=verdict.held,
        errors=tuple(inquiry.errors),
    )


def give_back(held: Iterable[Held]) -> None:
    """Give back what was taken for a request that is not let through, or that has ended."""
    for each in held:
        if each.limit.of == "concurrent_requests":
            each.limiter.give_back(each.key, 1.0)


def over(rule: CompiledRule, each: CountedLimit, wait: float) -> Objection:
    """Return what a rule has against a request that is one too many."""
    return Objection(rule.name, TOO_MANY, f"limits: {each.limit.name}", limit=each.limit, wait=wait)

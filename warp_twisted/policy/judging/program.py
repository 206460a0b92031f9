"""
The decision program of one hostname: the rules that are about it, and how they judge a request.

First what costs nothing is asked (sources, routes, paths), then https, the rate of requests, credentials, and last what
counts by identity or goes with the request. Within each step defaults come first, then rules in order; the first
objection decides. So a stranger who is refused by address never sees a password prompt, and who guesses passwords
runs into the rate.
"""

from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from warp_twisted.policy.facts import Facts
from warp_twisted.policy.interfaces import Answer, Question
from warp_twisted.policy.judging.connections import of_hostname
from warp_twisted.policy.judging.course import Course, give_back
from warp_twisted.policy.judging.known_paths import MAX_RULES, KnownPath, KnownPaths
from warp_twisted.policy.judging.path_facts import PathFacts
from warp_twisted.policy.judging.plans import plan_of
from warp_twisted.policy.judging.rules import CompiledRule
from warp_twisted.policy.paths.tree import LooseTree
from warp_twisted.policy.verdict import ALLOWED, CHECK_FAILED, Action, Held, Objection, Verdict

_UNSEEN = PathFacts(b"/")  # in place of a path that no rule looks at
_NO_ANSWERS: Mapping[Question, Answer] = {}


class Program:
    """
    The rules of one hostname. Programs are shared by hostnames with the same rules.

    :ivar rules: in order; those of other hostnames are not among them.
    :ivar of_connections: their limits of connections that need the hostname; None if there are none.
    :ivar authorities: DER of those of whose certificates visitors are asked for one in the handshake; none: they are
        not asked.
    """

    def __init__(
        self,
        rules: Iterable[CompiledRule],
        known_paths: KnownPaths | None = None,
        behind: "Program | None" = None,
    ) -> None:
        """
        Put rules together.

        :param known_paths: those of all programs of a policy; unless given nothing is remembered of paths.
        :param behind: a program whose rules come first; then none of these has a path. What was made for it is used
            again, as a tree of ten thousand patterns takes a quarter of a second.
        """
        new = tuple(rules)
        by_path = [rule for rule in new if rule.has_path]
        self._known_paths = known_paths
        self._known = known_paths.table() if known_paths is not None else {}
        if behind is None:
            self.rules = new
            self._always = [rule for rule in new if not rule.has_path]
            self._tree: LooseTree[CompiledRule] = LooseTree()
            for rule in by_path:
                for pattern in rule.patterns:
                    self._tree.add(pattern, rule)
            self._has_paths = bool(by_path)
            orders = [rule.order for rule in self._always]
            # Where each stands among the others.
            self._places = {rule: bisect(orders, rule.order) for rule in by_path}
        else:
            if by_path:
                raise ValueError("rules behind a program are found by no path")
            self.rules = (*behind.rules, *new)
            self._always = [*behind._always, *new]
            self._tree, self._has_paths, self._places = behind._tree, behind._has_paths, behind._places
        self._has_conditions = any(rule.is_conditional for rule in self.rules)
        self._looks_at_paths = any(rule.looks_at_paths for rule in self.rules)
        self.of_connections = of_hostname(self.rules)
        self.authorities = frozenset(
            der
            for rule in self.rules
            if rule.authentication is not None
            for check in rule.authentication.proof.checks
            for der in check.authorities
        )
        self._logs = any(rule.log_only for rule in self.rules)
        # Where no rule looks at paths.
        self._anywhere = KnownPath(PathFacts(b"/"), self._always, is_planned=len(self._always) <= MAX_RULES)

    def matching(self, facts: Facts, path: PathFacts) -> Sequence[CompiledRule]:
        """
        Return the rules that are about a request, in order.

        A rule that a path could be matched by, and that cannot judge so odd a one, is among them: it will refuse it.
        """
        return self._meant(self._found(path), facts, path)

    def _meant(self, found: Sequence[CompiledRule], facts: Facts, path: PathFacts) -> Sequence[CompiledRule]:
        """Return those of some rules whose conditions hold, too."""
        if not self._has_conditions:
            return found
        return [rule for rule in found if not rule.is_conditional or rule.is_about(facts, path)]

    def _found(self, path: PathFacts) -> Sequence[CompiledRule]:
        """Return the rules that a path leads to, in order."""
        if path.odd:
            return self._possible(path)
        if not self._has_paths:
            return self._always
        found = self._tree.find_plain(path.path) if path.is_plain else self._tree.find(path.path)
        if not found:
            return self._always
        return self._in_order(found) if len(found) > 1 or self._always else found

    def _in_order(self, found: list[CompiledRule]) -> list[CompiledRule]:
        """Return the rules that the tree found and those that need no path, each once, in order."""
        if len(found) == 1:  # the usual case
            place = self._places[found[0]]
            return [*self._always[:place], found[0], *self._always[place:]]
        return sorted({*found, *self._always}, key=_order)

    def _look_at(self, text: bytes) -> KnownPath:
        """Find out what a path is like and which rules it leads to."""
        path = PathFacts(text)
        known = KnownPath(path, self._found(path))
        if self._known_paths is not None:
            self._known_paths.keep(self._known, known)
        return known

    def _look_at_method(self, known: KnownPath, method: bytes) -> None:
        """Find out what judges a path's requests with a method; most are asked for with one only."""
        rules = known.rules
        if any(rule.is_closed(method, known.path) for rule in rules):
            known.plan = None
        elif self._known_paths is not None:
            known.plan = self._known_paths.plan(rules)
        else:
            known.plan = plan_of(rules)
        known.method = method

    def _possible(self, path: PathFacts) -> list[CompiledRule]:
        """Return the rules that any reading of an odd path matches, and those that refuse such a path."""
        found = {rule for rule in self.rules if not rule.has_path or rule.is_too_odd(path)}
        if self._has_paths and len(found) < len(self.rules):
            for reading in path.readings or ():
                found.update(self._tree.find(reading))
        return sorted(found, key=_order)

    def judge(
        self,
        facts: Facts,
        now: float,
        wall: float,
        *,
        answers: Mapping[Question, Answer] = _NO_ANSWERS,
        asked: Verdict | None = None,
    ) -> Verdict:
        """
        Judge a request.

        It never raises: what fails denies, and the verdict carries the error.

        :param now: of a clock that only goes forward.
        :param wall: seconds since the epoch.
        :param answers: to the questions of `asked`.
        :param asked: the verdict that asked them. What it counted is not counted again.
        """
        try:
            known = self._anywhere
            if self._looks_at_paths:
                text = facts.target.partition(b"?")[0]
                known = self._known.get(text) or self._look_at(text)
            path = known.path
            if known.is_planned and asked is None and not answers:
                if known.method != facts.method:
                    self._look_at_method(known, facts.method)
                if known.plan is not None:
                    return known.plan.judge(facts, path, now, wall)
            matched = self._meant(known.rules, facts, path)
            if not matched:
                return ALLOWED
            course = Course(facts, path, now, wall, answers, asked is not None)
            if not self._logs:
                return course.run(matched)
            return _with_logged(course, matched, asked)
        except Exception as error:
            if asked is not None:
                give_back(asked.held)
            name = self.rules[0].name if len(self.rules) == 1 else ""
            return Verdict(Action.DENY, Objection(name, CHECK_FAILED, "the policy failed"), errors=(error,))

    def judge_aside(
        self, facts: Facts, now: float, wall: float, answers: Mapping[Question, Answer], judged: Verdict
    ) -> Verdict:
        """
        Let the rules that only log, and had questions, say what they have against a request that is decided.

        :param answers: to the questions that `judged` has aside.
        :returns: a verdict that allows, with what these rules would have done.
        """
        path = PathFacts(facts.target.partition(b"?")[0]) if self._looks_at_paths else _UNSEEN
        logged = _Logged(Course(facts, path, now, wall, answers, True), {})
        for rule in self.rules:
            if rule.name in judged.unsaid:
                logged.run(rule)
        give_back(logged.held)
        return Verdict(Action.ALLOW, would=tuple(logged.would.values()), errors=tuple(logged.errors))


def _order(rule: CompiledRule) -> int:
    return rule.order


def _with_logged(course: Course, matched: Sequence[CompiledRule], asked: Verdict | None) -> Verdict:
    """Judge by the rules that are in force, then by each of those that only log, which hold up no request."""
    verdict = course.run([rule for rule in matched if not rule.log_only])
    would = {each.rule: each for each in asked.would} if asked is not None else {}
    if verdict.action not in (Action.ALLOW, Action.ASK):
        return msgspec.structs.replace(verdict, would=tuple(would.values()), passes=False)
    logged = _Logged(course, would)
    for rule in matched:
        if rule.log_only and rule.name not in would:
            logged.run(rule)
    errors = (*verdict.errors, *logged.errors)
    if verdict.action is Action.ASK:
        give_back(logged.held)
        return msgspec.structs.replace(verdict, would=tuple(would.values()), errors=errors)
    return msgspec.structs.replace(
        verdict,
        passes=False,
        would=tuple(would.values()),
        errors=errors,
        held=(*verdict.held, *logged.held),
        aside=tuple(dict.fromkeys(logged.questions)),
        unsaid=tuple(logged.unsaid),
    )


class _Logged:
    """
    What rules that only log have to say.

    :ivar would: by rule, what it has against the request.
    :ivar unsaid: the rules that have questions first.
    """

    def __init__(self, course: Course, would: dict[str, Objection]) -> None:
        self._course = course
        self.would = would
        self.questions: list[Question] = []
        self.unsaid: list[str] = []
        self.errors: list[Exception] = []
        self.held: list[Held] = []

    def run(self, rule: CompiledRule) -> None:
        """Judge by one of them."""
        try:
            alone = self._course.run([rule])
        except Exception as error:
            self.would[rule.name] = Objection(rule.name, CHECK_FAILED, "the rule failed")
            self.errors.append(error)
            return
        self.errors += alone.errors
        self.held += [each for each in alone.held if each.limit.of == "concurrent_requests"]
        if alone.questions:
            self.questions += alone.questions
            self.unsaid.append(rule.name)
        if alone.objection is not None:
            self.would[rule.name] = alone.objection

"""Why a verdict is what it is: each rule in turn, whether it is about the request, why not, and what it said."""

import msgspec

from warp_twisted.policy.changes import Changes
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.judging.compiler import CompiledPolicy
from warp_twisted.policy.judging.path_facts import PathFacts
from warp_twisted.policy.judging.rules import CompiledRule
from warp_twisted.policy.verdict import ALLOWED, Objection, Verdict


class Explained(msgspec.Struct, frozen=True):
    """
    What one rule has to do with a request.

    :param matched: whether it is about the request.
    :param why_not: the key that says it is not, such as `match.path`.
    :param said: what its parts say, in words.
    """

    rule: str
    matched: bool
    why_not: str
    said: tuple[str, ...]
    log_only: bool


class Explanation(msgspec.Struct, frozen=True):
    """
    All rules, and the verdict.

    :param odd: what is odd in the path.
    """

    rules: tuple[Explained, ...]
    odd: tuple[str, ...]
    verdict: Verdict


def explain(policy: CompiledPolicy, facts: Facts, now: float, wall: float) -> Explanation:
    """Judge a request, and tell of each rule of the policy what it said; `now` and `wall` as in judging."""
    path = PathFacts(facts.path())
    program = policy.program_for(facts.hostname)
    matching = program.matching(facts, path) if program is not None else []
    verdict = program.judge(facts, now, wall) if program is not None else ALLOWED
    objections = {each.rule: each for each in (*verdict.would, *((verdict.objection,) if verdict.objection else ()))}
    rules = tuple(_explained(rule, rule in matching, facts, path, objections.get(rule.name)) for rule in policy.rules)
    return Explanation(rules, tuple(sorted(path.odd)), verdict)


def _explained(
    rule: CompiledRule, is_matching: bool, facts: Facts, path: PathFacts, objection: Objection | None
) -> Explained:
    if not is_matching:
        return Explained(rule.name, False, _why_not(rule, facts, path), (), rule.log_only)
    return Explained(rule.name, True, "", tuple(_said(rule, facts, path, objection)), rule.log_only)


def _why_not(rule: CompiledRule, facts: Facts, path: PathFacts) -> str:
    """Return the first key that says that a rule is not about a request."""
    if rule.hostnames is not None and not rule.hostnames.holds(facts):
        return "match.hostname"
    for condition in rule.conditions:
        if not condition.holds(facts):
            return f"match.{condition.key}"
    return "except" if rule.is_exempt(facts, path) else "match.path"


def _said(rule: CompiledRule, facts: Facts, path: PathFacts, objection: Objection | None) -> list[str]:
    """Return what the parts of a rule say: an objection if it has one, what it asks, and what it changes."""
    own = rule.refusal(facts, path) or objection
    if own is not None:
        return [f"{own.reason.slug} ({own.detail}): {own.reason.sentence}"]
    said = []
    if rule.https:
        said.append("https: the visitor came by https")
    said += [f"limits: {each.limit.name} counts connections" for each in rule.of_connections]
    for each in (*rule.early_limits, *rule.late_limits, *rule.concurrent, *rule.paced):
        said.append(f"limits: {each.limit.name} counts it")
    authentication = rule.authentication
    if authentication is not None:
        if not authentication.is_needed(facts):
            said.append("authenticate: a CORS preflight is let past")
        else:
            kinds = dict.fromkeys(check.kind for check in authentication.proof.checks)
            said.append(f"authenticate: asks for {', '.join(kinds)}")
    said += [f"{side}: {_changes(changes)}" for side, changes in _sides(rule, facts) if changes is not None]
    return said or ["allows it"]


def _sides(rule: CompiledRule, facts: Facts) -> list[tuple[str, Changes | None]]:
    secure = rule.secure_response if facts.scheme == "https" else None
    return [("request", rule.request), ("response", rule.response), ("response", secure)]


def _changes(changes: Changes) -> str:
    put = [line.partition(b":")[0].decode() for line in changes.lines.split(b"\r\n") if line]
    lower = {name.lower() for name in put}
    taken = sorted(name.decode() for name in changes.without if name.decode() not in lower)
    return ", ".join([*(f"without {name}" for name in taken), *(f"with {name}" for name in put)])

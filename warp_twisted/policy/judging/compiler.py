"""
From a document to programs: each rule is compiled once, each set of rules that some hostname has becomes one program.

A hostname without rules has none, and costs nothing. Who serves hostnames asks for a program when a route appears, not
for each request.
"""

from collections.abc import Sequence
from itertools import count

from warp_twisted.durations import parse_duration
from warp_twisted.policy.changes import Changes, compile_changes
from warp_twisted.policy.document.authentication import Authenticate, Proof
from warp_twisted.policy.document.fields import FieldChanges, Https
from warp_twisted.policy.document.limits import Ban
from warp_twisted.policy.document.matches import Match, as_match
from warp_twisted.policy.document.policy import DEFAULTS, Body, Defaults, Policy, Rule
from warp_twisted.policy.document.routing import Routing
from warp_twisted.policy.document.sources import Source
from warp_twisted.policy.document.values import listed
from warp_twisted.policy.interfaces import Parts
from warp_twisted.policy.judging.conditions import HostnameIs, SourceIsIn, conditions_of, methods_of
from warp_twisted.policy.judging.connections import on_arrival
from warp_twisted.policy.judging.counting import CountedLimit
from warp_twisted.policy.judging.known_paths import KnownPaths
from warp_twisted.policy.judging.program import Program
from warp_twisted.policy.judging.proofs import OneCheck, Several
from warp_twisted.policy.judging.rules import Authentication, CompiledRule, Exemption
from warp_twisted.policy.paths.patterns import parse_pattern, parse_route
from warp_twisted.policy.paths.tree import ExactTree
from warp_twisted.routing.table import RoutingTable

_NUMBERS = count(1)  # of sets of addresses: none is ever used twice


class CompiledPolicy:
    """
    A policy in force.

    :ivar document: what it was compiled from.
    :ivar rules: defaults first, if they say anything, then the rules in order.
    :ivar routing: how requests are split.
    :ivar on_arrival: the limits of connections that need no hostname; None if there are none.
    """

    def __init__(self, document: Policy, rules: Sequence[CompiledRule], routing: RoutingTable) -> None:
        self.document = document
        self.rules = tuple(rules)
        self._by_name: dict[str, list[CompiledRule]] = {}
        self._by_suffix: dict[str, list[CompiledRule]] = {}
        self._everywhere = [rule for rule in rules if rule.hostnames is None]
        for rule in rules:
            for name in rule.hostnames.names if rule.hostnames is not None else ():
                table, key = (self._by_suffix, name[2:]) if name.startswith("*.") else (self._by_name, name)
                table.setdefault(key, []).append(rule)
        self._programs: dict[tuple[int, ...], Program] = {}
        self._known_paths = KnownPaths()
        self.routing = routing
        self.on_arrival = on_arrival(self.rules)

    @property
    def ban(self) -> Ban | None:
        """When an address that keeps being refused is turned away."""
        return self.document.defaults.ban

    def program_for(self, hostname: str) -> Program | None:
        """
        Return the program of a hostname; None if no rule is about it.

        :param hostname: in its normal form.
        """
        found = {rule.order: rule for rule in (*self._everywhere, *self._by_name.get(hostname, ()))}
        if self._by_suffix:
            _, dot, parent = hostname.partition(".")
            while dot:
                found.update((rule.order, rule) for rule in self._by_suffix.get(parent, ()))
                _, dot, parent = parent.partition(".")
        if not found:
            return None
        orders = tuple(sorted(found))
        program = self._programs.get(orders)
        if program is None:
            program = self._programs[orders] = Program((found[order] for order in orders), self._known_paths)
        return program


def compile_policy(document: Policy, parts: Parts) -> CompiledPolicy:
    """
    Compile a policy.

    :param parts: makes sets of addresses, limiters and checks.
    :raises InvalidPolicy: from `parts`, beginning with the key's path, for what cannot be used.
    """
    rules = []
    if document.defaults != Defaults():
        rules.append(_compile(DEFAULTS, 0, document.defaults, Match(), parts, DEFAULTS))
    for index, rule in enumerate(document.rules):
        rules.append(compile_rule(rule, index + 1, parts, f"rules[{index}]"))
    return CompiledPolicy(document, rules, _routing(document.routing, parts))


def compile_rule(rule: Rule, order: int, parts: Parts, where: str) -> CompiledRule:
    """
    Compile one rule.

    :param order: where it stands among others.
    :param where: its place in the document, for errors.
    :raises InvalidPolicy: as `compile_policy` does.
    """
    return _compile(rule.name, order, rule, rule.match, parts, where)


def _compile(name: str, order: int, body: Body, match: Match, parts: Parts, where: str) -> CompiledRule:
    exemptions = [
        _exemption(as_match(each), frozenset(body.odd_paths or ()), parts, f"{where}.except[{index}]")
        for index, each in enumerate(body.except_ or ())
    ]
    sources = body.sources
    return CompiledRule(
        name=name,
        order=order,
        log_only=body.log_only,
        hostnames=HostnameIs(listed(match.hostname)) if match.hostname is not None else None,
        patterns=[parse_pattern(path) for path in listed(match.path or [])],
        conditions=conditions_of(match, _source(match, parts, f"{where}.match.source"), is_strict=False),
        exemptions=exemptions,
        deny=isinstance(body, Rule) and body.deny,
        denied=_set(sources.deny, parts, f"{where}.sources.deny") if sources and sources.deny else None,
        allowed=_set(sources.allow, parts, f"{where}.sources.allow") if sources and sources.allow else None,
        routes=_routes(body.routes) if body.routes is not None else None,
        odd_paths=frozenset(body.odd_paths or ()),
        https=body.https is not None,
        limits=[
            CountedLimit(limit, parts.limiter(limit, name, f"{where}.limits[{index}]"))
            for index, limit in enumerate(body.limits or ())
        ],
        authentication=(
            _authentication(body.authenticate, parts, f"{where}.authenticate") if body.authenticate else None
        ),
        request=_changes(body.request),
        response=_changes(body.response),
        secure_response=_hsts(Https() if body.https == "redirect" else body.https) if body.https is not None else None,
    )


def _exemption(match: Match, odd_paths: frozenset[str], parts: Parts, where: str) -> Exemption:
    return Exemption(
        HostnameIs(listed(match.hostname)) if match.hostname is not None else None,
        [parse_pattern(path) for path in listed(match.path or [])],
        conditions_of(match, _source(match, parts, f"{where}.source"), is_strict=True),
        odd_paths,
    )


def _source(match: Match, parts: Parts, where: str) -> SourceIsIn | None:
    return _set(listed(match.source), parts, where) if match.source is not None else None


def _routing(entries: Sequence[Routing], parts: Parts) -> RoutingTable:
    sources = {
        index: (next(_NUMBERS), parts.source_set(entry.testers.sources, f"routing[{index}].testers.sources"))
        for index, entry in enumerate(entries)
        if entry.testers is not None and entry.testers.sources is not None
    }
    return RoutingTable(entries, sources)


def _set(entries: Sequence[Source], parts: Parts, where: str) -> SourceIsIn:
    return SourceIsIn(next(_NUMBERS), parts.source_set(entries, where))


def _routes(routes: Sequence[str]) -> ExactTree[frozenset[bytes] | None]:
    tree: ExactTree[frozenset[bytes] | None] = ExactTree()
    for text in routes:
        route = parse_route(text)
        tree.add(route.pattern, methods_of([route.method]) if route.method is not None else None)
    return tree


def _authentication(document: Authenticate, parts: Parts, where: str) -> Authentication:
    key = "any_of" if document.any_of is not None else "all_of"
    return Authentication(
        document, _several(document.any_of or document.all_of or [], key == "all_of", parts, f"{where}.{key}")
    )


def _several(proofs: Sequence[Proof], needs_all: bool, parts: Parts, where: str) -> Several:
    members: list[OneCheck | Several] = []
    for index, proof in enumerate(proofs):
        place = f"{where}[{index}]"
        if proof.any_of is not None:
            members.append(_several(proof.any_of, False, parts, f"{place}.any_of"))
        elif proof.all_of is not None:
            members.append(_several(proof.all_of, True, parts, f"{place}.all_of"))
        else:
            members.append(OneCheck(parts.check(proof, place)))
    return Several(members, needs_all=needs_all)


def _changes(document: FieldChanges | None) -> Changes | None:
    return compile_changes(document) if document is not None and document != FieldChanges() else None


def _hsts(https: Https) -> Changes:
    value = f"max-age={int(parse_duration(https.hsts))}"
    value += "; includeSubDomains" if https.include_subdomains else ""
    value += "; preload" if https.preload else ""
    return compile_changes(FieldChanges(set_={"Strict-Transport-Security": value}))

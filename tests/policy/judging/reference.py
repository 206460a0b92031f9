"""
A policy read plainly, rule by rule and key by key, to hold the compiled program against.

Slow and simple on purpose: it takes the document as it was parsed, and compiles nothing. Which paths are odd and how
they are read it takes from `policy.paths.spelling`, which has a corpus of its own.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Hashable
from ipaddress import ip_address, ip_network
from typing import NamedTuple, TypeAlias
from urllib.parse import unquote, unquote_to_bytes

from warp_twisted.policy.document.authentication import Proof
from warp_twisted.policy.document.limits import HeaderKey, Limit
from warp_twisted.policy.document.matches import Match, as_match
from warp_twisted.policy.document.policy import DEFAULTS, Body, Policy, Rule
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.paths.spelling import canonical, oddities, readings

Person: TypeAlias = tuple[str, str]  # kind and subject


class Reading(NamedTuple):
    """
    What becomes of a request.

    :param said: as `samples.said` writes it.
    :param would: the same of rules that only log.
    :param identities: kind and subject of who is proven, if it is allowed.
    :param added: the lines that rules add to the request, if it is allowed.
    """

    said: str
    would: list[str]
    identities: list[Person] = []
    added: list[str] = []


class Counts:
    """What limits have granted so far: as much as their burst, or as many as they allow at once, and never more."""

    def __init__(self) -> None:
        self._taken: Counter[Hashable] = Counter()

    def take(self, rule: str, limit: Limit, facts: Facts, people: list[Person]) -> Hashable:
        """Take one, and return what it was counted by; None if there is none left."""
        key: Hashable = facts.visitor.network
        if limit.key == "hostname":
            key = ""
        elif isinstance(limit.key, HeaderKey):
            key = b",".join(_field(limit.key.header, facts)[0])[:256]
        elif limit.key == "identity" and people:
            key = tuple(people)
        place = rule, limit.name, facts.hostname if limit.per == "hostname" else None, key
        if self._taken[place] >= (limit.most or limit.burst_units):
            return None
        self._taken[place] += 1
        return place

    def give_back(self, places: list[Hashable]) -> None:
        """Give back what was taken."""
        self._taken.subtract(places)


def verdict(policy: Policy, facts: Facts, counts: Counts) -> Reading:
    """
    Read a request.

    :param counts: of the requests before.
    """
    matched = [(DEFAULTS, policy.defaults, Match()), *((rule.name, rule, rule.match) for rule in policy.rules)]
    matched = [each for each in matched if _is_about(*each[1:], facts)]
    in_force = [(name, body) for name, body, _ in matched if not body.log_only]
    said, people = _decide(in_force, facts, counts)
    if said != "allow":
        return Reading(said, [])
    alone = [_decide([(name, body)], facts, counts)[0] for name, body, _ in matched if body.log_only]
    changes = [body.request.set_ for _, body in in_force if body.request is not None]
    added = [f"{name}: {value}" for each in changes for name, value in each.items()]
    return Reading(said, [each for each in alone if each != "allow"], people, added)


def _decide(rules: list[tuple[str, Body]], facts: Facts, counts: Counts) -> tuple[str, list[Person]]:
    for name, body in rules:
        reason = _gate(body, facts)
        if reason:
            return f"{name}: {reason}", []
    for name, body in rules:
        if body.https is not None and facts.scheme == "http":
            return f"{name}: insecure", []
    limits = [(name, limit) for name, body in rules for limit in body.limits or []]
    of_requests = [(name, limit) for name, limit in limits if limit.of == "requests"]
    for name, limit in of_requests:
        if limit.key != "identity" and counts.take(name, limit, facts, []) is None:
            return f"{name}: limit", []
    people: list[Person] = []
    for name, body in rules:
        needs_proof = body.authenticate is not None and not (body.authenticate.cors_preflight and _is_preflight(facts))
        if needs_proof and body.authenticate is not None:
            any_of, all_of = body.authenticate.any_of, body.authenticate.all_of
            found, proven = _prove(Proof(any_of=any_of, all_of=all_of), facts)
            if found != "proven":
                return f"{name}: {found}", []
            people += dict.fromkeys(person for person in proven if person not in people)
    for name, limit in of_requests:
        if limit.key == "identity" and counts.take(name, limit, facts, people) is None:
            return f"{name}: limit", []
    held: list[Hashable] = []
    for name, limit in limits:
        if limit.of == "concurrent_requests":
            place = counts.take(name, limit, facts, people)
            if place is None:
                counts.give_back(held)
                return f"{name}: limit", []
            held.append(place)
    return "allow", people


def _is_preflight(facts: Facts) -> bool:
    names = ("Origin", "Access-Control-Request-Method")
    return facts.method == b"OPTIONS" and all(_field(name, facts)[0] for name in names)


def _gate(body: Body, facts: Facts) -> str:
    """Return the slug of what a rule has against a request without counting and proofs."""
    if _is_refused_as_odd(body, facts):
        return "odd-path"
    if isinstance(body, Rule) and body.deny:
        return "denied"
    if body.sources is not None:
        if body.sources.deny is not None and _is_in(body.sources.deny, facts):
            return "source"
        if body.sources.allow is not None and not _is_in(body.sources.allow, facts):
            return "source"
    if body.routes is not None:
        for reading in _readings(facts):
            if not any(_has_route(route, facts.method.decode(), reading) for route in body.routes):
                return "route"
    return ""


def _is_about(body: Body, match: Match, facts: Facts) -> bool:
    if not _matches(match, facts, is_strict=False, skip_path=_is_odd_for(body, facts) and match.path is not None):
        return False
    for each in body.except_ or []:
        exception = as_match(each)
        if exception.path is not None and _is_odd_for(body, facts):
            continue
        if _matches(exception, facts, is_strict=True, skip_path=False):
            return False
    return True


def _is_refused_as_odd(body: Body, facts: Facts) -> bool:
    looks = body.routes is not None or (isinstance(body, Rule) and body.match.path is not None)
    return looks and _is_odd_for(body, facts)


def _is_odd_for(body: Body, facts: Facts) -> bool:
    """Whether a path holds what a rule does not allow, or can be read in too many ways."""
    path = _path(facts)
    odd = set() if path == b"*" else oddities(path)
    return bool(odd - set(body.odd_paths or ())) or (bool(odd) and readings(path) is None)


def _path(facts: Facts) -> bytes:
    return facts.target.split(b"?")[0]


def _readings(facts: Facts) -> set[bytes]:
    path = _path(facts)
    return {path} if path == b"*" or not oddities(path) else set(readings(path) or ())


def _matches(match: Match, facts: Facts, *, is_strict: bool, skip_path: bool) -> bool:
    quantify = all if is_strict else any
    if match.hostname is not None:
        names = [name.lower() for name in _list(match.hostname)]
        host = facts.hostname
        if not any(host == name or (name[:2] == "*." and host.endswith(name[1:])) for name in names):
            return False
    if match.path is not None and not skip_path:
        matches = _permits if is_strict else _restricts
        found = [any(matches(pattern, reading) for pattern in _list(match.path)) for reading in _readings(facts)]
        if not quantify(found):
            return False
    if match.method is not None:
        methods = set(_list(match.method))
        if not (facts.method.decode() in methods or (facts.method == b"HEAD" and "GET" in methods)):
            return False
    if match.scheme is not None and facts.scheme != match.scheme:
        return False
    if match.source is not None and not _is_in(match.source, facts):
        return False
    if match.label is not None:
        key, _, value = match.label.partition("=")
        found = [labels.get(key.removesuffix("!")) == value for labels in facts.labels]
        if key.endswith("!"):
            found = [not each for each in found]
        if not (found and quantify(found)):
            return False
    for name, wanted in (match.header or {}).items():
        if not _value_fits(*_field(name, facts), wanted, is_strict=is_strict):
            return False
    for name, wanted in (match.query or {}).items():
        if not _value_fits(*_parameter(name, facts), wanted, is_strict=is_strict):
            return False
    return True


def _value_fits(values: list[bytes], is_sure: bool, wanted: object, *, is_strict: bool) -> bool:
    if wanted is True:
        return bool(values) and (is_sure or not is_strict)
    if wanted is False:
        return not values if is_strict else not values or not is_sure
    if is_strict and not is_sure:
        return False
    globs = [re.compile(re.escape(text.encode()).replace(rb"\*", b".*"), re.DOTALL) for text in _list(wanted)]
    return any(glob.fullmatch(value) for glob in globs for value in values)


def _field(name: str, facts: Facts) -> tuple[list[bytes], bool]:
    """Return the values of a field under any spelling, and whether there is one only, spelt as usual."""
    name = _folded(name)
    found = []
    for line in facts.lines.split(b"\r\n"):
        sent, colon, value = line.partition(b":")
        text = sent.decode("latin-1").lower()
        if colon and _folded(text) == name:
            found.append((text, value.strip(b" \t")))
    return [value for _, value in found], len(found) == 1 and found[0][0] == name


def _parameter(name: str, facts: Facts) -> tuple[list[bytes], bool]:
    query = facts.target.partition(b"?")[2]
    parts = query.split(b"&") + (re.split(b"[&;]", query) if b";" in query else [])
    pairs = [part.replace(b"+", b" ").partition(b"=") for part in parts if part]
    values = [unquote_to_bytes(value) for key, _, value in pairs if unquote_to_bytes(key) == name.encode()]
    return values, len(values) == 1 and b";" not in query


def _is_in(entries: object, facts: Facts) -> bool:
    address = ip_address(facts.visitor.address)
    return any(address in ip_network(entry) for entry in _list(entries))


def _has_route(route: str, method: str, reading: bytes) -> bool:
    wanted, space, pattern = route.partition(" ")
    if not space:
        wanted, pattern = "", route
    return wanted in ("", method, "GET" if method == "HEAD" else method) and _permits(pattern, reading)


def _permits(pattern: str, reading: bytes) -> bool:
    """Compare exactly: a pattern's text with what had to be encoded, decoded."""
    expression = "/".join(
        "[^/]+" if part == "*" else re.escape(part).replace(r"\*", "[^/]*") for part in pattern.split("/")
    )
    if pattern.endswith("/*"):
        expression = expression.removesuffix("[^/]+") + ".*"
    return re.fullmatch(expression.encode(), canonical(reading), re.DOTALL) is not None


def _restricts(pattern: str, reading: bytes) -> bool:
    """Compare loosely: folded, without slash at the end; a pattern with `/*` is its own beginning, too."""
    if reading == b"*":  # the server as a whole, which some take for its root
        reading = b"/"
    path = _fold(unquote(reading.decode("latin-1"), "utf-8", "replace") if _is_ascii(reading) else _text(reading))
    wanted = pattern.removesuffix("*").removesuffix("/") if pattern.endswith("/*") else _fold(pattern)
    expression = "/".join(
        "[^/]+" if part == "*" else re.escape(part).replace(r"\*", "[^/]*") for part in _fold(wanted).split("/")
    )
    return re.fullmatch(expression + ("(?:/.*)?" if pattern.endswith("/*") else ""), path, re.DOTALL) is not None


def _is_ascii(reading: bytes) -> bool:
    return reading.isascii()


def _text(reading: bytes) -> str:
    return unquote_to_bytes(reading).decode("utf-8", "replace")


def _fold(path: str) -> str:
    folded = unicodedata.normalize("NFKC", path).casefold() if not path.isascii() else path.lower()
    segments = ["".join(c for c in each if unicodedata.category(c) != "Cf") for each in folded.split("/")]
    return "/".join(unicodedata.normalize("NFKC", each).rstrip(" .") for each in segments).removesuffix("/")


def _prove(proof: Proof, facts: Facts) -> tuple[str, list[Person]]:
    """Return `proven` and who, or the slug of why not, as `samples.SampleCheck` has it."""
    if proof.any_of is not None:
        found = [_prove(each, facts) for each in proof.any_of]
        best = ("proven", "check-failed", "check-busy", "credential", "unauthenticated")
        return min(found, key=lambda each: best.index(each[0]))
    if proof.all_of is not None:
        found = [_prove(each, facts) for each in proof.all_of]
        # The first that is not proven says why.
        missing = [each for each in found if each[0] != "proven"]
        return missing[0] if missing else ("proven", [person for _, people in found for person in people])
    kind = next(name for name in proof.__struct_fields__ if getattr(proof, name) is not None)
    for value in _field("authorization", facts)[0]:
        sent, _, name = value.decode("latin-1").partition(" ")
        if sent == kind:
            said = {"bad": "credential", "busy": "check-busy", "bug": "check-failed"}.get(name, "proven")
            return said, [(kind, name)] if said == "proven" else []
    return "unauthenticated", []


def _folded(name: str) -> str:
    """Return a name as CGI and WSGI compare it: everything but ASCII's letters and digits is one character."""
    return re.sub("[^a-z0-9]", "-", name.lower() if name.isascii() else re.sub("[^ -~]", "-", name).lower())


def _list(value: object) -> list[str]:
    return value if isinstance(value, list) else [str(value)]

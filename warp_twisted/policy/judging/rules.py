"""One rule, compiled: whether it is about a request, and what each of its parts has against it."""

from collections.abc import Iterable, Sequence

from warp_twisted.policy.changes import Changes
from warp_twisted.policy.document.authentication import Authenticate
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.judging.conditions import Condition, HostnameIs, SourceIsIn
from warp_twisted.policy.judging.counting import CountedLimit
from warp_twisted.policy.judging.path_facts import PathFacts
from warp_twisted.policy.judging.proofs import Finding, Inquiry, OneCheck, Several
from warp_twisted.policy.paths.patterns import PathPattern
from warp_twisted.policy.paths.tree import ExactTree
from warp_twisted.policy.verdict import (
    BUSY,
    CHECK_FAILED,
    DENIED,
    ODD_PATH,
    REFUSED,
    ROUTE,
    SOURCE,
    UNPROVEN,
    Objection,
    Reason,
)

# Which steps after the first a rule takes part in, so that a judgement passes over those that no rule needs.
NEEDS_HTTPS = 1
NEEDS_COUNTING = 2
NEEDS_PROOF = 4
NEEDS_END = 8

_OF_CONNECTIONS = ("hostname", "source", "scheme")  # what is known without a request
_UNSEEN = PathFacts(b"/")

_PROVEN, _OPEN = Finding.PROVEN, Finding.OPEN  # names of this module are found much faster than members of an Enum
_REASONS = {
    Finding.FAILED: CHECK_FAILED,
    Finding.BUSY: BUSY,
    Finding.REFUSED: REFUSED,
    Finding.ABSENT: UNPROVEN,
}


class Exemption:
    """
    One entry of `except`.

    :ivar has_path: whether it looks at the path.
    :ivar hostnames: those that it is for; None for all.
    :ivar is_of_connections: whether a connection is enough to tell that it holds.
    """

    def __init__(
        self,
        hostnames: HostnameIs | None,
        paths: Sequence[PathPattern],
        conditions: tuple[Condition, ...],
        odd_paths: frozenset[str] = frozenset(),
    ) -> None:
        """
        Put the parts together.

        :param odd_paths: what may be odd in a path that is left out.
        """
        self.hostnames = hostnames
        self.is_of_connections = not paths and all(each.key in _OF_CONNECTIONS for each in conditions)
        self._conditions = conditions
        self.has_path = bool(paths)
        self._odd_paths = odd_paths
        self._paths: ExactTree[None] = ExactTree()
        for pattern in paths:
            self._paths.add(pattern, None)

    def holds(self, facts: Facts, path: PathFacts) -> bool:
        """Whether a request is left out of the rule; an odd path only if it may be odd and every reading is."""
        if self.hostnames is not None and not self.hostnames.holds(facts):
            return False
        if self.has_path:
            readings = path.exact if path.odd <= self._odd_paths else []
            if not readings or not all(self._paths.find(reading) for reading in readings):
                return False
        return all(condition.holds(facts) for condition in self._conditions)


class Authentication:
    """What a rule asks to be proven, compiled."""

    __slots__ = ("asserted", "challenges", "passes_preflight", "proof", "withholds")

    def __init__(self, document: Authenticate, proof: OneCheck | Several) -> None:
        self.proof = proof
        self.passes_preflight = document.cors_preflight
        self.withholds = document.withhold_credential
        self.asserted = document.assertion
        challenges = (check.challenge for check in proof.checks)
        self.challenges = tuple(dict.fromkeys(each for each in challenges if each is not None))

    def is_needed(self, facts: Facts) -> bool:
        """Whether a request must prove anything: a CORS preflight need not, where the rule says so."""
        return not (
            self.passes_preflight
            and facts.method == b"OPTIONS"
            and bool(facts.field(b"origin").all)
            and bool(facts.field(b"access-control-request-method").all)
        )


class CompiledRule:
    """
    One rule.

    :ivar order: where it stands: 0 are the defaults.
    :ivar has_path: whether it is matched by path, so found by the program's tree.
    :ivar is_conditional: whether anything but hostname and path decides which requests it is about.
    :ivar looks_at_paths: whether anything in it asks for the path.
    :ivar excepts_hostnames: whether an exception for connections asks for the hostname.
    :ivar decides_by_path: whether its match or its routes look at the path; then one that can be read in two ways is
        refused.
    """

    def __init__(
        self,
        *,
        name: str,
        order: int,
        log_only: bool = False,
        hostnames: HostnameIs | None = None,
        patterns: Sequence[PathPattern] = (),
        conditions: tuple[Condition, ...] = (),
        exemptions: Sequence[Exemption] = (),
        deny: bool = False,
        denied: SourceIsIn | None = None,
        allowed: SourceIsIn | None = None,
        routes: ExactTree[frozenset[bytes] | None] | None = None,
        odd_paths: frozenset[str] = frozenset(),
        https: bool = False,
        limits: Sequence[CountedLimit] = (),
        authentication: Authentication | None = None,
        request: Changes | None = None,
        response: Changes | None = None,
        secure_response: Changes | None = None,
    ) -> None:
        """
        Put the parts together.

        :param routes: pattern → methods, None for all.
        :param odd_paths: what may be odd in a path.
        :param secure_response: changes of responses to visitors that came by https.
        """
        self.name = name
        self.order = order
        self.log_only = log_only
        self.hostnames = hostnames
        self.patterns = patterns
        self.conditions = conditions
        self.has_path = bool(patterns)
        self._exemptions = tuple(exemptions)
        self.decides_by_path = self.has_path or routes is not None
        self.looks_at_paths = self.decides_by_path or any(each.has_path for each in exemptions)
        self._deny = deny
        self._denied = denied
        self._allowed = allowed
        self._routes = routes
        self._odd_paths = odd_paths
        self.https = https
        requests = [each for each in limits if each.limit.of == "requests"]
        self.early_limits = tuple(each for each in requests if not each.by_identity)
        self.late_limits = tuple(each for each in requests if each.by_identity)
        self.concurrent = tuple(each for each in limits if each.limit.of == "concurrent_requests")
        self.paced = tuple(each for each in limits if each.limit.of == "bytes")
        self.of_connections = tuple(
            each for each in limits if each.limit.of in ("connections", "concurrent_connections")
        )
        self._of_connections_exempt = tuple(each for each in exemptions if each.is_of_connections)
        self.excepts_hostnames = any(each.hostnames is not None for each in self._of_connections_exempt)
        self.authentication = authentication
        self.request = request
        self.response = response
        self.secure_response = secure_response
        ends = self.late_limits or self.concurrent or self.paced or request or response or secure_response
        self.needs = (
            (NEEDS_HTTPS if https else 0)
            | (NEEDS_COUNTING if self.early_limits else 0)
            | (NEEDS_PROOF if authentication is not None else 0)
            | (NEEDS_END if ends else 0)
        )
        self.is_conditional = bool(conditions or self._exemptions)
        self.refuses = deny or denied is not None or allowed is not None or routes is not None or self.decides_by_path

    @property
    def sources(self) -> tuple[tuple[SourceIsIn, bool], ...]:
        """The sets of addresses, and whether a visitor's address must be in them."""
        sets = (self._denied, False), (self._allowed, True)
        return tuple((each, must_hold) for each, must_hold in sets if each is not None)

    def is_closed(self, method: bytes, path: PathFacts) -> bool:
        """Whether it refuses a path with a method, whoever comes."""
        return self._deny or self.is_too_odd(path) or (self._routes is not None and not self._has_route(method, path))

    def is_about(self, facts: Facts, path: PathFacts) -> bool:
        """Whether a request whose hostname and path match is meant."""
        for condition in self.conditions:
            if not condition.holds(facts):
                return False
        return not self.is_exempt(facts, path)

    def is_about_connection(self, facts: Facts) -> bool:
        """Whether a connection whose hostname matches is meant; an exception that asks for more leaves none out."""
        for condition in self.conditions:
            if not condition.holds(facts):
                return False
        return not any(exemption.holds(facts, _UNSEEN) for exemption in self._of_connections_exempt)

    def is_exempt(self, facts: Facts, path: PathFacts) -> bool:
        """Whether `except` leaves a request out."""
        return any(exemption.holds(facts, path) for exemption in self._exemptions)

    def is_too_odd(self, path: PathFacts) -> bool:
        """Whether it looks at paths, and this one can be read in ways that it does not allow."""
        return bool(path.odd) and self.decides_by_path and (not path.odd <= self._odd_paths or path.readings is None)

    def refusal(self, facts: Facts, path: PathFacts) -> Objection | None:
        """Return what it has against a request by itself: nothing is counted, nothing has to be proven."""
        if path.odd and self.is_too_odd(path):
            return self._object(ODD_PATH, ", ".join(sorted(path.odd - self._odd_paths)) or "too many readings")
        if self._deny:
            return self._object(DENIED, "deny")
        if self._denied is not None and self._denied.holds(facts):
            return self._object(SOURCE, "sources.deny")
        if self._allowed is not None and not self._allowed.holds(facts):
            return self._object(SOURCE, "sources.allow")
        if self._routes is not None and not self._has_route(facts.method, path):
            return self._object(ROUTE, "routes")
        return None

    def prove(self, inquiry: Inquiry) -> Objection | None:
        """Return what it has against a request after a look at credentials; open questions are none yet."""
        authentication = self.authentication
        if authentication is None or not authentication.is_needed(inquiry.facts):
            return None
        finding = authentication.proof.look(inquiry)
        if finding is _PROVEN or finding is _OPEN:
            return None
        reason: Reason = _REASONS[finding]
        detail = "authenticate: " + ("; ".join(inquiry.details) or finding.value)
        challenges = authentication.challenges if reason.status == 401 else ()
        return Objection(self.name, reason, detail, challenges=challenges)

    def _has_route(self, method: bytes, path: PathFacts) -> bool:
        """Whether every reading of a path is served with a method."""
        routes = self._routes
        if routes is None:
            return False
        known = path.methods
        if known is not None:  # of a plain path
            found = known.get(self)
            if found is None:
                found = known[self] = routes.find(path.exact[0])
            return _has_method(found, method)
        readings = path.exact
        return bool(readings) and all(_has_method(routes.find(reading), method) for reading in readings)

    def _object(self, reason: Reason, detail: str) -> Objection:
        return Objection(self.name, reason, detail)


def _has_method(routes: Iterable[frozenset[bytes] | None], method: bytes) -> bool:
    for methods in routes:  # noqa: SIM110 -- a generator takes twice as long
        if methods is None or method in methods:
            return True
    return False

"""
The policy in force: what the data path asks for each request, and what is counted of its rules.

A hostname without rules costs one look-up in a dict. A policy is put in force in one step; requests that were judged
go on by the verdict that they have.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from twisted.internet.defer import Deferred, execute, gatherResults, succeed
from twisted.logger import Logger

from warp_twisted.edge.certificates.directory import NOBODY, CertificateDirectory
from warp_twisted.edge.policy.asked import NOTHING, AskedPolicies, AskedProgram, Asks
from warp_twisted.edge.policy.banning import SPARED, Banning
from warp_twisted.edge.policy.fetched_keys import FetchedKeys
from warp_twisted.edge.policy.loading import Loaded
from warp_twisted.edge.policy.parts import FindToken
from warp_twisted.edge.policy.passwords import Passwords
from warp_twisted.policy.authentication.assertion import Assertions, key_set
from warp_twisted.policy.authentication.basic import BasicCheck
from warp_twisted.policy.authentication.service_token import KIND as SERVICE_TOKEN
from warp_twisted.policy.document.asked import NAME as ASKED_NAME
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.interfaces import Answer, Outcome, Question
from warp_twisted.policy.judging.program import Program
from warp_twisted.policy.limiters import follow
from warp_twisted.policy.verdict import Action, Verdict
from warp_twisted.routing.table import RoutingTable

MAX_HOSTNAMES = 100_000  # remembered with their program; only hostnames that are routed here are asked for
MAX_OF_ASKED = 1_000  # hostnames below a pattern that agents ask something for; strangers make them up
MAX_PREPARED = 10_000  # hostnames whose programs are made beforehand; most have the same few programs
MAX_ERRORS_LOGGED = 10  # of one policy; a check that fails does so for each request
_NOBODY = Answer(Outcome.BUSY, reason="nobody answers this question")


class PolicyInForce(Collector):
    """
    What is asked for each request.

    :param passwords: answers questions about them; without it nobody does.
    :param passwords_of_agents: the same, of users that agents name.
    :param asked: what agents ask for their hostnames.
    :param passwords_aside: answers what rules that only log ask, for which no request waits.
    :ivar banning: who is turned away when it connects.
    :ivar loaded: the operator's policy in force; None while there is none.
    :ivar judges: whether there is anything to be asked about requests.
    :ivar assertions: tell origins who visitors are; None: nobody does.
    :ivar fetched_keys: fetches the key sets that a policy names; None: nobody does.
    :ivar find_token: returns a service token that is neither unknown nor revoked, by its id.
    :ivar hides_secrets: whether secrets of service tokens are taken out of every request that is judged.
    :ivar taken_out: fields that a rule takes out of requests, as `policy.changes.folded` returns them; no trailer is
        one of them, as it is not known yet which rules are about a request when its body begins.
    :ivar key_set: returns the keys that assertions are verified with, as JSON.
    :ivar looks_at_labels: whether a rule asks for the labels of tunnels.
    :ivar follow_routing: called with how requests are split, with each policy.
    :ivar counts_connections: whether a rule limits connections.
    :ivar certificates: asks visitors for certificates in their handshakes; None: nobody does.
    """

    _log = Logger()

    def __init__(
        self,
        passwords: Passwords | None = None,
        passwords_of_agents: Passwords | None = None,
        asked: AskedPolicies | None = None,
        passwords_aside: Passwords | None = None,
    ) -> None:
        self._passwords_aside = passwords_aside
        self._passwords = passwords
        self._passwords_of_agents = passwords_of_agents
        self.asked = asked or AskedPolicies(execute)
        self.asked.changed = self._asked_changed
        self._asked_programs: dict[str, dict[str, Program | None]] = {}  # by hostname or pattern, then by hostname
        self._joined: dict[tuple[Program | None, Asks], AskedProgram] = {}
        self._programs: dict[str, Program | None] = {}
        self._refused: dict[tuple[str, str], int] = {}
        self._would: dict[tuple[str, str], int] = {}
        self._held_requests: dict[tuple[str, str], int] = {}  # by rule and limit
        self._held_seconds: dict[tuple[str, str], float] = {}
        self._errors_left = MAX_ERRORS_LOGGED
        self.banning = Banning()
        self.loaded: Loaded | None = None
        self.judges = False
        self.assertions: Assertions | None = None
        self.fetched_keys: FetchedKeys | None = None
        self.find_token: FindToken = lambda token: None
        self.hides_secrets = False
        self.taken_out: frozenset[bytes] = frozenset()
        self.key_set: Callable[[], bytes] = lambda: key_set([])
        self.looks_at_labels = False
        self.counts_connections = False
        self.follow_routing: Callable[[RoutingTable], object] = lambda routing: None
        self.certificates: CertificateDirectory | None = None

    def use(self, loaded: Loaded | None) -> None:
        """Put a policy in force."""
        self.loaded = loaded
        self.judges = loaded is not None or bool(self.asked)
        self._programs = {}
        self._asked_programs = {hostname: {} for hostname in self._asked_programs}
        self._joined = {}
        self._errors_left = MAX_ERRORS_LOGGED
        self.hides_secrets = loaded is not None and SERVICE_TOKEN in loaded.kinds
        self.taken_out = loaded.taken_out if loaded is not None else frozenset()
        rules = loaded.rules if loaded is not None else frozenset()
        for counted in (self._refused, self._would, self._held_requests, self._held_seconds):
            for gone in [place for place in counted if place[0] not in rules and place[0] != ASKED_NAME]:
                del counted[gone]
        for limiter, other in loaded.changed_limits if loaded is not None else ():
            follow(limiter, other)
        self.looks_at_labels = loaded is not None and loaded.looks_at_labels
        if self.fetched_keys is not None:
            self.fetched_keys.follow(loaded.fetched if loaded is not None else ())
        self.banning.use(loaded.ban if loaded is not None else None, loaded.never if loaded is not None else SPARED)
        self.follow_routing(loaded.compiled.routing if loaded is not None else RoutingTable())
        self.counts_connections = loaded is not None and loaded.counts_connections
        self._ask_for_certificates()

    def ask_by(self, certificates: CertificateDirectory) -> None:
        """Have visitors asked for certificates where a rule wants one, by this policy and those after it."""
        self.certificates = certificates
        self._ask_for_certificates()

    def _ask_for_certificates(self) -> None:
        if self.certificates is not None:
            authorities = self.loaded.authorities if self.loaded is not None else None
            self.certificates.ask_visitors(authorities, self.authorities_for)

    def authorities_for(self, hostname: str) -> frozenset[bytes]:
        """Return the authorities of whose certificates a hostname's visitors are asked for one, in DER."""
        loaded = self.loaded
        program = loaded.compiled.program_for(hostname) if loaded is not None else None
        return program.authorities if program is not None else NOBODY

    def hostnames(self) -> Sequence[str]:
        """Return those that are asked for, so that their programs can be there before another policy is in force."""
        return list(islice(self._programs, MAX_PREPARED))

    @property
    def passwords(self) -> Mapping[str, BasicCheck]:
        """The checks whose questions are answered in threads."""
        return self.loaded.passwords if self.loaded is not None else {}

    def program_for(self, hostname: str, served_as: str) -> Program | None:
        """
        Return what judges requests for a hostname; None if everything is allowed.

        :param hostname: in its normal form; one that is routed here.
        :param served_as: the same, or the pattern that is served and stands for it.
        """
        programs, most = self._programs, MAX_HOSTNAMES
        if self._asked_programs and served_as in self._asked_programs:
            programs, most = self._asked_programs[served_as], MAX_OF_ASKED
        try:
            return programs[hostname]
        except KeyError:
            if len(programs) >= most:
                programs.clear()
            loaded = self.loaded
            program = loaded.compiled.program_for(hostname) if loaded is not None else None
            programs[hostname] = program = self._join(program, self.asked.of(served_as))
            return program

    def _join(self, program: Program | None, asks: Asks) -> Program | None:
        """Add what agents ask to a program; hostnames with the same rules share what comes of it."""
        if asks is NOTHING:
            return program
        joined = self._joined.get((program, asks))
        if joined is None:
            joined = self._joined[program, asks] = AskedProgram(program, asks)
        return joined

    def _asked_changed(self, served_as: str) -> None:
        """Something else is asked for a hostname or pattern."""
        self._joined = {}
        if self.asked.of(served_as):
            self._asked_programs[served_as] = {}
        else:
            del self._asked_programs[served_as]
        self.judges = self.loaded is not None or bool(self.asked)

    def answer(self, question: Question, network: str) -> Deferred[Answer]:
        """Answer what a check asks."""
        check, passwords = self.passwords.get(question.subject), self._passwords
        if check is None:
            check, passwords = self.asked.password_check(question.subject), self._passwords_of_agents
        if check is None or passwords is None:
            return succeed(_NOBODY)
        return passwords.answer(question, check, network)

    def look_aside(self, program: Program, facts: Facts, verdict: Verdict, now: float, wall: float) -> None:
        """
        Count what rules that only log have against a request that is decided, once their questions are answered.

        What finds no room in the queue is not counted: nobody knows what the rule would have done.
        """
        passwords = self._passwords_aside
        checks = [self.passwords.get(question.subject) for question in verdict.aside]
        if passwords is None:
            return
        answers = [
            passwords.answer(question, check, facts.visitor.network) if check is not None else succeed(_NOBODY)
            for question, check in zip(verdict.aside, checks, strict=True)
        ]

        def answered(found: Sequence[Answer]) -> None:
            if all(each.outcome is not Outcome.BUSY for each in found):
                said = dict(zip(verdict.aside, found, strict=True))
                self.count(program.judge_aside(facts, now, wall, said, verdict))

        gathered: Deferred[list[Answer]] = gatherResults(answers, consumeErrors=True)
        gathered.addCallback(answered).addErrback(
            lambda failure: self._log.failure("a rule that only logs could not be asked", failure)
        )

    def count(self, verdict: Verdict) -> None:
        """Count what rules had, or would have had, against a request; log what failed."""
        objection = verdict.objection
        if objection is not None and verdict.action is not Action.ASK:
            place = objection.rule, objection.reason.slug
            self._refused[place] = self._refused.get(place, 0) + 1
        for each in verdict.would:
            place = each.rule, each.reason.slug
            self._would[place] = self._would.get(place, 0) + 1
        for error in verdict.errors:
            if self._errors_left:
                self._errors_left -= 1
                self._log.error("a check of the policy failed, and the request was denied: {error!r}", error=error)

    def count_held(self, place: tuple[str, str], seconds: float, is_first: bool) -> None:
        """
        Count a wait for a limit of bytes.

        :param place: the rule and the limit.
        :param is_first: whether it was the first one of its request.
        """
        self._held_seconds[place] = self._held_seconds.get(place, 0.0) + seconds
        if is_first:
            self._held_requests[place] = self._held_requests.get(place, 0) + 1

    def collect(self) -> Iterable[Metric]:
        """Build the families of one scrape; there are at most as many labels as rules times reasons."""
        refused = CounterMetricFamily(
            "warp_edge_policy_refusals", "Requests that a rule did not let through.", labels=("rule", "reason")
        )
        would = CounterMetricFamily(
            "warp_edge_policy_would_refuse",
            "Requests that a rule with log_only would not have let through.",
            labels=("rule", "reason"),
        )
        for family, counted in ((refused, self._refused), (would, self._would)):
            for place, count in counted.items():
                family.add_metric(place, count)
            yield family
        held = CounterMetricFamily(
            "warp_edge_policy_held_requests",
            "Requests that a limit of bytes slowed, by the limit that did so first.",
            labels=("rule", "limit"),
        )
        waits = CounterMetricFamily(
            "warp_edge_policy_held_seconds",
            "For which limits of bytes held requests and answers back.",
            labels=("rule", "limit"),
        )
        for place, requests in self._held_requests.items():
            held.add_metric(place, requests)
        for place, seconds in self._held_seconds.items():
            waits.add_metric(place, seconds)
        yield held
        yield waits
        yield from self.banning.collect()
        pools = (self._passwords, self._passwords_of_agents, self._passwords_aside)
        hashing = [each for each in pools if each is not None]
        if not hashing:
            return
        yield CounterMetricFamily(
            "warp_edge_policy_passwords", "Passwords that were hashed.", value=sum(each.checked for each in hashing)
        )
        yield CounterMetricFamily(
            "warp_edge_policy_passwords_turned_away",
            "Passwords that found no room in the queue.",
            value=sum(each.turned_away for each in hashing),
        )

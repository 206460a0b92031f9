"""
One request before the policy: what is asked, what comes of it, and what is changed on the way.

The exchange asks it to judge, answers questions in between, and does what it says. What was taken for the request is
given back at its end.
"""

import re
from collections.abc import Mapping
from math import ceil

from twisted.internet.defer import Deferred, gatherResults

from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.edge.policy.passage import Passage
from warp_twisted.http1.refusals import Refusal
from warp_twisted.http1.request import RequestHead
from warp_twisted.policy.authentication.service_token import SECRETS
from warp_twisted.policy.changes import changed, withheld
from warp_twisted.policy.document.asked import NAME as ASKED_NAME
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.interfaces import Answer, Question
from warp_twisted.policy.judging.course import give_back
from warp_twisted.policy.judging.program import Program
from warp_twisted.policy.verdict import CHECK_FAILED, REASONS, Action, Objection, Verdict

REFUSALS = {reason: Refusal(reason.status, f"policy-{reason.slug}", reason.sentence) for reason in REASONS}
# By what an agent asks for its hostnames. They have names of their own: no agent may have visitors banned from others.
REFUSALS_FOR_AGENTS = {
    reason: Refusal(reason.status, f"agent-policy-{reason.slug}", reason.sentence) for reason in REASONS
}
KEYS_TARGET = b"/.well-known/warp/keys"  # on every hostname with rules, before they are asked: it tells nobody's secret
_looks_secret = re.compile(rb"(?i)client.secret:").search
# Names of this module are found much faster than members of an Enum.
_ASK, _ALLOW = Action.ASK, Action.ALLOW
_DENIED = frozenset({Action.DENY, Action.CHALLENGE, Action.REDIRECT})


class Judgement:
    """
    The judgement of one request.

    :ivar verdict: what it came to.
    :ivar is_of_connection: whether it is the connection that is not let through.
    """

    __slots__ = ("_facts", "_in_force", "_program", "is_of_connection", "verdict")

    def __init__(
        self,
        in_force: PolicyInForce,
        program: Program,
        facts: Facts,
        now: float,
        wall: float,
        passage: Passage | None = None,
        verdict: Verdict | None = None,
    ) -> None:
        """
        Judge.

        :param passage: of the connection; None if no limit of connections asks for the hostname.
        :param verdict: what the program has said of the request already.
        """
        self._in_force = in_force
        self._program = program
        self._facts = facts
        refused = passage.enter(program, facts.hostname, now) if passage is not None else None
        self.is_of_connection = refused is not None
        if refused is not None:
            self.verdict = refused
        else:
            self.verdict = program.judge(facts, now, wall) if verdict is None else verdict
            self._count(now, wall)

    @property
    def questions(self) -> tuple[Question, ...]:
        """What is to be answered before it is decided."""
        return self.verdict.questions if self.verdict.action is _ASK else ()

    def ask(self, network: str) -> Deferred[Mapping[Question, Answer]]:
        """Have the questions answered."""
        questions = self.questions
        answers = [self._in_force.answer(question, network) for question in questions]
        answered = gatherResults(answers, consumeErrors=True)
        return answered.addCallback(lambda answers: dict(zip(questions, answers, strict=True)))

    def decide(self, answers: Mapping[Question, Answer], now: float, wall: float) -> None:
        """Judge with answers to the questions."""
        self.verdict = self._program.judge(self._facts, now, wall, answers=answers, asked=self.verdict)
        self._count(now, wall)

    def _count(self, now: float, wall: float) -> None:
        verdict = self.verdict
        if verdict.action is not _ASK and (verdict.objection or verdict.would or verdict.errors):
            self._in_force.count(verdict)
        if verdict.aside:
            self._in_force.look_aside(self._program, self._facts, verdict, now, wall)

    @property
    def objection(self) -> Objection | None:
        """Why the request is not let through; None if it is. What still has a question after its answers is not."""
        verdict = self.verdict
        if verdict.action is _ASK:
            return Objection("", CHECK_FAILED, "a check asked twice")
        objection = verdict.objection
        return objection if objection is not None and verdict.action in _DENIED else None

    def head_for_origin(self, head: RequestHead, now: float, wall: float) -> RequestHead:
        """Return the head as the origin gets it; see `head_for_origin` of this module."""
        return head_for_origin(self._in_force, self.verdict, head, now, wall)

    def end(self) -> None:
        """The request is over: give back what was taken for it."""
        if self.verdict.held:
            give_back(self.verdict.held)


def head_for_origin(
    in_force: PolicyInForce, verdict: Verdict, head: RequestHead, now: float, wall: float
) -> RequestHead:
    """Return a head with what the rules change and with who the visitor is, without what is withheld."""
    lines = head.lines
    if verdict.withheld:
        lines = withheld(lines, verdict.withheld)
    if in_force.hides_secrets and _looks_secret(lines):
        lines = withheld(lines, SECRETS)
    if verdict.request:
        lines = changed(lines, verdict.request)
    assertions = in_force.assertions
    if verdict.asserted and assertions is not None:
        lines += assertions.lines(verdict.identities, head.fields.host, now, wall)
    if lines is head.lines:
        return head
    return RequestHead(head.method, head.target, head.size, head.fields, lines, head.accept)


def changes_request_only(verdict: Verdict) -> bool:
    """Whether a verdict lets a request through, and nothing is left to do with its answer, its bytes or its end."""
    return verdict.action is _ALLOW and not (
        verdict.response or verdict.held or verdict.would or verdict.errors or verdict.aside
    )


def refusal_of(objection: Objection) -> Refusal:
    """Return how a visitor is told of an objection."""
    refusals = REFUSALS_FOR_AGENTS if objection.rule == ASKED_NAME else REFUSALS
    return refusals[objection.reason]


def refusal_lines(objection: Objection, target: bytes, authority: bytes) -> bytes:
    """
    Return the field lines that go with a refusal: how to prove who one is, where to go, how much is allowed.

    :param authority: Host as it came, for a redirect to https.
    """
    lines = [b"WWW-Authenticate: %b\r\n" % challenge for challenge in objection.challenges]
    if objection.reason.status == 308:
        host = authority.removesuffix(b":80")
        path = b"/" if target == b"*" else target  # of OPTIONS; behind the host it would be a part of its name
        lines.append(b"Location: https://%b%b\r\n" % (host, path))
    limit = objection.limit
    if limit is not None and limit.rate is not None:
        # draft-ietf-httpapi-ratelimit-headers-10
        name = limit.name.encode("ascii")
        seconds = max(1, ceil(limit.burst_units / limit.per_second))
        lines.append(b'RateLimit-Policy: "%b";q=%d;w=%d\r\n' % (name, limit.burst_units, seconds))
        lines.append(b'RateLimit: "%b";r=0;t=%d\r\n' % (name, ceil(objection.wait)))
    return b"".join(lines)

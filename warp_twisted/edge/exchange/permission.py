"""
Whether the policy lets one request through, and what changes about it and its answer.

Stands between an exchange and `edge.policy`: it knows what a request looks like to the policy, and what an objection
looks like to a visitor. It must not know where the request goes, nor when questions are asked; those are `exchange`'s.
"""

from collections.abc import Callable, Mapping
from math import ceil

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from warp_twisted.edge.exchange.answer import Answer
from warp_twisted.edge.exchange.interfaces import Asker, Shared
from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.edge.policy.judgement import KEYS_TARGET, REFUSALS, Judgement, refusal_lines, refusal_of
from warp_twisted.edge.routes.route import Route
from warp_twisted.http1.refusals import Refusal
from warp_twisted.http1.request import RequestHead
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.interfaces import Answer as Proof
from warp_twisted.policy.interfaces import Question
from warp_twisted.policy.judging.program import Program
from warp_twisted.policy.pacing import Pacer
from warp_twisted.policy.verdict import BUSY, Verdict

NOT_ANSWERED = REFUSALS[BUSY]  # whoever answers questions took too long
_GET = frozenset({b"GET", b"HEAD"})
Answers = Mapping[Question, Proof]


def is_read(head: RequestHead) -> bool:
    """Whether a request only asks for something."""
    return head.method in _GET


def asks_for_keys(head: RequestHead) -> bool:
    """Whether a request is for the keys that assertions are verified with; no rule is asked about it."""
    return head.target == KEYS_TARGET and is_read(head)


def facts_of(policy: PolicyInForce, program: Program, asker: Asker, head: RequestHead, route: Route) -> Facts:
    """
    Return what a request looks like to the policy.

    :raises MessageRefused: if a certificate is wanted that was not asked for when the connection was made.
    """
    return Facts(
        head.fields.host, head.method, head.target, asker.scheme, asker.source, head.lines,
        tuple(member.load.tunnel.labels for member in route.members) if policy.looks_at_labels else (),
        asker.chain_for(program.authorities) if program.authorities else (),
        head.fields.spelt,
    )  # fmt: skip


class Permission:
    """
    What the policy says about one request; asked when it is made.

    :param verdict: what the program has said of it; None: it was not asked, as the connection is to be judged first.
    :param now: when the head was read, by the visitors' clock.
    """

    __slots__ = ("_asker", "_head", "_judgement", "_visitors")

    def __init__(
        self,
        policy: PolicyInForce,
        program: Program,
        visitors: Shared,
        asker: Asker,
        head: RequestHead,
        facts: Facts,
        verdict: Verdict | None,
        now: float,
    ) -> None:
        self._visitors = visitors
        self._asker = asker
        self._head = head
        self._judgement = Judgement(
            policy,
            program,
            facts,
            now,
            visitors.wall.now(),
            asker.passage if program.of_connections is not None else None,
            verdict,
        )

    @property
    def verdict(self) -> Verdict:
        """What the policy came to; of an access log's line."""
        return self._judgement.verdict

    @property
    def is_open(self) -> bool:
        """Whether there are questions to be answered first."""
        return bool(self._judgement.questions)

    def ask(self, answered: Callable[[Answers], None], failed: Callable[[Failure], None]) -> Deferred[None]:
        """Have the questions answered, at once or later."""
        return self._judgement.ask(self._asker.network).addCallback(answered).addErrback(failed)

    def decide(self, answers: Answers) -> None:
        """Judge with the answers."""
        visitors = self._visitors
        self._judgement.decide(answers, visitors.seconds(), visitors.wall.now())

    def refusal(self, answer: Answer) -> Refusal | None:
        """
        Return why the request may not pass, or None.

        :param answer: is told what goes with the refusal, or what is changed of the origin's answer.
        """
        judgement = self._judgement
        objection = judgement.objection
        if objection is None:
            answer.changes = judgement.verdict.response
            return None
        if objection.wait:
            answer.retry_seconds = ceil(objection.wait)
        answer.refusal_lines = refusal_lines(objection, self._head.target, self._head.fields.authority)
        answer.may_keep = not judgement.is_of_connection
        return refusal_of(objection)

    @property
    def detail(self) -> str:
        """What the objection is about, for the access log."""
        objection = self._judgement.objection
        return objection.detail if objection is not None else ""

    def head_for_origin(self, now: float) -> RequestHead:
        """Return the head with what the rules change, and with who the visitor is."""
        return self._judgement.head_for_origin(self._head, now, self._visitors.wall.now())

    def pacer(self) -> Pacer | None:
        """Return the limits of bytes that hold for the request and its answer; None if there are none."""
        held = self._judgement.verdict.held
        return (Pacer(held) or None) if held else None

    def end(self) -> None:
        """The request is over: give back what was taken for it."""
        self._judgement.end()

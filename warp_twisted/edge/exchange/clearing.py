"""
One request on its way past the policy: judged, asked about, held back by limits of bytes; then let pass, or refused.

Nothing of a request is sent meanwhile, and what has come of its body is kept. When it may pass it is judged once more
if a tunnel has come that asks for more. What the policy's word means to a request is `permission`'s, how long bytes
wait `pacing`'s; where the request goes, and what is left when its visitor leaves, is the exchange's.
"""

from typing import Protocol

from twisted.python.failure import Failure

from warp_twisted.edge.exchange.answer import Answer
from warp_twisted.edge.exchange.interfaces import Shared
from warp_twisted.edge.exchange.pacing import Paced, Pacing
from warp_twisted.edge.exchange.permission import Answers, Permission
from warp_twisted.edge.exchange.states import ExchangeState
from warp_twisted.edge.routes.route import Route
from warp_twisted.http1.refusals import Refusal
from warp_twisted.http1.request import RequestHead
from warp_twisted.policy.verdict import Verdict

_JUDGING, _HELD = ExchangeState.JUDGING, ExchangeState.HELD


class Cleared(Paced, Protocol):
    """The exchange, as far as its clearing uses it."""

    @property
    def state(self) -> ExchangeState:
        """How far it is: it has left the clearing's states if its visitor left meanwhile."""

    def is_covered(self, route: Route) -> bool:
        """Whether the request was judged by all that the agents of a route ask for it now."""

    def wait_for_clearing(self, state: ExchangeState, body: bytes) -> None:
        """Keep what has come of the body until it is `cleared`, `refused` or judged anew."""

    def cleared(self, route: Route, head: RequestHead, body: bytes) -> None:
        """Send the request on."""

    def refused(self, refusal: Refusal, detail: str) -> None:
        """Answer the request."""

    def judge_anew(self, route: Route, body: bytes) -> None:
        """Begin with another clearing."""

    def fail(self, failure: Failure) -> None:
        """A bug came to light while the request was cleared, or when it was over."""


class Clearing:
    """
    The clearing of one request.

    :ivar pacing: how fast it may go on; None if nothing limits that.
    """

    __slots__ = ("_answer", "_body", "_exchange", "_permission", "_route", "_visitors", "pacing")

    def __init__(
        self, exchange: Cleared, visitors: Shared, permission: Permission, answer: Answer, route: Route, body: bytes
    ) -> None:
        """
        Prepare.

        :param permission: the policy was asked.
        :param answer: is told what goes with a refusal, or what is changed of the origin's answer.
        :param body: what has come of it.
        """
        self._exchange = exchange
        self._visitors = visitors
        self._permission = permission
        self._answer = answer
        self._route = route
        self._body = body
        self.pacing: Pacing | None = None

    @property
    def verdict(self) -> Verdict:
        """What the policy came to."""
        return self._permission.verdict

    def begin(self, now: float, count: int) -> None:
        """
        Let the exchange hear what the policy says, at once or later.

        :param now: when the head was read.
        :param count: bytes of the request that have come.
        """
        if self._permission.is_open:
            self._exchange.wait_for_clearing(_JUDGING, self._body)
            self._permission.ask(lambda answers: self._answered(answers, count), self._exchange.fail)
        elif self._may_pass():
            self._let_pass(now, count)

    def _answered(self, answers: Answers, count: int) -> None:
        """The policy's questions are answered: go on, unless the visitor has left meanwhile."""
        if self._exchange.state is not _JUDGING:
            return
        self._permission.decide(answers)
        if not self._exchange.is_covered(self._route):
            self._exchange.judge_anew(self._route, self._body)
        elif self._may_pass():
            self._let_pass(self._visitors.seconds(), count)

    def _may_pass(self) -> bool:
        """Whether the policy lets the request through; if it does not, the request is answered."""
        refusal = self._permission.refusal(self._answer)
        if refusal is None:
            return True
        self._exchange.refused(refusal, self._permission.detail)
        return False

    def _let_pass(self, now: float, count: int) -> None:
        """Send the request on, as soon as the limits of bytes let it."""
        pacer = self._permission.pacer()
        if pacer is not None:
            visitors = self._visitors
            pacing = self.pacing = Pacing(pacer, visitors.schedule, visitors.seconds, visitors.policy.count_held, self)
            if not pacing.may_begin(count):
                self._exchange.wait_for_clearing(_HELD, self._body)
                return
            pacing.paced = self._exchange
        self._exchange.cleared(self._route, self._permission.head_for_origin(now), self._body)

    def request_due(self) -> None:
        """What had come of the request may pass."""
        if self._exchange.state is _HELD:
            try:
                self._begin_late()
            except Exception:
                self._exchange.fail(Failure())

    def _begin_late(self) -> None:
        if not self._exchange.is_covered(self._route):
            self._exchange.judge_anew(self._route, self._body)
            return
        if self.pacing is not None:
            self.pacing.paced = self._exchange
        head = self._permission.head_for_origin(self._visitors.seconds())
        self._exchange.cleared(self._route, head, self._body)

    def answer_due(self) -> None:
        """Nothing of an answer waits yet."""

    def end(self) -> None:
        """The request is over, or judged anew: give back what was taken for it."""
        self._permission.end()

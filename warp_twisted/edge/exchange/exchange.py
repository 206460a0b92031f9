"""
One request and its answer, from the visitor's head to the last byte of the answer.

An `Exchange` is called by two sides: by the visitor's connection (the body, backpressure, time-outs, the visitor's
end) and, as the receiver of a stream, by the tunnel. It decides where the request goes, whether it is sent again,
and what becomes of the stream; the answer itself is `answer`'s. Both ways:

* what arrived is passed on at once; nothing is kept but an incomplete head, and the request while it may be replayed;
* credit goes back to the origin when the visitor's transport took the bytes, so a slow visitor holds its origin back;
* while the stream takes no more, the visitor is not read.

A request is sent again, on a new stream, if its stream died, or its tunnel is suspected of being dead, before the
first byte of an answer and its method may be repeated, or if the agent said that the origin never saw it; `repeating`
says how often and to whom.

`state` follows `states.EXCHANGE_TRANSITIONS`; `_end` is the only way to its last state.
"""

from collections.abc import Callable
from functools import partial
from math import ceil
from typing import ParamSpec

from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_twisted.edge import refusals
from warp_twisted.edge.exchange.answer import SWITCHING_PROTOCOLS, Answer
from warp_twisted.edge.exchange.clearing import Clearing
from warp_twisted.edge.exchange.interfaces import Visitor
from warp_twisted.edge.exchange.pacing import Pacing
from warp_twisted.edge.exchange.permission import NOT_ANSWERED, Permission, asks_for_keys, facts_of, is_read
from warp_twisted.edge.exchange.queueing import Queueing
from warp_twisted.edge.exchange.recording import record
from warp_twisted.edge.exchange.repeating import Cause, Repeating
from warp_twisted.edge.exchange.rewritten_host import RewrittenHost
from warp_twisted.edge.exchange.splice import Splice
from warp_twisted.edge.exchange.states import Ending, ExchangeState, Outcome, ending_of
from warp_twisted.edge.exchange.steering import Steering
from warp_twisted.edge.exchange.upload import Upload
from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.edge.policy.judgement import changes_request_only, head_for_origin
from warp_twisted.edge.routes.members import ANY_STREAM, AtLimit, NoTunnel
from warp_twisted.edge.routes.pool import Borrower, Member, OriginStream
from warp_twisted.edge.routes.route import Route
from warp_twisted.edge.routes.search import Search
from warp_twisted.edge.routes.shadows import Shadow
from warp_twisted.edge.routes.splitting import RouteSplits
from warp_twisted.http1.refusals import MessageRefused, Refusal
from warp_twisted.http1.request import RequestHead
from warp_twisted.policy.judging.program import Program
from warp_twisted.policy.verdict import ALLOWED
from warp_twisted.routing.outliers import OriginState
from warp_twisted.routing.split import RETRIED
from warp_twisted.wire.errors import ConnectionLost, RelayedTunnelLost, WireError
from warp_twisted.wire.preamble import Opening, OpeningCode

P = ParamSpec("P")

_WHOLE_BYTES = 4_096  # of a request, which leave in one frame, also where others wait
_UNCOUNTED_BYTES = 2_048  # of a request that is kept, as much as the connection takes itself; to count each costs each
# Names of this module are found much faster than members of an Enum.
_CONNECTING, _ASKED, _ANSWERING = ExchangeState.CONNECTING, ExchangeState.ASKED, ExchangeState.ANSWERING
_SPLICED, _ENDED, _JUDGING = ExchangeState.SPLICED, ExchangeState.ENDED, ExchangeState.JUDGING
_HELD, _QUEUED = ExchangeState.HELD, ExchangeState.QUEUED
_USED = OriginState.USED
_FAILED_STATUSES = frozenset({500, 502, 503, 504})
_FAULTS_OF_ORIGINS = frozenset({refusals.CONNECT_TOO_SLOW, refusals.ORIGIN_TOO_SLOW, refusals.BAD_RESPONSE})
_UNREACHED = frozenset(
    {
        OpeningCode.ORIGIN_REFUSED,
        OpeningCode.ORIGIN_TIMED_OUT,
        OpeningCode.TLS_FAILED,
        OpeningCode.NAME_NOT_FOUND,
        OpeningCode.ORIGIN_UNREACHABLE,
    }
)
_ANSWERED, _REFUSED, _KEEP = Outcome.ANSWERED, Outcome.REFUSED, Ending.KEEP


class Exchange(Borrower):
    """
    One request being served.

    :ivar state: how far it is.
    :ivar wants_data: whether bytes of the visitor belong to this request's body, rather than to the next request.
    """

    _log = Logger()

    state = ExchangeState.DECIDING
    wants_data = False
    _search: Search | None = None
    _clearing: Clearing | None = None
    _judged_by: Program | None = None
    _verdict = ALLOWED  # if it passed at once
    _steering: Steering | None = None
    _pacing: Pacing | None = None
    _route: Route | None = None
    _member: Member | None = None
    _origin: OriginStream | None = None
    _body: Upload | None = None
    _replay: bytes | None = None
    _rewritten: RewrittenHost | None = None
    _is_whole = (
        True  # without a body, or sent in one frame, so that an ACK for the rest is not taken for the next one's
    )
    _repeating: Repeating | None = None
    _queueing: Queueing | None = None
    _queued_seconds = 0.0
    _detail = ""
    _after: "Callable[[Exchange], None] | None" = None

    def __init__(self, visitor: Visitor, head: RequestHead) -> None:
        self._visitor = visitor
        self._asker = visitor.spoken_for or visitor
        self._visitors = visitors = visitor.visitors
        self._head = head
        self._request_id = visitors.next_request_id()
        self._answer = Answer(visitor, head, self._request_id)
        self._started_at = visitors.seconds()
        self._bytes_in = head.size

    # The request.

    def begin(self, data: bytes) -> bytes:
        """
        Decide where the request goes and send it there, or answer it.

        :param data: what arrived after the head.
        :returns: what is left; see `Conversation.request_received`.
        """
        head = self._head
        fields = head.fields
        visitors = self._visitors
        body = b""
        try:
            if fields.length:
                body, data = self._begin_body(fields.length, data)
            asker = self._asker
            if asker is not self._visitor and visitors.policy.banning.is_banned(asker.address, asker.network):
                self._end(_REFUSED, refusals.BANNED)
                return data
            if visitors.limits.requests_per_second:
                seconds = visitors.refused_seconds(asker.network, self._started_at)
                if seconds:
                    self._answer.retry_seconds = ceil(seconds)
                    self._end(_REFUSED, refusals.TOO_MANY_REQUESTS)
                    return data
            if fields.max_forwards == 0 and head.method == b"OPTIONS":
                self._answer.state_options(is_request_read=not self.wants_data)
                self._end(Outcome.OWN_ANSWER)
                return data
            if fields.host != self._visitor.hostname:
                self._visitor.check_hostname(fields.host)
            if visitors.challenge_answers and self._answer_challenge():
                return data
            found = visitors.routes.find(fields.host, head.target)
        except MessageRefused as error:
            self._end(_REFUSED, error.refusal)
            return b"" if self.wants_data else data
        if isinstance(found, Search):
            self._go_on_with(found, body)
        else:
            self._send_to(found, body)
        return data

    def _answer_challenge(self) -> bool:
        """Answer an authority that asks for what is published for it; return whether one did. No rule is asked."""
        head = self._head
        content = self._visitors.challenge_answers.get((head.fields.host, head.target))
        if content is None or self.wants_data or not is_read(head):
            return False
        self._answer.state_challenge(content)
        self._end(Outcome.OWN_ANSWER)
        return True

    def _go_on_with(self, search: Search, body: bytes) -> None:
        """Look for the route in turns; meanwhile the visitor is not read further than its buffer goes."""
        self.state = ExchangeState.SEARCHING
        self._search = search
        self._replay = body
        self._visitor.wait(self._visitors.timeouts.origin_response)
        if len(body) > _UNCOUNTED_BYTES:
            self._visitor.count_kept(len(body))
        self._visitor.wait_for_turn()

    def _take_step(self, search: Search) -> None:
        """Take one step of looking for the route, and send the request there."""
        try:
            if not search.take_step():
                return
        except MessageRefused as error:
            self._end(_REFUSED, error.refusal)
            return
        self._search = None
        self._visitor.count_kept(0)
        self._send_to(search.route, self._replay or b"")

    def _send_to(self, route: Route | None, body: bytes) -> None:
        """Send the request to a route, or say that there is none."""
        if route is None:
            is_away = self._visitors.routes.is_away(self._head.fields.host)
            self._end(_REFUSED, refusals.NO_TUNNEL if is_away else refusals.UNKNOWN_HOSTNAME)
            return
        self._route = route
        policy = self._visitors.policy
        if policy.judges:
            program = policy.program_for(self._head.fields.host, route.hostname)
            if program is not None:
                self._judge(policy, program, route, body)
                return
        self._forward(route, self._head, body)

    def _judge(self, policy: PolicyInForce, program: Program, route: Route, body: bytes) -> None:
        """Send the request on if the policy lets it pass."""
        head = self._head
        if not self.wants_data and asks_for_keys(head):
            self._answer.state_keys(policy.key_set())
            self._end(Outcome.OWN_ANSWER)
            return
        try:
            facts = facts_of(policy, program, self._asker, head, route)
        except MessageRefused as error:
            self._answer.may_keep = False
            self._end(_REFUSED, error.refusal)
            return
        self._judged_by = program
        visitors, now = self._visitors, self._started_at
        verdict = None
        if program.of_connections is None:
            verdict = program.judge(facts, now, visitors.wall.now())
            if verdict.passes and not policy.hides_secrets:
                self._verdict = verdict
                self._forward(route, head, body)
                return
            if changes_request_only(verdict):
                self._verdict = verdict
                self._forward(route, head_for_origin(policy, verdict, head, now, visitors.wall.now()), body)
                return
        permission = Permission(policy, program, visitors, self._asker, head, facts, verdict, now)
        clearing = self._clearing = Clearing(self, visitors, permission, self._answer, route, body)
        clearing.begin(now, self._bytes_in)

    # What its clearing says.

    def is_covered(self, route: Route) -> bool:
        """Whether the request was judged by all that the agents of a route ask for it now."""
        return self._visitors.policy.asked.are_covered(route.hostname, self._judged_by)

    def wait_for_clearing(self, state: ExchangeState, body: bytes) -> None:
        """Keep the body so far; meanwhile the visitor is not read further than its buffer goes."""
        self.state = state
        self._replay = body
        self._visitor.wait(self._visitors.timeouts.origin_response)
        self._visitor.count_kept(len(body))

    def cleared(self, route: Route, head: RequestHead, body: bytes) -> None:
        """The request may pass."""
        if self._clearing is not None:
            self._pacing = self._clearing.pacing
        if self.state is _JUDGING or self.state is _HELD:
            self._visitor.count_kept(0)
            self._guard(self._forward, route, head, body)
            self._visitor.wait_for_turn()  # more of the body may have come
        else:
            self._forward(route, head, body)

    def refused(self, refusal: Refusal, detail: str) -> None:
        """The request may not pass."""
        self._detail = detail
        self._guard(self._end, _REFUSED, refusal)

    def judge_anew(self, route: Route, body: bytes) -> None:
        """A tunnel has come meanwhile that asks for more."""
        if self._clearing is not None:
            self._clearing.end()
            self._clearing = None
        self._judged_by = None
        self._visitor.count_kept(0)
        self._guard(self._send_to, route, body)
        self._visitor.wait_for_turn()

    def fail(self, failure: Failure) -> None:
        """A bug came to light; the connection may serve another request by now."""
        if self.state is _JUDGING or self.state is _HELD:
            self._guard(failure.raiseException)
        else:
            self._log.failure("request {id} failed when it was over", failure, id=self._request_id.decode())

    def request_due(self) -> None:
        """More of the request may pass, as far as limits of bytes are asked."""
        if self._origin is not None and not self._origin.stream.is_blocked:
            self._wait()
            self._visitor.resume_reading()

    # Sending it.

    def _forward(self, route: Route, head: RequestHead, body: bytes) -> None:
        """Send the request to a route."""
        try:
            steered = head
            if route.splits is not None:
                steered = self._steer(route.splits, head)
            # An origin may close an idle connection at any moment. What cannot be sent again goes on one just used.
            used_after = ANY_STREAM if self._is_repeatable() else self._visitors.now
            origin = (self._steering or route).borrow(self, used_after=used_after)
        except AtLimit as limit:
            self._wait_for_place(limit, route, partial(self._forward, route, head, body), body)
            return
        except NoTunnel as error:
            self._detail = error.detail
            self._end(_REFUSED, error.refusal)
            return
        route.counters.sent += 1
        self._send(origin, steered.for_origin(self._request_id) + body)
        steering = self._steering
        if steering is not None and steering.shadow is not None:
            self._copy(steering.shadow, steering, steered)

    def _copy(self, shadow: Shadow, steering: Steering, head: RequestHead) -> None:
        """Send a copy to a shadow if one is due and the request did not go there itself; it goes on by itself."""
        fields = head.fields
        if steering.share is not shadow.members and shadow.is_due(
            head.method, has_body=bool(fields.length or fields.upgrade)
        ):
            steering.is_copied = self._visitors.mirroring.copy(shadow, head, self._request_id, self._asker.scheme)

    def _is_repeatable(self) -> bool:
        """Whether the request may be sent again although an origin may have worked on it; an upgrade never may."""
        head, steering = self._head, self._steering
        return head.method in (RETRIED if steering is None else steering.retried) and not head.fields.upgrade

    def _steer(self, splits: RouteSplits, head: RequestHead) -> RequestHead:
        """Let labels decide which tunnels the request may go to; return its head without what was for the edge."""
        split = splits.only or splits.for_hostname(head.fields.host)
        if split is None:
            self._steering = None  # if there was one, the policy has changed while the request waited for a place
            return head
        if self._steering is not None and self._steering.is_by(split):
            return self._steering.head  # it has waited for a place, and keeps its draw
        verdict = self._verdict if self._clearing is None else self._clearing.verdict
        steering = self._steering = Steering(split, self._visitor, self._asker, head, self._answer, verdict.identities)
        return steering.head

    def _begin_body(self, length: int, data: bytes) -> tuple[bytes, bytes]:
        """Read what arrived of the body with the head; a body that is wrong so early reaches nobody."""
        self.wants_data = True
        visitors = self._visitors
        body = self._body = Upload(length, visitors.limits, visitors.rules, visitors.policy.taken_out)
        return self._read_body(body, data) if data else (b"", b"")

    def _read_body(self, body: Upload, data: bytes) -> tuple[bytes, bytes]:
        """Return a piece of the body as the origin gets it, and what is left."""
        piece, rest = body.receive(data)
        self._bytes_in = self._head.size + body.bytes_in
        self.wants_data = not body.is_complete
        return piece, rest

    def _send(self, origin: OriginStream, request: bytes) -> None:
        """Send a request, or what there is of it, on a stream."""
        self._origin = origin
        self._member = member = origin.member
        if member.origin.state is not _USED and self._route is not None:
            self._visitors.routes.ejection.lent(self._route, member, self._visitors.now)
        if member.rewriting is not None:
            self._rewritten = RewrittenHost(member.rewriting, request, self._asker.scheme, self._head, self._answer)
            request = self._rewritten.request
        self._replay = request
        self._is_whole = self._body is None or len(request) <= _WHOLE_BYTES
        if origin.is_opened:
            self.state = _ASKED
            self._wait()
        else:
            self.state = _CONNECTING
            self._visitor.wait(self._visitors.timeouts.origin_connect)
        has_credit = origin.stream.write(request)
        if self._origin is origin:
            if not has_credit:
                self._visitor.pause_reading()
            if not has_credit or len(request) > _UNCOUNTED_BYTES:
                self._visitor.count_kept(len(request))

    def _wait(self) -> None:
        """Give the visitor its time to send more, or the origin its time to answer."""
        visitors = self._visitors
        if self.wants_data and self._body is not None:
            self._body.slow_at = self._visitor.deadline = visitors.now + visitors.timeouts.visitor_stall
        else:
            self._visitor.deadline = visitors.now + visitors.timeouts.origin_response

    def request_received(self, data: bytes) -> bytes:
        """Pass on more of the request body; see `Conversation.request_received`."""
        body = self._body
        origin = self._origin
        if body is None or origin is None:
            waits = self._search is not None or self.state is _JUDGING or self.state is _HELD or self.state is _QUEUED
            return data if waits else b""
        visitor = self._visitor
        pacing, later = self._pacing, b""
        if pacing is not None:
            admitted = pacing.admit(len(data))
            data, later = data[:admitted], data[admitted:]
            if not data:
                return later
        try:
            piece, rest = self._read_body(body, data)
        except MessageRefused as error:
            self._end(_REFUSED, error.refusal)
            return b""
        if pacing is not None:
            pacing.give_back(len(rest))
            rest += later
        visitors = self._visitors
        limits = visitors.limits
        if self.state is _ASKED:
            if self.wants_data:
                visitor.deadline = body.extend_wait(
                    len(data), visitors.now, visitors.timeouts.visitor_stall, limits.body_bytes_per_second
                )
            else:
                visitor.deadline = visitors.now + visitors.timeouts.origin_response
        if piece:
            kept = 0
            self._is_whole = False
            if self._replay is not None:
                kept = len(self._replay) + len(piece)
                if kept <= limits.replay_bytes:
                    self._replay += piece
                else:
                    self._replay, kept = None, 0
            if not origin.stream.write(piece) and self._origin is origin:
                visitor.pause_reading()
                # It waits for credit, or was put where all streams of the tunnel wait for its socket.
                kept += max(len(piece), origin.stream.queued_bytes)
            kept += self._answer_waiting
            if (kept > _UNCOUNTED_BYTES or visitor.kept_bytes) and self._origin is origin:
                visitor.count_kept(kept)
        return rest

    @property
    def is_blocked(self) -> bool:
        """Whether the stream takes no more of the body now, or a limit of bytes lets no more pass."""
        if self._origin is None or self._origin.stream.is_blocked:
            return True
        return self._pacing is not None and self._pacing.is_request_waiting

    # The stream.

    def origin_opened(self) -> None:
        """The origin was reached; now it has its time to answer."""
        self.state = _ASKED
        self._wait()

    def origin_refused(self, opening: Opening) -> None:
        """The agent did not reach the origin; another agent may."""
        origin, self._origin = self._origin, None
        self._detail = opening.detail
        if origin is not None:
            if opening.code in _UNREACHED:
                self._note_failure(origin)
            self._guard(self._send_again, origin, Cause.REFUSED, refusals.OPENINGS[opening.code])

    def credit_received(self) -> None:
        """The stream takes bytes again."""
        visitor = self._visitor
        if visitor.kept_bytes:
            visitor.count_kept(self._answer_waiting if self._replay is None else len(self._replay))
        if self.state is _ASKED:
            self._wait()  # it was the origin that was slow
        visitor.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Take bytes of the origin."""
        origin = self._origin
        if origin is None:
            return
        if not origin.stream.peer_heard and origin.was_used:
            self._detail = "the origin spoke before it was asked"
            self._guard(self._lost)
            return
        if self._replay is not None:
            self._replay = None
            if self._visitor.kept_bytes:
                self._visitor.count_kept(origin.stream.queued_bytes)
        pacing = self._pacing
        if pacing is not None:
            data = pacing.take(data)
            if data:
                self._pass_on(data, origin)
                self._passed_on()
            else:
                self._count_waiting(origin)
            return
        self._pass_on(data, origin)

    def _pass_on(self, data: bytes, origin: OriginStream) -> None:
        """Pass on bytes of the origin, or of those that wait for a turn."""
        try:
            answer = self._answer
            if answer.receive(data, origin, is_request_read=not self.wants_data):
                if answer.status == SWITCHING_PROTOCOLS:
                    self._splice(origin)
                else:
                    self._end(_ANSWERED)
            elif answer.status:
                self.state = _ANSWERING
                if answer.waiting_bytes:
                    self._count_waiting(origin)
                    self._visitor.wait_for_turn()
        except MessageRefused as error:
            self._detail = error.refusal.slug
            self._guard(self._end, _REFUSED, refusals.BAD_RESPONSE)
        except Exception:
            self._broke()

    def answer_due(self) -> None:
        """More of the answer may pass, as far as limits of bytes are asked."""
        origin, pacing = self._origin, self._pacing
        if origin is not None and pacing is not None:
            self._pass_on(pacing.take(b""), origin)
            self._passed_on()

    @property
    def _answer_waiting(self) -> int:
        """How much of the answer has come and was not passed on."""
        waiting = self._answer.waiting_bytes
        return waiting if self._pacing is None else waiting + self._pacing.waiting_bytes

    def _count_waiting(self, origin: OriginStream) -> None:
        """More of the answer has come than is passed on at once."""
        self._visitor.count_kept(self._answer_waiting + origin.stream.queued_bytes)

    @property
    def has_more(self) -> bool:
        """Whether the route is being looked for, or more of the answer waits for a turn."""
        return self._search is not None or self._answer.waiting_bytes > 0

    def take_turn(self) -> None:
        """Look on for the route, or pass on more of the answer."""
        if self._search is not None:
            self._guard(self._take_step, self._search)
        elif self._origin is not None and self._answer.waiting_bytes:
            self._pass_on(b"", self._origin)
            self._passed_on()

    def _passed_on(self) -> None:
        """Some of what waited was passed on: if it was all, what followed it may be heard of."""
        if self._origin is None:
            return
        self._count_waiting(self._origin)
        pacing, visitor = self._pacing, self._visitor
        if pacing is not None and pacing.waiting_bytes and not visitor.is_clogged:
            # What waits takes memory as if the visitor were slow: a piece that passed is its progress, as of others.
            visitor.wait(self._visitors.timeouts.visitor_stall)
        if self._after is not None and not self._answer_waiting:
            self._guard(self._after, self)

    def end_received(self) -> None:
        """The origin closed its connection in order."""
        self._follow(Exchange._ended)

    def stream_lost(self, error: WireError) -> None:
        """The stream died: the origin cut its connection, or the tunnel is gone, and with it perhaps many streams."""
        self._detail = str(error)
        origin = self._origin
        self._visitors.losses.take(self._visitor.network, lambda: self._obey_loss(origin, error))

    def _obey_loss(self, origin: OriginStream | None, error: WireError) -> None:
        """Obey the loss of a stream, in its turn, unless the exchange has left it meanwhile."""
        # After an end, of which the rest of the answer may still wait, a loss says nothing new.
        if self._origin is origin and self._after is None:
            # What an agent says of itself changes nothing; another edge is believed.
            is_remote = origin is not None and origin.member.load.is_remote
            is_tunnels = isinstance(error, ConnectionLost) or (is_remote and isinstance(error, RelayedTunnelLost))
            self._follow(Exchange._lost_tunnel if is_tunnels else Exchange._lost)

    def _follow(self, function: "Callable[[Exchange], None]") -> None:
        """Obey the stream's end now, or after what of the answer came before it."""
        if self._answer_waiting:
            self._answer.is_reusable = False
            self._after = function
        else:
            self._guard(function, self)

    def tunnel_suspected(self) -> None:
        """The tunnel is silent: send the request elsewhere if that is safe, else wait on."""
        if self._origin is not None:
            self._guard(self._resend, self._origin, Cause.SUSPECTED)

    def _guard(self, function: Callable[P, object], *arguments: P.args, **named: P.kwargs) -> None:
        """Call a function for the stream: an exception would end the tunnel, and with it everybody's requests."""
        try:
            function(*arguments, **named)
        except Exception:
            self._broke()

    def _broke(self) -> None:
        """A bug in the edge came to light: log it, and let it cost no more than this request."""
        self._log.failure("request {id} failed", id=self._request_id.decode())
        if self.state is _ENDED:  # it came to light while ending, so the visitor may have heard nothing of that
            self._visitor.abort()
        else:
            self._end(Outcome.FAULT if self._answer.bytes_out else _REFUSED, refusals.INTERNAL)

    def _ended(self) -> None:
        if self._answer.end():
            self._end(_ANSWERED)
        else:
            self._lost()

    def _lost_tunnel(self) -> None:
        """The tunnel is gone, and the stream with it."""
        self._lost(Cause.TUNNEL_LOST)

    def _lost(self, cause: Cause = Cause.CUT) -> None:
        """The stream is of no more use: send the request again if that is safe."""
        origin, self._origin = self._origin, None
        if self.state is _ENDED or origin is None:
            return
        origin.discard()
        if self._answer.status:
            self._end(_REFUSED, refusals.CUT_SHORT)
            return
        if cause is Cause.CUT and not origin.was_used:
            self._note_failure(origin)
        self._send_again(origin, cause, refusals.ORIGIN_CLOSED)

    def _note_failure(self, origin: OriginStream) -> None:
        """The origin was not reached, did not answer, or said that it cannot serve."""
        if self._route is not None:
            self._visitors.routes.ejection.failed(self._route, origin.member, self._visitors.now)

    def _note_answer(self, origin: OriginStream) -> None:
        """The origin has answered: that is of interest only if it has failed lately."""
        known = origin.member.origin
        if self._answer.status in _FAILED_STATUSES:
            self._note_failure(origin)
        elif (known.failures or known.state is not _USED) and self._route is not None:
            self._visitors.routes.ejection.answered(self._route, origin.member)

    def _send_again(self, left: OriginStream, cause: Cause, refusal: Refusal) -> None:
        """Try a new stream, or give the refusal as the answer."""
        if not self._resend(left, cause, refusal):
            self._end(_REFUSED, refusal)

    def _resend(self, left: OriginStream, cause: Cause, refusal: Refusal = refusals.NO_TUNNEL) -> bool:
        """
        Send the request on a new stream and leave the old, if it is there, or wait for a place to do so.

        :param refusal: the answer if it has waited in vain.
        :returns: whether that was possible.
        """
        request, route = self._replay, self._route
        if request is None or route is None or not self.is_covered(route):
            return False
        if cause is not Cause.REFUSED and (self._answer.has_arrived or not self._is_repeatable()):
            return False
        if self._repeating is None:
            self._repeating = Repeating(route, self._steering, self._visitors.metrics)
        try:
            origin = self._repeating.borrow(self, left, cause)
        except AtLimit as limit:
            if self._origin is not None:
                return False  # its stream is there, and may still answer
            self._wait_for_place(limit, route, partial(self._send_again, left, cause, refusal), None)
            return True
        if origin is None:
            return False
        if self._origin is not None:
            self._origin.discard()
        self._visitor.resume_reading()
        if self._rewritten is not None:
            request = self._rewritten.undo(request)
            self._rewritten = None
        self._send(origin, request)
        return True

    # Waiting for a place at an origin.

    @property
    def network(self) -> str:
        """What counts as one visitor: whose request it is."""
        return self._asker.network

    def _wait_for_place(self, limit: AtLimit, route: Route, send: Callable[[], None], unsent: bytes | None) -> None:
        """Wait until an origin takes another request, if there is room to wait."""
        queueing = self._queueing
        if queueing is None:
            queueing = self._queueing = Queueing(self, self._visitors, route, send, unsent)
        if not queueing.wait(limit):
            self._refuse_busy(refusals.QUEUE_FULL)
            return
        if self.state is not _QUEUED:
            self.state = _QUEUED
            self._visitor.wait(self._visitors.timeouts.queued)
        self._visitor.count_kept(len((self._replay or b"") if unsent is None else unsent))

    def place_due(self) -> None:
        """An origin may take the request now."""
        self._guard(self._leave_queue)

    def _leave_queue(self) -> None:
        queueing = self._queueing
        if queueing is None:
            return
        route, unsent = queueing.route, queueing.unsent
        self._visitor.count_kept(0)
        if route.splits is None:
            self._steering = None
        if unsent is not None and not self.is_covered(route):
            self._stop_queueing()
            self.judge_anew(route, unsent)
            return
        queueing.send()
        if self.state is not _QUEUED and self.state is not _ENDED:
            self._stop_queueing()
            self._visitor.wait_for_turn()  # more of the body may have come

    def _stop_queueing(self) -> None:
        """Wait for no place any more; both know each other, see `_end`."""
        queueing, self._queueing = self._queueing, None
        if queueing is not None:
            self._queued_seconds += queueing.leave()

    def turned_away(self) -> None:
        """The request must make room in the queue."""
        self._guard(self._refuse_busy, refusals.QUEUE_FULL)

    def _refuse_busy(self, refusal: Refusal) -> None:
        """Answer that origins have too much to do: whoever waits now is served or refused in the time that is said."""
        self._answer.retry_seconds = ceil(self._visitors.timeouts.queued)
        self._end(_REFUSED, refusal)

    # What else the visitor's connection says.

    def visitor_drained(self) -> None:
        """The visitor's transport took everything."""
        if self._origin is not None:
            self._answer.drained(self._origin)
        if self.has_more:
            self._visitor.wait_for_turn()

    def visitor_ended(self) -> bool:
        """The visitor sends no more: if the request is whole, it may wait for the answer."""
        return not self.wants_data

    def visitor_lost(self) -> None:
        """The visitor is gone."""
        self._end(Outcome.VISITOR_GONE, refusals.VISITOR_GONE)

    def timed_out(self) -> None:
        """The visitor's deadline has passed: find out whose fault it is."""
        visitor = self._visitor
        fields = self._head.fields
        waits_for_continue = (
            fields.expects_continue and not self._answer.interim_count and self._bytes_in == self._head.size
        )
        is_held = self.state is _HELD or (self._pacing is not None and self._pacing.is_waiting)
        if (self.has_more or is_held) and not visitor.is_clogged:
            visitor.wait(self._visitors.timeouts.origin_response)  # it is the edge that is slow, or a limit of bytes
        elif self.state is _ANSWERING:
            self._end(_REFUSED, refusals.VISITOR_TOO_SLOW if visitor.is_clogged else refusals.STALLED)
        elif self.state is _CONNECTING:
            self._end(_REFUSED, refusals.CONNECT_TOO_SLOW)
        elif self.state is _JUDGING:
            self._end(_REFUSED, NOT_ANSWERED)
        elif self.state is _QUEUED:
            self._refuse_busy(refusals.QUEUED_TOO_LONG)
        elif self.wants_data and not visitor.is_paused and not waits_for_continue:
            self._end(_REFUSED, refusals.BODY_TOO_SLOW)
        else:
            self._end(_REFUSED, refusals.ORIGIN_TOO_SLOW)

    # The end.

    def _splice(self, origin: OriginStream) -> None:
        """Go on as a splice: the connection is no longer HTTP."""
        self._note_answer(origin)
        origin.leave_place()
        self._origin = None
        self.state = _SPLICED
        Splice(self._visitor, origin, self._spliced, self._pacing).begin()

    def _spliced(self, outcome: Outcome, bytes_in: int, bytes_out: int) -> None:
        """The splice is at its end."""
        self._bytes_in += bytes_in
        self._answer.bytes_out += bytes_out
        self._end(outcome)

    def _end(self, outcome: Outcome, refusal: Refusal | None = None) -> None:
        """
        End the exchange, once: let go of the stream, say what is still to be said, count, and free the connection.

        :param refusal: why, unless the visitor got what it asked for.
        """
        if self.state is _ENDED:
            return
        self.state = _ENDED
        self._search = None
        if self._queueing is not None:
            self._stop_queueing()
        # Clearing and exchange know each other: left so, each request's objects would wait for the garbage collector.
        clearing, self._clearing = self._clearing, None
        pacing, self._pacing = self._pacing, None
        if clearing is not None:
            clearing.end()
            pacing = clearing.pacing
        answer = self._answer
        if pacing is not None and pacing.close():
            answer.is_reusable = False  # the origin has said more than was asked
        origin, self._origin = self._origin, None
        if origin is not None:
            if outcome is _ANSWERED:
                self._note_answer(origin)
            elif refusal in _FAULTS_OF_ORIGINS:
                self._note_failure(origin)
            if outcome is _ANSWERED and answer.is_reusable and self._is_whole and not self.wants_data:
                origin.release(self._visitors.now)
            else:
                origin.discard()
        if outcome is _REFUSED and refusal is not None and not answer.status:
            answer.refuse(refusal, is_request_read=not self.wants_data)
            outcome = Outcome.OWN_ANSWER
            self._visitors.policy.banning.refused(refusal, self._asker.address, self._asker.network)
        record(
            self._visitors, self._asker, self._head, self._request_id, self._started_at, answer.status, self._bytes_in,
            answer.bytes_out, self._route, self._member, refusal, self._detail,
            self._verdict if clearing is None else clearing.verdict, pacing.seconds if pacing is not None else 0.0,
            self._steering, self._queued_seconds,
        )  # fmt: skip
        if outcome is _ANSWERED and answer.keeps and not self.wants_data:
            self._visitor.conversation_ended(_KEEP)
            return
        shows_cut = bool(self._head.fields.minor) and not self._visitor.is_clogged
        self._visitor.conversation_ended(
            ending_of(outcome, keeps=answer.keeps, is_read=not self.wants_data, shows_cut=shows_cut)
        )

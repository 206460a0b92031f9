"""
What is always true of a visitor's connection and its exchange between two calls: states, flags and sums agree.

Nothing here runs in production; the fuzz tests call `check_visitor` after every step. It looks into the private parts
of this wing's objects, and only at them.
"""

from warp_twisted.edge.exchange.exchange import Exchange
from warp_twisted.edge.exchange.splice import Splice
from warp_twisted.edge.exchange.states import ExchangeState
from warp_twisted.edge.visitors.connection import VisitorConnection
from warp_twisted.edge.visitors.states import VisitorState

_ENDING = (VisitorState.CLOSING, VisitorState.LINGERING, VisitorState.CLOSED)
_WITH_ORIGIN = (ExchangeState.CONNECTING, ExchangeState.ASKED, ExchangeState.ANSWERING)


def check_visitor(visitor: VisitorConnection) -> None:
    """
    Check a connection, and the conversation on it if there is one.

    :raises AssertionError: naming what does not hold.
    """
    state, held, conversation = visitor.state, visitor._held, visitor.conversation
    waiting = sum(map(len, visitor._queue))
    _hold((conversation is not None) is (state is VisitorState.SERVING), f"{state} goes with {conversation}")
    unread = visitor._given_bytes + waiting
    _hold(visitor._counted_bytes == len(held), "what is held is counted")
    counted = unread + len(held) + visitor.kept_bytes
    _hold(visitor.unread_bytes == counted, "bytes that wait are held, kept, in the queue or in the transport")
    _hold(visitor.is_paused is bool(visitor._pauses), "a visitor is not read for a reason")
    waits = state is VisitorState.QUEUED or (conversation is not None and conversation.wants_data and bool(held))
    is_blocked = conversation is not None and conversation.is_blocked
    _hold(not waits or visitor._is_queued or is_blocked, "what waits for a turn is in the queue, or for credit")
    has_more = conversation is not None and conversation.has_more
    _hold(not has_more or visitor._is_queued or visitor.is_clogged, "an answer waits for a turn, or for the visitor")
    _hold(not visitor.kept_bytes or conversation is not None, "a request is kept by who serves it")
    _hold(visitor.is_clogged or not unread, "an answer waits only for a visitor that does not read")
    _hold(state is not VisitorState.QUEUED or (bool(held) and not visitor.is_clogged), "who is queued has work")
    _hold(state is not VisitorState.HEAD or bool(held), "a head has begun")
    _hold(
        state is not VisitorState.IDLE or not held or visitor.is_clogged, "what arrived is served, or the answer waits"
    )
    _hold(state not in _ENDING or not held, "nothing is kept of what nobody will serve")
    _hold(state is not VisitorState.CLOSED or not waiting, "nothing waits for a visitor that is gone")
    _hold(len(held) < visitor.visitors.limits.held_bytes or visitor.is_paused, "who sends too far ahead is not read")
    is_over = visitor.has_ended and not visitor.is_waited_for and state not in _ENDING
    _hold(not is_over or visitor._is_queued, "who sends no more waits for something, or ends in its turn")
    _hold(not visitor.has_ended or visitor.is_paused, "who sends no more is not read")
    if isinstance(conversation, Exchange):
        check_exchange(conversation)
    elif isinstance(conversation, Splice):
        _hold(not held, "a splice takes every byte")


def check_exchange(exchange: Exchange) -> None:
    """
    Check an exchange that has its connection.

    :raises AssertionError: naming what does not hold.
    """
    state, origin, answer, body = exchange.state, exchange._origin, exchange._answer, exchange._body
    pacing, clearing = exchange._pacing, exchange._clearing
    _hold((state is ExchangeState.SEARCHING) is (exchange._search is not None), f"{state} goes with {exchange._search}")
    if state is ExchangeState.SEARCHING:
        _hold(origin is None, "nothing is sent before the route is found")
        _hold(exchange._visitor.kept_bytes >= len(exchange._replay or b"") - 2_048, "the body so far is counted")
        return
    if state is ExchangeState.JUDGING:
        asked = clearing is not None and exchange._judged_by is not None
        _hold(origin is None and asked, "nothing is sent before the policy has decided")
        _hold(exchange._visitor.kept_bytes >= len(exchange._replay or b""), "the body so far is counted")
        return
    if state is ExchangeState.HELD:
        held = clearing.pacing if clearing is not None else None
        _hold(origin is None and held is not None and held.is_waiting, "nothing is sent before the limit lets it")
        _hold(exchange._visitor.kept_bytes >= len(exchange._replay or b""), "the body so far is counted")
        return
    queueing = exchange._queueing
    _hold((state is ExchangeState.QUEUED) is (queueing is not None), f"{state} goes with {queueing}")
    if queueing is not None:
        _hold(origin is None and not answer.status, "nothing is sent to anybody before there is a place")
        request = (exchange._replay or b"") if queueing.unsent is None else queueing.unsent
        _hold(exchange._visitor.kept_bytes >= len(request), "the request so far is counted")
        return
    _hold(state in _WITH_ORIGIN, f"{state} does not outlast the call that leads there, or has no exchange")
    _hold(origin is not None and origin.borrower is exchange, "the exchange has a stream")
    _hold(
        origin is None or origin.is_opened is (state is not ExchangeState.CONNECTING), f"{state} says what was reached"
    )
    _hold(bool(answer.status) is (state is ExchangeState.ANSWERING), f"{state} goes with status {answer.status}")
    _hold(
        exchange.wants_data is (body is not None and not body.is_complete), "the body says whether more belongs to it"
    )
    kept = max(len(exchange._replay or b""), origin.stream.queued_bytes if origin is not None else 0)
    kept = max(kept, answer.waiting_bytes + (pacing.waiting_bytes if pacing is not None else 0))
    _hold(exchange._visitor.kept_bytes >= kept - 2_048, "what is kept of a request is counted, but for a small one")
    _hold(exchange._replay is None or not answer.has_arrived, "what was answered is not kept to be sent again")


def _hold(condition: bool, sentence: str) -> None:
    if not condition:
        raise AssertionError(f"does not hold: {sentence}")

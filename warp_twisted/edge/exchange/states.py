"""
The life of one exchange: which event leads from which state to which, and what becomes of the connection after it;
and that of the splice which follows an upgrade.

All states that decide what an exchange does next are here. `exchange` assigns states directly: a request passes three
of them, and to look each up would cost it a tenth more. The fuzz tests hold each assignment to this table, and
`visitors.invariants` says what must be true in each state.
"""

from enum import Enum


class ExchangeState(Enum):
    """How far one request and its answer have come."""

    DECIDING = "where the request goes is being decided"
    SEARCHING = "the rules that its path is compared with are costly, so that is done in turns"
    JUDGING = "the policy has asked something that others answer, such as whether a password is right"
    HELD = "a limit of bytes holds it back, before anything of it is sent"
    QUEUED = "every origin that may serve it has as many requests as it takes at once"
    CONNECTING = "the request was given to a stream whose origin is not reached yet"
    ASKED = "the origin was reached and has not begun its answer; interim responses may have been passed on"
    ANSWERING = "the head of the origin's answer was passed on"
    SPLICED = "a 101 was passed on; a splice has both sides"
    ENDED = "the request is answered, or never will be, and is counted"


class ExchangeEvent(Enum):
    """What happens to an exchange."""

    COSTLY = "where the request goes is costly to find out"
    ASKED = "the policy has a question"
    OVER = "what has come of it is more than a limit of bytes lets pass now"
    FULL = "nobody can be given the request now, as origins take only so many at once"
    SENT_NEW = "the request was written to a new stream"
    SENT_USED = "the request was written to a stream that is open"
    OPENED = "the agent has reached the origin"
    RESPONDED = "the origin's response head was passed on"
    SWITCHED = "the origin's 101 was passed on"
    END = "see `Outcome`"


_NOT_SENT = (ExchangeState.DECIDING, ExchangeState.SEARCHING, ExchangeState.JUDGING, ExchangeState.HELD)
EXCHANGE_TRANSITIONS: dict[tuple[ExchangeState, ExchangeEvent], ExchangeState] = {
    (ExchangeState.DECIDING, ExchangeEvent.COSTLY): ExchangeState.SEARCHING,
    (ExchangeState.DECIDING, ExchangeEvent.ASKED): ExchangeState.JUDGING,
    (ExchangeState.SEARCHING, ExchangeEvent.ASKED): ExchangeState.JUDGING,
    (ExchangeState.HELD, ExchangeEvent.ASKED): ExchangeState.JUDGING,  # a tunnel has come that asks for more
    (ExchangeState.QUEUED, ExchangeEvent.ASKED): ExchangeState.JUDGING,  # the same
    **{
        (state, ExchangeEvent.OVER): ExchangeState.HELD
        for state in (ExchangeState.DECIDING, ExchangeState.SEARCHING, ExchangeState.JUDGING, ExchangeState.QUEUED)
    },
    **{
        (state, ExchangeEvent.FULL): ExchangeState.QUEUED
        for state in (*_NOT_SENT, ExchangeState.CONNECTING, ExchangeState.ASKED)  # the latter: to be sent again
    },
    **{
        (state, event): after
        for state in (*_NOT_SENT, ExchangeState.QUEUED)
        for event, after in (
            (ExchangeEvent.SENT_NEW, ExchangeState.CONNECTING),
            (ExchangeEvent.SENT_USED, ExchangeState.ASKED),
        )
    },
    (ExchangeState.CONNECTING, ExchangeEvent.OPENED): ExchangeState.ASKED,
    (ExchangeState.CONNECTING, ExchangeEvent.SENT_NEW): ExchangeState.CONNECTING,  # refused or lost: sent again
    (ExchangeState.ASKED, ExchangeEvent.SENT_NEW): ExchangeState.CONNECTING,  # the used stream was lost: sent again
    (ExchangeState.ASKED, ExchangeEvent.RESPONDED): ExchangeState.ANSWERING,
    (ExchangeState.ASKED, ExchangeEvent.SWITCHED): ExchangeState.SPLICED,
    **{(state, ExchangeEvent.END): ExchangeState.ENDED for state in ExchangeState if state is not ExchangeState.ENDED},
}


class SpliceState(Enum):
    """Which directions of an upgraded connection are open."""

    BOTH = "both directions are open"
    TO_VISITOR = "the visitor sends no more, and the origin was told; the origin may go on"
    TO_ORIGIN = "the origin sends no more, and the visitor was told; the visitor may go on"
    ENDED = "it is over"


class SpliceEvent(Enum):
    """What happens to an upgraded connection."""

    VISITOR_ENDED = "the last byte of the visitor's has passed"
    ORIGIN_ENDED = "the last byte of the origin's has passed"
    CUT = "either side is gone, or takes too long"


SPLICE_TRANSITIONS: dict[tuple[SpliceState, SpliceEvent], SpliceState] = {
    (SpliceState.BOTH, SpliceEvent.VISITOR_ENDED): SpliceState.TO_VISITOR,
    (SpliceState.BOTH, SpliceEvent.ORIGIN_ENDED): SpliceState.TO_ORIGIN,
    (SpliceState.TO_VISITOR, SpliceEvent.ORIGIN_ENDED): SpliceState.ENDED,
    (SpliceState.TO_ORIGIN, SpliceEvent.VISITOR_ENDED): SpliceState.ENDED,
    **{(state, SpliceEvent.CUT): SpliceState.ENDED for state in SpliceState if state is not SpliceState.ENDED},
}


class Outcome(Enum):
    """How an exchange ends."""

    ANSWERED = "the visitor has the whole answer of the origin"
    REFUSED = "the edge answers with a page of its own, or cuts an answer that had begun"
    OWN_ANSWER = "the edge has answered in the origin's place"
    UPGRADE_ENDED = "the upgraded connection is at its end"
    UPGRADE_CUT = "the upgraded connection broke off"
    VISITOR_GONE = "the visitor left before the answer was complete"
    FAULT = "a bug in the edge came to light; the answer had begun"


class Ending(Enum):
    """What becomes of a visitor's connection after a conversation."""

    KEEP = "it stays for another request"
    CLOSE = "it closes when everything written is gone"
    LINGER = "the same, but the request was not read to its end, so what still comes is dropped"
    ABORT = "it closes at once: what was written must not look whole, or is not being read"


def ending_of(outcome: Outcome, *, keeps: bool, is_read: bool, shows_cut: bool) -> Ending:
    """
    Say what becomes of the visitor's connection.

    :param keeps: whether the answer was one after which the connection may stay.
    :param is_read: whether the request was read to its end.
    :param shows_cut: whether the visitor sees by an answer's framing that it was cut, and reads it.
    """
    if outcome is Outcome.ANSWERED or outcome is Outcome.OWN_ANSWER:
        # Whatever the visitor was told: what is left of a body must never be read as a request.
        if not is_read:
            return Ending.LINGER
        return Ending.KEEP if keeps else Ending.CLOSE
    if outcome is Outcome.UPGRADE_ENDED:
        return Ending.CLOSE
    if outcome is Outcome.REFUSED and shows_cut:
        return Ending.CLOSE
    # An HTTP/1.0 body that ends with the connection must not look whole; and who reads nothing must not stay.
    return Ending.ABORT

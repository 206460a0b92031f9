"""
The life of a visitor's connection: which event leads from which state to which.

All states that decide what a connection does next are here. `connection` assigns states directly: a request passes
two of them, and to look each up would cost it a tenth more. The fuzz tests hold each assignment to this table, and
`invariants` says what must be true in each state.
"""

from enum import Enum


class VisitorState(Enum):
    """What a visitor's connection is doing."""

    NEW = "connected; its first request must arrive whole within `header`"
    IDLE = "between two requests; the next must begin within `idle`"
    QUEUED = "requests that have arrived wait for a turn in the queue of all visitors"
    HEAD = "part of a later request's head has arrived; the rest must arrive within `header`"
    SERVING = "a conversation has it: an exchange, or the splice that follows one"
    CLOSING = "it closes when everything written is gone"
    LINGERING = "the same, but until then what the visitor still sends is read and dropped"
    CLOSED = "nothing is read or written any more"


class VisitorEvent(Enum):
    """What happens to a visitor's connection."""

    HEAD_BEGAN = "part of a head arrived"
    REQUEST_READ = "a whole head arrived"
    ANSWERED = "the answer is written, and the connection stays"
    MORE = "the edge has answered, and behind that request more has arrived"
    TURN = "its turn has come"
    CLOSE = "the last words are written"
    CLOSE_UNREAD = "the last words are written, and the visitor may still be sending"
    CUT = "the transport is gone, or is to go at once"


VISITOR_TRANSITIONS: dict[tuple[VisitorState, VisitorEvent], VisitorState] = {
    (VisitorState.NEW, VisitorEvent.REQUEST_READ): VisitorState.SERVING,
    (VisitorState.IDLE, VisitorEvent.HEAD_BEGAN): VisitorState.HEAD,
    (VisitorState.IDLE, VisitorEvent.REQUEST_READ): VisitorState.SERVING,
    (VisitorState.HEAD, VisitorEvent.REQUEST_READ): VisitorState.SERVING,
    (VisitorState.SERVING, VisitorEvent.ANSWERED): VisitorState.IDLE,
    (VisitorState.IDLE, VisitorEvent.MORE): VisitorState.QUEUED,
    (VisitorState.QUEUED, VisitorEvent.TURN): VisitorState.IDLE,
    **{
        (state, event): after
        for state in (VisitorState.NEW, VisitorState.IDLE, VisitorState.HEAD, VisitorState.SERVING)
        for event, after in (
            (VisitorEvent.CLOSE, VisitorState.CLOSING),
            (VisitorEvent.CLOSE_UNREAD, VisitorState.LINGERING),
        )
    },
    **{(state, VisitorEvent.CUT): VisitorState.CLOSED for state in VisitorState},
}

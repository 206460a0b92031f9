"""
What is always true of a connection between two calls: the sums and copies that the hot path keeps agree.

Nothing here runs in production; the fuzz tests call `check_connection` after every step, and so may anyone who hunts an
error. It looks into the private parts of this room's objects, and only at them.
"""

from warp_twisted.wire.connection import CROSSING_FRAMES, Connection
from warp_twisted.wire.frames import HEADER_BYTES, INITIAL_WINDOW_BYTES
from warp_twisted.wire.states import ConnectionState, StreamState
from warp_twisted.wire.streams import NO_CREDIT, Stream


def check_connection(connection: Connection) -> None:
    """
    Check one end of a tunnel and all its streams.

    :raises AssertionError: naming what does not hold.
    """
    streams = connection._streams.values()
    outbox = connection._outbox
    limits = connection._limits
    for stream in streams:
        check_stream(stream)
        _hold(connection._streams[stream.id] is stream, f"{stream} is known by its id")
        _hold(stream.state is not StreamState.CLOSED, f"{stream} is known, so it is not closed")
    _hold(outbox.size == sum(map(len, outbox.frames)), f"{outbox.size} bytes are those of the outbox's frames")
    _hold(
        outbox.queued == sum(stream.queued_bytes for stream in streams),
        f"{outbox.queued} bytes wait in the streams' queues",
    )
    waiting = list(outbox._round)
    _hold(len(waiting) == len(set(waiting)), "nobody has two turns in a round")
    _hold(outbox._spent.keys() <= set(waiting) and outbox._spent.keys() <= set(streams), "open streams wait for turns")
    _hold(set(outbox._preferred) == outbox._are_preferred, "the preferred are known")
    _hold(bool(waiting) is not bool(outbox.direct_limit), "who waits is not overtaken")
    peers = sum(stream.id & 1 == connection._peer_parity for stream in streams)
    _hold(connection._peer_streams == peers, f"the peer has {peers} streams, not {connection._peer_streams}")
    own = sum(stream.id & 1 != connection._peer_parity and not stream.is_acknowledged for stream in streams)
    _hold(connection._unacknowledged == own, f"{own} streams are not acknowledged, not {connection._unacknowledged}")
    grown = sum(stream.window - INITIAL_WINDOW_BYTES for stream in streams)
    _hold(connection._growth.budget + grown == limits.max_growth_bytes, "windows grow within one budget")
    _hold(len(streams) <= limits.max_streams and peers <= limits.max_peer_streams, "streams keep to their limits")
    _hold(connection._replies <= limits.max_replies + 1, "answers that wait keep to their limit")
    _hold(len(connection._pings) <= limits.max_pings, "pings that wait for an answer keep to their limit")
    is_short = len(connection._partial) < HEADER_BYTES
    _hold(is_short or connection.is_behind or not connection.state.can_receive, "only a header is kept in part")
    _hold(connection._empty_frames_left <= limits.max_empty_frames + CROSSING_FRAMES, "empty frames have a limit")
    if connection.state is ConnectionState.LOST:
        _hold(not streams and not outbox.size and not outbox.queued, "a lost connection holds nothing")


def check_stream(stream: Stream) -> None:
    """
    Check one stream: what is copied from its state, and its sums.

    :raises AssertionError: naming what does not hold.
    """
    state = stream.state
    queue = stream._queue or ()
    _hold((stream.credit != NO_CREDIT) is state.can_send, f"{stream} has credit {stream.credit}")
    _hold((stream.receive_credit != NO_CREDIT) is state.can_receive, f"{stream} receives with {stream.receive_credit}")
    queued = sum(len(payload) for _, payload in queue)
    _hold(stream.queued_bytes == queued, f"{stream} has {stream.queued_bytes} bytes in its queue")
    waits = stream._outbox.is_waiting(stream)
    _hold(not queue or stream.credit == 0 or waits, f"{stream} queues with {stream.credit} of credit, and its turn")
    _hold(not queue or stream.is_blocked, f"{stream} told its writer to stop")
    _hold(not queue or state.can_send, f"{stream} has a queue that can still be sent")
    _hold(bool(queue) or state.can_write or not state.can_send, f"{stream} has no end to send without a queue")
    _hold(not state.can_receive or stream.unread_bytes >= 0, f"{stream} delivered what it counts as consumed")
    _hold(stream.window >= INITIAL_WINDOW_BYTES, f"{stream} has a window of {stream.window}")
    if stream.is_blocked and state.can_write:
        _hold(bool(queue) or stream.credit == 0, f"{stream} waits for its turn or for credit")


def _hold(condition: bool, sentence: str) -> None:
    if not condition:
        raise AssertionError(f"does not hold: {sentence}")

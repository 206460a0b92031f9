"""
What is always true of a tunnel between two calls: its state, its outcome, its connection and its timers agree.

Nothing here runs in production; the fuzz tests call it after every step.
"""

from warp_twisted.tunnel.protocol import TunnelProtocol
from warp_twisted.tunnel.states import TunnelState
from warp_twisted.wire.invariants import check_connection
from warp_twisted.wire.states import ConnectionState


def check_tunnel(tunnel: TunnelProtocol) -> None:
    """
    Check a connected tunnel and its connection.

    :raises AssertionError: naming what does not hold.
    """
    check_connection(tunnel._connection)
    has_ended = tunnel.state in (TunnelState.ENDED, TunnelState.DISCONNECTED)
    if has_ended is not (tunnel.outcome is not None):
        raise AssertionError(f"does not hold: a tunnel that is {tunnel.state.value} has outcome {tunnel.outcome}")
    if has_ended is not (tunnel._connection.state is ConnectionState.LOST):
        raise AssertionError(f"does not hold: the connection of {tunnel} is {tunnel._connection.state.value}")
    is_waiting = tunnel._deadline_call is not None and tunnel._deadline_call.active()
    if has_ended and (is_waiting or len(tunnel._openings) or tunnel in tunnel._turn.watch):
        raise AssertionError(f"does not hold: {tunnel}, which has ended, waits for nothing")
    if tunnel.state is TunnelState.DISCONNECTED and tunnel._disconnected:
        raise AssertionError(f"does not hold: nobody waits for the disconnection of {tunnel}")

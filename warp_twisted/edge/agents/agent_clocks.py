"""
What agents say of their clocks, compared with this edge's: kept with the tunnel, counted, and said once.

It judges nothing by it: certificates are judged by this edge's clock alone.
"""

from twisted.logger import Logger

from warp_twisted.clock_difference import difference, is_noticed, say_difference
from warp_twisted.edge.agents.registrations import EdgeTunnel, Registrations

_log = Logger()


def note_clock(registrations: Registrations, tunnel: EdgeTunnel, time: float | None, now: float) -> None:
    """
    Note what the clock of a registered tunnel's agent shows; a wrong one is said once for each start of an agent.

    :param time: seconds since the epoch, None if the agent did not say.
    :param now: what this edge's clock shows.
    """
    seconds = difference(time, now)
    was_noticed = any(
        each.session == tunnel.session and is_noticed(each.clock_difference)
        for each in registrations.of_agent(tunnel.agent)
    )
    registrations.note_clock(tunnel, seconds)
    if seconds is not None and is_noticed(seconds) and not was_noticed:
        _log.warn(
            "the clock of {agent} at {address} is {difference} ours",
            agent=tunnel.agent, address=tunnel.address, difference=say_difference(seconds),
        )  # fmt: skip

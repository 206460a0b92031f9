"""
Saying that this machine's clock seems to be wrong, when an edge's certificate is not valid by it.

The edge is asked what its clock shows, over a connection on which it has not proven who it is. So what it answers is a
hint for one sentence, for people to read: nothing is decided by it, nothing is served, and the agent goes on trying.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_base.wall_clock import WallClock
from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.endpoints import tcp_endpoint
from warp_twisted.clock_difference import difference, is_noticed, say_difference
from warp_twisted.tunnel import fetch_time

ASK_SECONDS = 10.0  # between two questions, each of which costs the edge a handshake
TIMEOUT_SECONDS = 5.0


async def suspicion_at(reactor: IReactorTime, edge: EdgeAddress, wall: WallClock) -> str:
    """
    Compare this machine's clock with that of an edge that need not be one.

    :returns: a sentence if they differ noticeably, else nothing.
    :raises TunnelError: if the edge does not answer within 10 seconds; so for `ConnectError`.
    """
    time = await fetch_time(
        tcp_endpoint(reactor, edge.host, edge.port, TIMEOUT_SECONDS), reactor=reactor, timeout=TIMEOUT_SECONDS
    )
    seconds = difference(wall.now(), 0.0 if time is None else time)
    if time is None or seconds is None or not is_noticed(seconds):
        return ""
    return f"this machine's clock seems to be {say_difference(seconds)} the edge's"


class ClockSuspicion:
    """
    What one agent suspects of its machine's clock.

    :param told: called when it begins to suspect something, or something else, or no longer does.
    :ivar sentence: what it suspects; empty: nothing.
    """

    _log = Logger()

    def __init__(self, reactor: IReactorTime, wall: WallClock, told: Callable[[str], None]) -> None:
        self._reactor = reactor
        self._wall = wall
        self._told = told
        self._asking: Deferred[str] | None = None
        self._ask_at = float("-inf")
        self.sentence = ""

    def edge_not_valid(self, edge: EdgeAddress) -> None:
        """An edge's certificate is not valid yet, or no longer: ask it for the time, unless that was done just now."""
        now = self._reactor.seconds()
        if now >= self._ask_at:
            self._ask_at = now + ASK_SECONDS
            self._asking = Deferred.fromCoroutine(suspicion_at(self._reactor, edge, self._wall))
            self._asking.addCallbacks(self._tell, self._not_answered)

    def clock_stepped(self) -> None:
        """The clock was set: what was suspected of it may be no longer so, and may be asked again at once."""
        self._ask_at = float("-inf")
        self._tell("")

    def edge_trusted(self) -> None:
        """An edge's certificate is valid by this machine's clock."""
        self._tell("")

    def stop(self) -> None:
        """Ask no more."""
        self._ask_at = float("inf")
        if self._asking is not None:
            self._asking.cancel()

    def _not_answered(self, failure: Failure) -> None:
        self._log.debug("an edge did not say what its clock shows: {why}", why=failure.getErrorMessage())

    def _tell(self, sentence: str) -> None:
        if sentence == self.sentence:
            return
        self.sentence = sentence
        if sentence:
            self._log.warn("{suspicion}; set it: nothing is served until both agree", suspicion=sentence)
        self._told(sentence)

"""
How long the turns of a reactor take: the stall guard.

One thread serves everybody, so a piece of work that is long is everybody's delay. Each turn (from one `poll` to the
next) is counted, the name of the longest piece of work is kept, and a line is logged for a turn above `LOGGED_SECONDS`
of wall time. Who measures is `warp_base.loop.event_loop`.
"""

from bisect import bisect_left
from collections.abc import Iterator
from functools import partial

from prometheus_client.metrics_core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)  # seconds, of the histogram
NAMED_SECONDS = 0.005  # a piece of work that takes longer is named: no input may cost more
LOGGED_SECONDS = 0.1
LOG_INTERVAL_SECONDS = 1.0  # of two lines, so that a machine that is overloaded is not also kept busy with its log
NAMES = 64  # of long pieces of work, at most; there are as many names as functions that the reactor calls

_MANY = "many short events"
_COLLECTION = "garbage collection"


class TurnTimes:
    """
    What the turns of one reactor took.

    :ivar counts: turns in each interval of `BOUNDS`, and above the last.
    :ivar total_seconds: all turns together.
    :ivar longest_seconds: the longest turn.
    :ivar longest: the longest piece of work in that turn.
    :ivar most_computing_seconds: the most CPU time of this thread in a turn above `NAMED_SECONDS`; unlike wall time it
        does not depend on what else the machine does.
    :ivar most_computing: the longest piece of work in that turn.
    :ivar by_name: the longest that each named piece of work took, in seconds.
    """

    _log = Logger()

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total_seconds = 0.0
        self.longest_seconds = 0.0
        self.longest = ""
        self.most_computing_seconds = 0.0
        self.most_computing = ""
        self.by_name: dict[str, float] = {}
        self._piece_seconds = 0.0
        self._piece: object = None
        self._collecting_seconds = 0.0
        self._logged_at = float("-inf")

    def piece_ended(self, seconds: float, what: object) -> None:
        """
        Note a piece of work above `NAMED_SECONDS`.

        :param what: the function, or the socket's selectable.
        """
        if seconds > self._piece_seconds:
            self._piece_seconds, self._piece = seconds, what
        self._note(describe(what), seconds)

    def collection_ended(self, seconds: float) -> None:
        """Note that the garbage collector ran for so long, which whatever ran then did not cause."""
        self._collecting_seconds += seconds
        if seconds > NAMED_SECONDS:
            self._note(_COLLECTION, seconds)

    def _note(self, name: str, seconds: float) -> None:
        if name in self.by_name or len(self.by_name) < NAMES:
            self.by_name[name] = max(seconds, self.by_name.get(name, 0.0))

    def turn_ended(self, seconds: float, computing_seconds: float, now: float) -> None:
        """
        Note a turn.

        :param seconds: wall time.
        :param computing_seconds: CPU time of this thread since `SAMPLE_SECONDS` before the turn at most; less than
            `seconds` where the machine was busy.
        :param now: an instant of a clock that only goes forward.
        """
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total_seconds += seconds
        collecting, self._collecting_seconds = self._collecting_seconds, 0.0
        if seconds <= NAMED_SECONDS:
            return
        what = describe(self._piece) if self._piece is not None else _MANY
        if collecting > seconds / 2:
            what = _COLLECTION
        self._piece_seconds, self._piece = 0.0, None
        if seconds > self.longest_seconds:
            self.longest_seconds, self.longest = seconds, what
        computing = min(seconds, computing_seconds)
        if computing > self.most_computing_seconds:
            self.most_computing_seconds, self.most_computing = computing, what
        if seconds > LOGGED_SECONDS and now >= self._logged_at + LOG_INTERVAL_SECONDS:
            self._logged_at = now
            self._log.warn(
                "the event loop was held for {wall:.0f} ms, {computing:.0f} ms of it computing, longest by {what}",
                wall=seconds * 1000, computing=computing * 1000, what=what,
            )  # fmt: skip

    def sum_up(self) -> None:
        """Log the longest turn; called when the reactor has stopped."""
        self._log.info(
            "the event loop's longest turn took {wall:.0f} ms, by {what}; most computing {computing:.0f} ms, by {most}",
            wall=self.longest_seconds * 1000,
            what=self.longest or _MANY,
            computing=self.most_computing_seconds * 1000,
            most=self.most_computing or _MANY,
        )


class TurnCollector(Collector):
    """
    The turns as Prometheus sees them.

    :param prefix: of the metrics' names, such as `warp_edge`.
    """

    def __init__(self, prefix: str, times: TurnTimes) -> None:
        self._prefix = prefix
        self._times = times

    def collect(self) -> Iterator[Metric]:
        """Yield the histogram, and the longest time of each named piece of work."""
        times = self._times
        buckets = []
        count = 0
        for bound, in_interval in zip((*map(str, BOUNDS), "+Inf"), times.counts, strict=True):
            count += in_interval
            buckets.append((bound, float(count)))
        histogram = HistogramMetricFamily(
            f"{self._prefix}_turn_seconds", "How long a turn of the event loop took, from one poll to the next."
        )
        histogram.add_metric([], buckets=buckets, sum_value=times.total_seconds)
        yield histogram
        longest = GaugeMetricFamily(
            f"{self._prefix}_turn_longest_seconds", "The longest turn, by what ran longest in it.", labels=["ran"]
        )
        if times.longest:
            longest.add_metric([times.longest], times.longest_seconds)
        yield longest


def describe(what: object) -> str:
    """Return the name of a function, or of the protocol behind a socket, as `module.Class.method`."""
    while isinstance(what, partial):
        what = what.func
    owner = getattr(what, "__self__", None)
    if isinstance(owner, LoopingCall):
        return describe(owner.f)
    if hasattr(what, "__qualname__"):
        return f"{what.__module__}.{what.__qualname__}"
    for attribute in ("protocol", "factory"):  # of a connection, of a listening socket
        inner = getattr(what, attribute, None)
        if inner is not None:
            what = inner
            break
    return f"{type(what).__module__}.{type(what).__qualname__}"

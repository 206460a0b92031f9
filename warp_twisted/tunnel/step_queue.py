"""
Steps of work that come in crowds, such as those of TLS handshakes: at once while there is time, then in turns.

A step is taken at once as long as this turn's have not used up their time; the others wait, one network's behind the
other's, so a peer that causes thousands waits behind its own. A handshake costs a millisecond, so one queue serves all
ports of a process.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from time import perf_counter

from twisted.internet.interfaces import IReactorTime

SLICE_SECONDS = 0.002  # of each turn of the reactor


class StepQueue:
    """
    The steps that wait.

    :param clock: the reactor.
    :param slice_seconds: how long steps may take in one turn, together; the last one may take longer.
    """

    def __init__(self, clock: IReactorTime, slice_seconds: float = SLICE_SECONDS) -> None:
        self._clock = clock
        self._slice_seconds = slice_seconds
        self._waiting: OrderedDict[str, deque[Callable[[], None]]] = OrderedDict()
        self._spent = 0.0
        self._is_scheduled = False

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def take(self, network: str, step: Callable[[], None]) -> None:
        """
        Take a step, which must not raise, now or in its turn.

        :param network: who caused it, as limits per network count them.
        """
        if self._waiting or self._spent >= self._slice_seconds:
            self._waiting.setdefault(network, deque()).append(step)
        else:
            self._take(step)
        self._schedule()

    def _take(self, step: Callable[[], None]) -> None:
        began = perf_counter()
        step()
        self._spent += perf_counter() - began

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._clock.callLater(0, self._run)

    def _run(self) -> None:
        self._is_scheduled = False
        self._spent = 0.0
        while self._waiting and self._spent < self._slice_seconds:
            network, steps = self._waiting.popitem(last=False)
            step = steps.popleft()
            if steps:
                self._waiting[network] = steps  # behind the others
            self._take(step)
        if self._spent:
            self._schedule()

"""
Peers that hang up, thousands at one instant: noted at once, dealt with in turns with those who still talk.

A machine dies, a path is cut, and all its connections end. The kernel hands out what is ready in the order in which it
became ready, and each end costs a tenth of a millisecond or more, so whoever asks next would wait for all of them.
So epoll is asked which peers have hung up (EPOLLRDHUP; HUP and ERR it always tells). Their descriptors are taken out of
the kernel's set, which costs 3 µs each, and delivered later, in this order, some in each turn:

1. Each protocol with a method `peer_hung_up` is told, so that nobody begins anything with that peer.
2. Then the event is delivered as usual: what the peer sent before it hung up is read, and the connection ends.

A peer that only closed its half and goes on reading is served as any other, if a little later than those who talk.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP, epoll
from time import perf_counter
from typing import Any, Protocol

HUNG_UP = EPOLLRDHUP | EPOLLHUP | EPOLLERR
SLICE_SECONDS = 0.001  # of each turn at least; as much as the others took in it, if that is more
MOST_SECONDS = 0.004


class HearsOfHangUp(Protocol):
    """A protocol that wants to know before its turn comes."""

    def peer_hung_up(self) -> bool:
        """Begin nothing more with the peer; must not raise. Returns whether somebody waits for the end."""


class HangUps:
    """
    Stands between an epoll reactor and its `epoll`: watches for hang-ups, and holds those that wait.

    :param kernel: the reactor's `epoll`.
    :param reads: the descriptors that the reactor reads; it keeps this up to date.
    :param writes: the same for writing.
    :param selectables: descriptor → what the reactor calls for it.
    """

    def __init__(
        self, kernel: epoll, reads: Collection[int], writes: Collection[int], selectables: Mapping[int, object]
    ) -> None:
        self._kernel = kernel
        self._reads = reads
        self._writes = writes
        self._selectables = selectables
        self._waiting: OrderedDict[int, int] = OrderedDict()  # descriptor → event, in the order of their turns
        self._untold: deque[tuple[int, HearsOfHangUp]] = deque()
        self.poll = kernel.poll
        self.close = kernel.close

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    # What the reactor asks of its `epoll`.

    def register(self, descriptor: int, events: int) -> None:
        """Watch a descriptor, and its peer's end while it is read."""
        self._kernel.register(descriptor, events | EPOLLRDHUP if events & EPOLLIN else events)

    def modify(self, descriptor: int, events: int) -> None:
        """Watch it for something else; one that waits is watched as it should be after its turn."""
        if descriptor not in self._waiting:
            self._kernel.modify(descriptor, events | EPOLLRDHUP if events & EPOLLIN else events)

    def unregister(self, descriptor: int) -> None:
        """Watch it no more, and let it wait no more."""
        if self._waiting.pop(descriptor, None) is None:
            self._kernel.unregister(descriptor)

    # What the event loop asks.

    def put_off(self, descriptor: int, event: int) -> None:
        """Let a descriptor whose peer hung up wait for its turn."""
        self._kernel.unregister(descriptor)
        self._waiting[descriptor] = event
        protocol: Any = getattr(self._selectables.get(descriptor), "protocol", None)
        if hasattr(protocol, "peer_hung_up"):
            self._untold.append((descriptor, protocol))

    def serve(self, deliver: Callable[[int, int], None], seconds: float) -> None:
        """
        Deal with those that wait, for a while; with one at least.

        :param deliver: delivers an event to a descriptor's selectable.
        :param seconds: that it may take, and no new step begins after.
        """
        until = perf_counter() + seconds
        while self._untold:
            descriptor, protocol = self._untold.popleft()
            if descriptor in self._waiting and protocol.peer_hung_up():
                self._waiting.move_to_end(descriptor, last=False)
            if perf_counter() >= until:
                return
        while self._waiting:
            descriptor, event = next(iter(self._waiting.items()))
            deliver(descriptor, event)
            if self._waiting.pop(descriptor, None) is not None:  # else it was closed, and its number may be another's
                self._watch_again(descriptor)
            if perf_counter() >= until:
                return

    def _watch_again(self, descriptor: int) -> None:
        """Watch one that has had its turn: it has more to be read, or only one half of it has ended."""
        events = 0
        if descriptor in self._reads:
            events |= EPOLLIN
        if descriptor in self._writes:
            events |= EPOLLOUT
        self.register(descriptor, events)

"""
Looking names up without one slow name holding up the others.

Twisted gives each look-up one of ten threads: ten visitors of an origin whose name server does not answer take all of
them, and every other name waits. Here dials of one name share one look-up, an answer is kept for a few seconds, and
names that were quick the last time always find a free thread.

The system's resolver (`getaddrinfo`) is asked, in threads of our own that do not hold up the end of the process. What
is dialed, and when, is the business of the endpoints, which find this as the resolver of their reactor.
"""

import socket
from collections import deque
from collections.abc import Callable, Sequence
from threading import Thread
from time import monotonic
from typing import Any, Protocol

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IResolutionReceiver,
)
from zope.interface import implementer

from warp_base.reactor import Reactor

MAX_THREADS = 16
RESERVED_THREADS = 4  # of them, for names that were quick the last time
QUICK_SECONDS = 1.0
KEPT_SECONDS = 5.0  # an answer; getaddrinfo does not tell how long it holds, and containers change their addresses
KEPT_FAILURE_SECONDS = 1.0
MAX_NAMES = 4096  # that are remembered
MAX_WAITING = 4096  # dials that wait for one name

# Family, and the address as the socket module has it.
Found = tuple[int, tuple[Any, ...]]
Resolve = Callable[[str], Sequence[Found]]


class _Told(Protocol):
    """Hears the addresses of a name."""

    def __call__(self, found: Sequence[Found]) -> None:
        """Take them; none if there is no such name, or nobody answers."""


def resolve_by_system(host: str) -> Sequence[Found]:
    """Ask the system, in a thread that may wait; returns nothing if it knows no such name."""
    try:
        answers = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple((family, address) for family, _, _, _, address in answers)


def start_thread(work: Callable[[], None]) -> None:
    """Run something in a thread of its own; the end of the process does not wait for it."""
    Thread(target=work, name="look-up", daemon=True).start()


@implementer(IHostResolution)
class _Resolution:
    """One dial's wait for a name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_cancelled = False

    def cancel(self) -> None:
        """Hear nothing of it; others may still wait for the name."""
        self.is_cancelled = True


@implementer(IHostnameResolver)
class SharedLookups:
    """
    The names of one process.

    :param resolve: asks for the addresses of a name, and may wait; called in a thread.
    :param start: runs a function in a thread.
    """

    def __init__(
        self,
        reactor: Reactor,
        resolve: Resolve = resolve_by_system,
        start: Callable[[Callable[[], None]], None] = start_thread,
    ) -> None:
        self._reactor = reactor
        self._resolve = resolve
        self._start_thread = start
        self._kept: dict[str, tuple[float, Sequence[Found]]] = {}  # name → until when, and the answer
        self._waiting: dict[str, list[_Told]] = {}
        self._quick: set[str] = set()
        self._queue: deque[str] = deque()  # of names that are not known to be quick
        self._quick_queue: deque[str] = deque()
        self._running = 0
        self._running_others = 0  # of them, those of names that are not known to be quick

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """Tell a receiver the addresses of a name, from what is kept or after a look-up."""
        resolution = _Resolution(hostName)

        def tell(found: Sequence[Found]) -> None:
            if resolution.is_cancelled:
                return
            for family, address in found:
                made = _address(family, address, portNumber, transportSemantics)
                if made is not None and (addressTypes is None or isinstance(made, tuple(addressTypes))):
                    resolutionReceiver.addressResolved(made)
            resolutionReceiver.resolutionComplete()

        resolutionReceiver.resolutionBegan(resolution)
        self._find(hostName.lower(), tell)
        return resolution

    def _find(self, host: str, tell: _Told) -> None:
        until, found = self._kept.get(host, (0.0, ()))
        if self._reactor.seconds() < until:
            tell(found)
            return
        waiting = self._waiting.get(host)
        if waiting is None:
            waiting = self._waiting[host] = []
            (self._quick_queue if host in self._quick else self._queue).append(host)
        if len(waiting) >= MAX_WAITING:
            tell(())
            return
        waiting.append(tell)
        self._begin()

    def _begin(self) -> None:
        """Look up what waits for a thread, as far as there are threads."""
        while self._quick_queue and self._running < MAX_THREADS:
            self._look_up(self._quick_queue.popleft(), is_quick=True)
        while self._queue and self._running < MAX_THREADS and self._running_others < MAX_THREADS - RESERVED_THREADS:
            self._look_up(self._queue.popleft(), is_quick=False)

    def _look_up(self, host: str, *, is_quick: bool) -> None:
        self._running += 1
        self._running_others += not is_quick

        def work() -> None:
            began_at = monotonic()
            found: Sequence[Found] = ()
            try:
                found = self._resolve(host)
            finally:
                seconds = monotonic() - began_at
                self._reactor.callFromThread(self._looked_up, host, is_quick, found, seconds)

        self._start_thread(work)

    def _looked_up(self, host: str, was_quick: bool, found: Sequence[Found], seconds: float) -> None:
        self._running -= 1
        self._running_others -= not was_quick
        now = self._reactor.seconds()
        if len(self._kept) >= MAX_NAMES:
            self._kept = {name: kept for name, kept in self._kept.items() if now < kept[0]}
        if len(self._kept) < MAX_NAMES:
            self._kept[host] = now + (KEPT_SECONDS if found else KEPT_FAILURE_SECONDS), found
        if seconds < QUICK_SECONDS and len(self._quick) < MAX_NAMES:
            self._quick.add(host)
        else:
            self._quick.discard(host)
        for tell in self._waiting.pop(host):
            tell(found)
        self._begin()


def _address(family: int, address: tuple[Any, ...], port: int, transport: str) -> IAddress | None:
    kind: Any = "UDP" if transport == "UDP" else "TCP"
    if family == socket.AF_INET:
        return IPv4Address(kind, address[0], port)
    if family == socket.AF_INET6:
        return IPv6Address(kind, address[0], port, *address[2:])
    return None

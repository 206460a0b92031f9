"""
The reactor that services are handed, as one type.

Twisted has an interface for each thing that a reactor can do, and types its own global reactor with some of them only.
`Reactor` names those that Warp needs together. It declares nothing of its own: every POSIX reactor of Twisted, and
`MemoryReactorClock` in tests, has these methods. Code that needs only a clock asks for `IReactorTime` instead.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IReactorCore,
    IReactorFDSet,
    IReactorProcess,
    IReactorSocket,
    IReactorTCP,
    IReactorThreads,
    IReactorTime,
    IReactorUDP,
    IReactorUNIX,
)

T = TypeVar("T")


class InThread(Protocol):
    """Runs what waits for a disk in a thread; Twisted's `execute`, in its place, runs it at once."""

    def __call__(self, work: Callable[[], T], /) -> Deferred[T]:
        """Return its result later."""


class Reactor(
    IReactorCore,
    IReactorTime,
    IReactorTCP,
    IReactorUDP,
    IReactorUNIX,
    IReactorThreads,
    IReactorFDSet,
    IReactorProcess,
    IReactorSocket,
):
    """Starting and stopping, time, sockets, threads, descriptors and child processes."""


def as_reactor(reactor: object) -> Reactor:
    """Return a reactor under its full type: the installed one, or one made for a test. Nothing is checked."""
    return cast(Reactor, reactor)

"""
Worker processes, one for each further core: each answers UDP on a socket of its own at the same address.

The kernel spreads queries over the sockets (SO_REUSEPORT). The sockets are bound here and lent to the workers, so a
worker needs no privileges, and one that died is replaced with its socket and the queries that wait in it.
"""

import socket
import sys
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import SchedulerStopped, TaskStopped
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from warp_base.reactor import Reactor
from warp_base.slices import Slices
from warp_dns.serve import replica
from warp_dns.serve.metrics import Counted, Counters

RESTART_SECONDS = 1.0
_PROGRAM = "import sys; sys.path[:] = {path!r}; from warp_dns.__main__ import main; main()"  # wherever we were found
MAX_UNREAD_BYTES = 64 << 20  # beyond the first snapshot; a worker that far behind is replaced
MAX_LATER = 100_000  # changes that wait for a long one to be told


@implementer(IPushProducer)
class WorkerProcess(ProcessProtocol):
    """One worker, started again whenever it ends."""

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        slices: Slices,
        sock: socket.socket,
        counters: Counters,
        orders: Callable[[], Iterator[replica.Order]],
        max_unread_bytes: int = MAX_UNREAD_BYTES,
    ) -> None:
        """
        Keep a worker on a socket.

        :param slices: for what is told in many values.
        :param orders: what a new worker is told first.
        """
        self._reactor = reactor
        self._slices = slices
        self._socket = sock
        self._counters = counters
        self._orders = orders
        self._values = replica.ValueReader()
        self._waiting = bytearray()
        self._is_given_up = False
        self._later: deque[Iterator[replica.Order]] = deque()
        self._telling: Deferred[Any] | None = None
        self._resumed: Deferred[None] | None = None
        self._max_unread = max_unread_bytes
        self._paused = False
        self._restart: Any = None
        self._ended: Deferred[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        pid: int | None = getattr(self.transport, "pid", None)
        return pid

    @property
    def _process(self) -> Any:
        return self.transport

    def start(self) -> None:
        """Start a worker."""
        self._restart = None
        self._reactor.spawnProcess(
            self,
            sys.executable,
            [sys.executable, "-c", _PROGRAM.format(path=sys.path)],
            env=None,  # ours
            childFDs={0: "w", 1: "r", 2: 2, replica.SOCKET_DESCRIPTOR: self._socket.fileno()},
        )

    def stop(self) -> Deferred[None]:
        """End the worker for good and close its socket; fires when it is gone."""
        done: Deferred[None] = Deferred()
        self._ended = done
        if self._restart is not None:
            self._restart.cancel()
            self._restart = None
        if self.pid is None:
            self._finish()
        else:
            self._kill()
        return done

    def send(self, orders: Iterator[replica.Order], *, is_long: bool = False) -> None:
        """
        Tell the worker something; one that does not read is replaced.

        :param is_long: whether there are many values, which are then told in slices; what comes after them waits.
        """
        if self.pid is None or self._is_given_up:
            return
        if is_long or self._telling is not None:
            self._later.append(orders)
            if len(self._later) > MAX_LATER:
                self._replace()
            elif self._telling is None:
                self._telling = self._slices.run(self._tell_later()).addBoth(self._told)
            return
        for order in orders:
            self._waiting += replica.pack_value(order)
        if len(self._waiting) > self._max_unread:
            self._replace()
        elif not self._paused:
            self.resumeProducing()

    def _replace(self) -> None:
        self._log.error("worker {pid} does not read, and is replaced", pid=self.pid)
        self._is_given_up = True  # until its successor begins: nothing is kept for it, however long it takes to end
        self._waiting.clear()
        self._later.clear()
        self._kill()

    def _tell_later(self) -> Iterator[Deferred[None] | None]:
        if self._paused:  # what waits goes first
            self._resumed = Deferred()
            yield self._resumed
        while self._later:
            for order in self._later.popleft():
                self._process.write(replica.pack_value(order))
                if self._paused:
                    self._resumed = Deferred()
                    yield self._resumed
                else:
                    yield None

    def _told(self, result: object) -> None:
        self._telling = None
        if isinstance(result, Failure) and not result.check(CancelledError, SchedulerStopped, TaskStopped):
            self._log.failure("worker {pid} cannot be told, and is replaced", result, pid=self.pid)
            self._kill()

    def connectionMade(self) -> None:
        """Tell a new worker all it must know."""
        self._values = replica.ValueReader()
        self._paused = False
        self._is_given_up = False
        self._waiting = bytearray()
        self._process.pipes[0].registerProducer(self, True)
        self.send(self._orders(), is_long=True)

    def pauseProducing(self) -> None:
        """The worker is slow to read."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The worker has read what was written: write what has come since."""
        self._paused = False
        waiting, self._waiting = self._waiting, bytearray()
        if waiting:
            self._process.write(bytes(waiting))
        resumed, self._resumed = self._resumed, None
        if resumed is not None and not self._paused:
            resumed.callback(None)
        elif resumed is not None:
            self._resumed = resumed

    def stopProducing(self) -> None:
        """The pipe is closed; `processEnded` follows."""

    def outReceived(self, data: bytes) -> None:
        """Take a worker's counts."""
        try:
            for content in self._values.values(data):
                self._counters.take(self, msgspec.msgpack.decode(content, type=Counted))
        except (ValueError, msgspec.MsgspecError):
            self._log.failure("worker {pid} is not understood, and is replaced", pid=self.pid)
            self._kill()

    def processEnded(self, reason: Any) -> None:
        """Start another one, unless this is the end."""
        self._later.clear()
        if self._telling is not None:
            self._telling.cancel()
        self._counters.settle(self)
        if self._ended is not None:
            self._finish()
            return
        self._log.error("a worker ended and is replaced: {reason}", reason=reason.value)
        self._restart = self._reactor.callLater(RESTART_SECONDS, self.start)

    def _kill(self) -> None:
        self._process.signalProcess("KILL")

    def _finish(self) -> None:
        self._socket.close()
        done, self._ended = self._ended, None
        if done is not None:
            done.callback(None)

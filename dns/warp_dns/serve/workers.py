"""
Worker processes, one for each further core: each answers UDP on a socket of its own at the same address.

The kernel spreads queries over the sockets (SO_REUSEPORT). The sockets are bound here and lent to the workers, so a
worker needs no privileges, and one that died is replaced with its socket and the queries that wait in it.
"""

import socket
import sys
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from zope.interface import implementer

from warp_base.reactor import Reactor
from warp_dns.serve import replica
from warp_dns.serve.metrics import Counters

RESTART_SECONDS = 1.0
_PROGRAM = "import sys; sys.path[:] = {path!r}; from warp_dns.__main__ import main; main()"  # wherever we were found
MAX_UNREAD_BYTES = 64 << 20  # beyond the first snapshot; a worker that far behind is replaced


@implementer(IPushProducer)
class WorkerProcess(ProcessProtocol):
    """One worker, started again whenever it ends."""

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        sock: socket.socket,
        counters: Counters,
        orders: Callable[[], Iterable[replica.Order]],
        max_unread_bytes: int = MAX_UNREAD_BYTES,
    ) -> None:
        """
        Keep a worker on a socket.

        :param orders: what a new worker is told first.
        """
        self._reactor = reactor
        self._socket = sock
        self._counters = counters
        self._orders = orders
        self._values = replica.ValueReader()
        self._waiting = bytearray()
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

    def send(self, order: replica.Order) -> None:
        """Tell the worker something; one that does not read is replaced."""
        if self.pid is None:
            return
        self._waiting += replica.pack_value(order)
        if len(self._waiting) > self._max_unread:
            self._log.error("worker {pid} does not read, and is replaced", pid=self.pid)
            self._kill()
        elif not self._paused:
            self.resumeProducing()

    def connectionMade(self) -> None:
        """Tell a new worker all it must know."""
        self._values = replica.ValueReader()
        self._paused = False
        self._waiting = bytearray()
        for order in self._orders():
            self._process.write(replica.pack_value(order))
        self._process.pipes[0].registerProducer(self, True)

    def pauseProducing(self) -> None:
        """The worker is slow to read."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The worker has read what was written: write what has come since."""
        self._paused = False
        waiting, self._waiting = self._waiting, bytearray()
        if waiting:
            self._process.write(bytes(waiting))

    def stopProducing(self) -> None:
        """The pipe is closed; `processEnded` follows."""

    def outReceived(self, data: bytes) -> None:
        """Take a worker's counts."""
        try:
            for content in self._values.values(data):
                self._counters.take(self, msgspec.msgpack.decode(content, type=replica.Counted))
        except (ValueError, msgspec.MsgspecError):
            self._log.failure("worker {pid} is not understood, and is replaced", pid=self.pid)
            self._kill()

    def processEnded(self, reason: Any) -> None:
        """Start another one, unless this is the end."""
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

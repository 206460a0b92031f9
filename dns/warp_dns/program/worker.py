"""
A worker process: answers UDP queries on a socket that it was given, from the zones that its parent sends.

Started by `serve.workers` through `__main__`, never by hand. Standard input carries the parent's values
(`serve.replica`), standard output the counts, descriptor 3 is the bound socket. It ends when standard input does.
"""

import os
import socket
from collections import deque
from collections.abc import Callable
from typing import TypeVar

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from warp_base.reactor import Reactor
from warp_base.slices import Slices
from warp_base.wall_clock import WallClock
from warp_dns.serve import replica
from warp_dns.serve.assembly import make_responder
from warp_dns.serve.metrics import Counters
from warp_dns.serve.querylog import QueryLog
from warp_dns.serve.responder import Responder
from warp_dns.serve.udp import udp_port
from warp_dns.zone.steps import Steps, finish

REPORT_SECONDS = 1.0
T = TypeVar("T")
_READ_BYTES = 1 << 17  # at most; a few milliseconds of work


class _InvalidOrder(Exception):
    """The parent sent something that a worker cannot do."""


@implementer(IReadDescriptor)
class Worker:
    """Reads orders from standard input and executes them."""

    _log = Logger()

    def __init__(self, reactor: Reactor, sock: socket.socket, wall: WallClock) -> None:
        self._reactor = reactor
        self._wall = wall
        self._socket = sock
        self._counters = Counters()
        self._values = replica.ValueReader()
        self._decoder = msgspec.msgpack.Decoder(replica.Order)
        self._responder: Responder | None = None
        self._slices = Slices(reactor)
        self._orders: deque[bytes] = deque()
        self._staged: dict[bytes, dict[bytes, replica.Records]] = {}
        self._is_working = False

    def fileno(self) -> int:
        """Return standard input's descriptor."""
        return 0

    def logPrefix(self) -> str:
        """Name this reader in the reactor's own messages."""
        return "warp_dns.program.worker"

    def connectionLost(self, reason: object) -> None:
        """The reactor is stopping."""

    def doRead(self) -> None:
        """Execute the parent's orders; stop when it is gone or sends something invalid."""
        try:
            data = os.read(0, _READ_BYTES)
            if not data:
                self._reactor.stop()
                return
            self._orders.extend(self._values.values(data))
            self._execute_all()
        except Exception:
            self._stop(Failure())

    def _stop(self, failure: Failure) -> None:
        self._log.failure("a worker cannot follow its parent and stops", failure)
        self._reactor.removeReader(self)
        self._reactor.stop()

    def _execute_all(self) -> None:
        """Execute the orders received, up to the first that runs in slices."""
        while self._orders and not self._is_working:
            self._execute(self._decoder.decode(self._orders.popleft()))

    def report(self) -> None:
        """Tell the counts."""
        os.write(1, replica.pack_value(self._counters.counted()))

    def _execute(self, order: replica.Order) -> None:
        if isinstance(order, replica.Begin):
            self._begin(order)
            return
        if self._responder is None:
            raise _InvalidOrder(type(order).__name__)
        if isinstance(order, replica.Stage):
            self._staged.setdefault(order.apex, {}).update(order.owners)
        elif isinstance(order, replica.Serve):
            self._work(replica.building(order.apex, self._staged.pop(order.apex, {})), self._responder.serve)
        elif isinstance(order, replica.Advance):
            owners = {**self._staged.pop(order.apex, {}), **dict(order.owners)}
            changing = replica.changing(self._responder.zones[order.apex], order.serial, owners)
            if len(owners) <= replica.OWNERS_PER_VALUE:
                self._responder.advance(finish(changing))
            else:
                self._work(changing, self._responder.advance)
        elif isinstance(order, replica.Withdraw):
            self._responder.withdraw(order.apex)
        elif isinstance(order, replica.SetSuspended):
            self._responder.set_suspended(frozenset(order.apexes), frozenset(order.incomplete))
        else:
            self._responder.set_edges(order.edges)

    def _work(self, steps: Steps[T], done: Callable[[T], None]) -> None:
        """Run a long order in slices; later orders wait until it is done."""
        self._is_working = True
        self._reactor.removeReader(self)
        Deferred.fromCoroutine(self._slices.result_of(steps)).addCallback(self._worked, done).addErrback(self._stop)

    def _worked(self, result: T, done: Callable[[T], None]) -> None:
        done(result)
        self._is_working = False
        self._reactor.addReader(self)
        self._execute_all()

    def _repeat(self, seconds: float, call: Callable[[], None]) -> None:
        loop = LoopingCall(call)
        loop.clock = self._reactor
        loop.start(seconds, now=False)

    def _begin(self, order: replica.Begin) -> None:
        responder = make_responder(
            order.settings,
            order.secrets,
            self._counters,
            self._wall,
            workers=order.workers,
            discard=self._slices.discard,
            leave_out=lambda problem: None,  # our parent has said it
        )
        self._responder = responder
        if responder.limit is not None:
            self._repeat(1.0, responder.tick)
        self._repeat(REPORT_SECONDS, self.report)
        log = QueryLog(order.settings.query_log.one_in)
        udp_port(self._reactor, self._socket, responder, self._counters, log).start()

"""
A worker process: answers UDP queries on a socket that it was given, from the zones that its parent sends.

Started by `workers` through `__main__`, never by hand. Standard input carries the parent's values
(`replica`), standard output the counts, descriptor 3 is the bound socket. It ends when standard input does.
"""

import os
import socket

import msgspec
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from warp_base.reactor import Reactor
from warp_dns.serve import replica
from warp_dns.serve.assembly import make_responder
from warp_dns.serve.metrics import Counters
from warp_dns.serve.querylog import QueryLog
from warp_dns.serve.responder import Responder
from warp_dns.serve.udp import udp_port
from warp_dns.zone.data import Zone

REPORT_SECONDS = 1.0
_READ_BYTES = 1 << 20


class _InvalidOrder(Exception):
    """The parent sent something that a worker cannot do."""


@implementer(IReadDescriptor)
class Worker:
    """Standard input, and what it orders."""

    _log = Logger()

    def __init__(self, reactor: Reactor, sock: socket.socket) -> None:
        self._reactor = reactor
        self._socket = sock
        self._counters = Counters()
        self._values = replica.ValueReader()
        self._decoder = msgspec.msgpack.Decoder(replica.Order)
        self._responder: Responder | None = None

    def fileno(self) -> int:
        """Return standard input's descriptor."""
        return 0

    def logPrefix(self) -> str:
        """Name this reader in the reactor's own messages."""
        return "warp_dns.serve.worker"

    def connectionLost(self, reason: object) -> None:
        """The reactor is stopping."""

    def doRead(self) -> None:
        """Do what the parent orders; stop when it is gone, or is not understood."""
        try:
            data = os.read(0, _READ_BYTES)
            if not data:
                self._reactor.stop()
                return
            for content in self._values.values(data):
                self._obey(self._decoder.decode(content))
        except Exception:
            self._log.failure("a worker cannot follow its parent and stops")
            self._reactor.removeReader(self)
            self._reactor.stop()

    def report(self) -> None:
        """Tell the counts."""
        os.write(1, replica.pack_value(self._counters.counted()))

    def _obey(self, order: replica.Order) -> None:
        if isinstance(order, replica.Begin):
            self._begin(order)
            return
        if self._responder is None:
            raise _InvalidOrder(type(order).__name__)
        if isinstance(order, replica.Serve):
            self._responder.serve(Zone.build(order.apex, order.rrsets))
        elif isinstance(order, replica.Advance):
            zone = self._responder.zones[order.apex]
            self._responder.advance(replica.changed(zone, order))
        elif isinstance(order, replica.Withdraw):
            self._responder.withdraw(order.apex)
        elif isinstance(order, replica.SetSuspended):
            self._responder.set_suspended(frozenset(order.apexes))
        else:
            self._responder.set_edges(order.edges)

    def _begin(self, order: replica.Begin) -> None:
        responder = make_responder(
            order.settings, order.secrets, self._counters, self._reactor.seconds, workers=order.workers
        )
        self._responder = responder
        if responder.limit is not None:
            LoopingCall(responder.limit.tick).start(1.0, now=False)
        LoopingCall(self.report).start(REPORT_SECONDS, now=False)
        log = QueryLog(order.settings.query_log.one_in)
        udp_port(self._reactor, self._socket, responder, self._counters, log).start()

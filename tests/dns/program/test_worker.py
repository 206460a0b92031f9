"""Tests of `warp_dns.program.worker`: what it does of what its parent sends; tests/system starts real ones."""

import os
import socket

import msgspec
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from tests.dns.helpers import question, wire, zone_of
from warp_base.reactor import as_reactor
from warp_dns.message.records import A, RRset
from warp_dns.program.worker import REPORT_SECONDS, Worker, _InvalidOrder
from warp_dns.serve import replica
from warp_dns.serve.metrics import Counters
from warp_dns.serve.responder import Responder
from warp_dns.settings import Secrets, ServerSettings

APEX = wire("example.org")


class _Reactor(MemoryReactorClock):
    """Notes that it was stopped, and has no descriptors."""

    stopped = 0
    removed = 0

    def removeReader(self, reader: object) -> None:
        """Count."""
        self.removed += 1

    def addReader(self, reader: object) -> None:
        """Leave it."""

    def stop(self) -> None:
        """Count."""
        self.stopped += 1


class WorkerTests(SynchronousTestCase):
    """One worker, whose standard input and output are the test's."""

    def setUp(self) -> None:
        self.input = b""
        self.written: list[bytes] = []
        self.reactor = _Reactor()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.patch(os, "read", self._read)
        self.patch(os, "write", lambda descriptor, data: self.written.append(data))
        self.worker = Worker(as_reactor(self.reactor), self.socket, SettableWallClock(1_000_000.0))

    def _read(self, descriptor: int, count: int) -> bytes:
        data, self.input = self.input[:count], self.input[count:]
        return data

    def send(self, *orders: replica.Order) -> None:
        """Let the parent send orders."""
        self.input = b"".join(replica.pack_value(order) for order in orders)
        self.worker.doRead()
        self.reactor.pump([0] * 20)  # a snapshot is made in slices

    def begin(self) -> Responder:
        """Begin, and return what the worker answers with."""
        self.send(replica.Begin(ServerSettings(), Secrets([], []), 2), *replica.serving(zone_of("app 30 A 192.0.2.1")))
        assert self.worker._responder is not None
        return self.worker._responder

    def has(self, responder: Responder, name: str) -> bool:
        """Whether a name has an address."""
        made = responder.respond(question(name, "A"), "192.0.2.9")
        assert made is not None
        return made[6:8] == b"\0\1"

    def test_a_zone_and_what_becomes_of_it(self) -> None:
        """The first snapshot is served, changes are applied, and a zone that is withdrawn is refused."""
        responder = self.begin()
        self.assertTrue(self.has(responder, "app.example.org"))
        changed = zone_of("app 30 A 192.0.2.1\nnew 30 A 192.0.2.2")
        node = changed.get(wire("new.example.org"))
        assert node is not None
        self.send(replica.Advance(APEX, 8, [(wire("new.example.org"), list(node.rrsets.values()))]))
        self.assertTrue(self.has(responder, "new.example.org"))
        self.send(replica.SetSuspended([APEX]))
        self.assertFalse(self.has(responder, "app.example.org"))
        self.send(replica.SetSuspended([]), replica.Withdraw(APEX))
        self.assertEqual(responder.zones, {})
        self.assertEqual(self.reactor.stopped, 0)

    def test_a_large_change_is_made_in_slices(self) -> None:
        """Orders that come after it wait until it is done, and what comes then is what the parent has."""
        responder = self.begin()
        before = zone_of("app 30 A 192.0.2.1")
        names = [wire(f"n{number}.example.org") for number in range(500)]
        owners = {name: {A: RRset(name, A, 30, (b"\1\2\3\4",))} for name in names}
        change = before.changed(owners, 8)
        orders = [*replica.advancing(change), replica.SetSuspended([APEX])]
        self.input = b"".join(map(replica.pack_value, orders))
        self.worker.doRead()
        self.assertFalse(self.has(responder, "n7.example.org"))
        self.assertTrue(self.has(responder, "app.example.org"))
        self.assertEqual(self.reactor.removed, 2)  # its input is not read meanwhile
        self.reactor.advance(0)
        self.assertEqual(len(responder.zones[APEX]), len(change.zone))
        self.assertFalse(self.has(responder, "app.example.org"))  # suspended
        self.send(replica.SetSuspended([]))
        self.assertTrue(self.has(responder, "n7.example.org"))

    def test_counts_are_reported(self) -> None:
        """What was asked is told to the parent, once a second."""
        self.begin()
        self.assertEqual(self.written, [])
        self.worker.report()
        (report,) = self.written
        (value,) = replica.ValueReader().values(report)
        self.assertTrue(msgspec.msgpack.decode(value) is not None)
        self.assertEqual(REPORT_SECONDS, 1.0)

    def test_the_end_of_input(self) -> None:
        """A worker whose parent is gone stops."""
        self.worker.doRead()
        self.assertEqual(self.reactor.stopped, 1)

    def test_what_is_not_understood(self) -> None:
        """A worker that cannot do what it is sent says so, and stops."""
        self.send(replica.Withdraw(APEX))
        self.assertEqual((self.reactor.stopped, len(self.flushLoggedErrors(_InvalidOrder))), (1, 1))
        self.input = replica.pack_value(Counters().counted())  # is for the other direction
        self.worker.doRead()
        self.assertEqual((self.reactor.stopped, len(self.flushLoggedErrors(msgspec.MsgspecError))), (2, 1))

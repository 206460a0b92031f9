"""Tests of `warp_twisted.lookups`: threads that the test lets run, one after the other."""

import socket
from collections.abc import Callable, Sequence

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IHostnameResolver, IHostResolution, IResolutionReceiver
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from warp_base.reactor import as_reactor
from warp_twisted import lookups
from warp_twisted.lookups import (
    KEPT_FAILURE_SECONDS,
    KEPT_SECONDS,
    MAX_NAMES,
    MAX_THREADS,
    MAX_WAITING,
    QUICK_SECONDS,
    RESERVED_THREADS,
    Found,
    SharedLookups,
    resolve_by_system,
)


class FakeReactor(Clock):
    """A clock that runs what threads hand it at once."""

    def callFromThread(self, function: Callable[..., object], *arguments: object) -> None:
        """Run it."""
        function(*arguments)


@implementer(IResolutionReceiver)
class Receiver:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.addresses: list[IAddress] = []
        self.is_complete = False
        self.resolution: IHostResolution | None = None

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """Remember."""
        self.resolution = resolutionInProgress

    def addressResolved(self, address: IAddress) -> None:
        """Remember."""
        self.addresses.append(address)

    def resolutionComplete(self) -> None:
        """Remember."""
        self.is_complete = True


class SharedLookupsTests(SynchronousTestCase):
    """Names, threads and what is kept."""

    def setUp(self) -> None:
        self.clock = FakeReactor()
        self.threads: list[Callable[[], None]] = []
        self.asked: list[str] = []
        self.answers: dict[str, Sequence[Found]] = {}
        self.took = 0.0
        self.patch(lookups, "monotonic", self.monotonic)
        self.now = 0.0
        self.shared = SharedLookups(as_reactor(self.clock), self.resolve, self.threads.append)

    def monotonic(self) -> float:
        """Return the time that look-ups measure themselves with."""
        return self.now

    def resolve(self, host: str) -> Sequence[Found]:
        """Answer as the test says, after as long as it says."""
        self.asked.append(host)
        self.now += self.took
        return self.answers.get(host, [(socket.AF_INET, ("192.0.2.1", 0))])

    def find(self, host: str) -> Receiver:
        """Ask for a name."""
        receiver = Receiver()
        self.shared.resolveHostName(receiver, host, 80)
        return receiver

    def run_thread(self) -> None:
        """Let the oldest look-up finish."""
        self.threads.pop(0)()

    def test_interface(self) -> None:
        """Twisted takes it as a reactor's resolver."""
        self.assertTrue(verifyObject(IHostnameResolver, self.shared))

    def test_addresses(self) -> None:
        """Addresses of both families come in the resolver's order, with the port that was asked for."""
        self.answers["app"] = [
            (socket.AF_INET6, ("2001:db8::1", 0, 0, 3)),
            (socket.AF_INET, ("192.0.2.7", 0)),
            (socket.AF_UNIX, ("x",)),
        ]
        receiver = self.find("app")
        self.assertFalse(receiver.is_complete)
        self.run_thread()
        self.assertEqual(
            receiver.addresses, [IPv6Address("TCP", "2001:db8::1", 80, 0, 3), IPv4Address("TCP", "192.0.2.7", 80)]
        )
        only = Receiver()
        self.shared.resolveHostName(only, "app", 80, [IPv4Address], "UDP")
        self.assertEqual(only.addresses, [IPv4Address("UDP", "192.0.2.7", 80)])

    def test_shared_and_kept(self) -> None:
        """Dials of one name share a look-up, and its answer for a few seconds."""
        receivers = [self.find(name) for name in ("app", "APP", "app")]
        self.assertEqual(len(self.threads), 1)
        self.run_thread()
        self.assertTrue(all(each.is_complete and len(each.addresses) == 1 for each in receivers))
        self.clock.advance(KEPT_SECONDS - 0.1)
        self.assertTrue(self.find("app").is_complete)
        self.clock.advance(0.1)
        self.assertFalse(self.find("app").is_complete)
        self.assertEqual((len(self.threads), self.asked), (1, ["app"]))

    def test_failure(self) -> None:
        """A name without addresses is told as such, and asked again after a moment."""
        self.answers["gone"] = ()
        receiver = self.find("gone")
        self.run_thread()
        self.assertEqual((receiver.is_complete, receiver.addresses), (True, []))
        self.assertTrue(self.find("gone").is_complete)
        self.clock.advance(KEPT_FAILURE_SECONDS)
        self.assertFalse(self.find("gone").is_complete)

    def test_resolver_that_breaks(self) -> None:
        """An exception in the thread is no address, and its thread is free again."""
        shared = SharedLookups(
            as_reactor(self.clock), lambda host: (_ for _ in ()).throw(ZeroDivisionError()), self.threads.append
        )
        receiver = Receiver()
        shared.resolveHostName(receiver, "app")
        self.assertRaises(ZeroDivisionError, self.threads.pop())
        self.assertEqual((receiver.is_complete, receiver.addresses), (True, []))

    def test_threads_are_bounded(self) -> None:
        """However many names are asked for, only so many threads run; the rest waits its turn."""
        receivers = [self.find(f"slow{number}") for number in range(100)]
        self.assertEqual(len(self.threads), MAX_THREADS - RESERVED_THREADS)
        while self.threads:
            self.run_thread()
        self.assertEqual(len(self.asked), 100)
        self.assertTrue(all(receiver.is_complete for receiver in receivers))

    def test_quick_names_find_a_thread(self) -> None:
        """Names that were quick the last time are looked up while those that may be slow have all they may have."""
        self.find("quick")
        self.run_thread()
        self.clock.advance(KEPT_SECONDS)
        for number in range(100):
            self.find(f"slow{number}")
        receiver = self.find("quick")
        self.assertEqual(len(self.threads), MAX_THREADS - RESERVED_THREADS + 1)
        self.threads.pop()()
        self.assertTrue(receiver.is_complete)

    def test_slow_again(self) -> None:
        """A name that was slow loses that privilege until it is quick again."""
        for took, is_quick in ((0.0, True), (QUICK_SECONDS, False), (0.0, True)):
            self.took = took
            self.find("app")
            self.run_thread()
            self.clock.advance(KEPT_SECONDS)
            self.assertEqual("app" in self.shared._quick, is_quick)

    def test_cancelled(self) -> None:
        """Who does not wait any more hears nothing; others do."""
        first, second = self.find("app"), self.find("app")
        assert first.resolution is not None
        first.resolution.cancel()
        self.run_thread()
        self.assertEqual((first.is_complete, second.is_complete), (False, True))

    def test_bounds(self) -> None:
        """Dials that wait for one name, and names that are remembered, are bounded."""
        for _ in range(MAX_WAITING):
            self.assertFalse(self.find("app").is_complete)
        too_many = self.find("app")
        self.assertEqual((too_many.is_complete, too_many.addresses), (True, []))
        self.run_thread()
        for number in range(MAX_NAMES + 10):
            self.find(f"name{number}")
            self.run_thread()
        self.assertEqual((len(self.shared._kept), len(self.shared._quick)), (MAX_NAMES, MAX_NAMES))
        self.clock.advance(KEPT_SECONDS)
        self.find("another")
        self.run_thread()
        self.assertEqual(len(self.shared._kept), 1)


class SystemTests(SynchronousTestCase):
    """The system's own resolver."""

    def test_localhost(self) -> None:
        """A name that every system knows."""
        self.assertIn("127.0.0.1", [address[0] for _, address in resolve_by_system("localhost")])

    def test_no_name(self) -> None:
        """What cannot be a name has no addresses."""
        for name in ("a" * 64 + ".example", "\udcff", ""):
            self.assertNotIn("127.0.0.2", [address[0] for _, address in resolve_by_system(name)])

"""Tests of `warp_dns.serve.zones`; that answers go out meanwhile is tested in tests/system/dns."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from tests.dns.helpers import question, responder_for, wire
from warp_base.reactor import as_reactor
from warp_base.slices import Slices
from warp_dns.errors import DnsError, InvalidZone, refuse
from warp_dns.message.records import soa_serial
from warp_dns.message.tsig import KeyRing
from warp_dns.serve import replica
from warp_dns.serve.metrics import Counters
from warp_dns.serve.notify import Notifier
from warp_dns.serve.zones import ServedZone, ZoneSet
from warp_dns.settings import NotifySettings, ZoneSettings
from warp_dns.zone.source import FixedSource, Record

GOOD = "$TTL 60\n@ SOA ns h 7 3600 600 86400 60\n@ NS ns\nns A 192.0.2.53\n"
NOERROR, SERVFAIL, REFUSED = 0, 2, 5


class _Pool:
    """Runs what it is given at once, in this thread."""

    def callInThreadWithCallback(self, finished: Any, function: Any, *args: Any, **kwargs: Any) -> None:
        """Call, and tell what came of it."""
        try:
            result = function(*args, **kwargs)
        except Exception:
            finished(False, Failure())
        else:
            finished(True, result)


class _Reactor(MemoryReactorClock):
    """A reactor whose threads are this one, and are heard of in the next turn."""

    def getThreadPool(self) -> ThreadPool:
        """Return the pool."""
        return cast(ThreadPool, _Pool())

    def callFromThread(self, callable: Any, *args: Any, **kwargs: Any) -> None:
        """Call in the next turn."""
        self.callLater(0, callable, *args, **kwargs)


class ZoneSetTests(SynchronousTestCase):
    """Zones with master files, of which some are bad."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.reactor = _Reactor()
        self.responder = responder_for()
        self.counters = Counters()
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.orders: list[replica.Order] = []
        self.zones = self.make(lambda error: self.problems.append(str(error)))

    def make(self, leave_out: Callable[[DnsError], None]) -> ZoneSet:
        """Return a set without zones."""
        reactor = as_reactor(self.reactor)
        wall = SettableWallClock(1_000_000)

        def tell(orders: Callable[[], Iterator[replica.Order]], *, is_long: bool = False) -> None:
            self.orders.extend(orders())

        slices, warn = Slices(reactor), self.warnings.append
        return ZoneSet(reactor, wall, slices, self.responder, KeyRing(), self.counters, tell, leave_out, warn)

    def zone(self, name: str, content: str | None, **settings: Any) -> ServedZone:
        """Return a zone, and write its file, or none."""
        path = self.directory / name
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(content)
        return ServedZone(ZoneSettings(name=name, master_file=str(path), **settings), key=name)

    def turn(self) -> None:
        """Let the reactor turn, more often than a small job needs."""
        self.reactor.pump([0] * 50)

    def codes(self, *names: str) -> list[int]:
        """Return the response code for each name."""
        found = []
        for name in names:
            reply = self.responder.respond(question(name, "A"), "192.0.2.1")
            assert reply is not None
            found.append(reply[3] & 15)
        return found

    def test_a_bad_file_costs_its_zone(self) -> None:
        """It is answered with SERVFAIL, also below a zone that is served; the others are, and the workers are told."""
        zones = [self.zone("example", GOOD), self.zone("bad.example", None), self.zone("other.test", "nonsense\n")]
        self.zones.replace(zones)
        self.assertEqual([problem.split(":")[0] for problem in self.problems], [
            "bad.example.master_file", "other.test.master_file",
        ])  # fmt: skip
        names = ("ns.example", "bad.example", "x.bad.example", "ns.other.test", "x.third.test")
        self.assertEqual(self.codes(*names), [NOERROR, SERVFAIL, SERVFAIL, SERVFAIL, REFUSED])
        self.assertEqual(self.zones.silent, {wire("bad.example"), wire("other.test")})
        self.assertEqual(self.counters.zones_left_out, 2)
        told = [order for order in self.orders if isinstance(order, replica.SetSuspended)]
        self.assertEqual(set(told[-1].apexes), self.zones.silent)

    def test_a_file_that_is_repaired(self) -> None:
        """It is read again when it changes, and said once only as long as it stays as it is."""
        bad = self.zone("a.test", "nonsense\n")
        self.zones.replace([bad])
        self.zones.start([])
        for _ in range(3):
            self.zones.look_at_files()
            self.zones.reload()
            self.turn()
        self.assertEqual(len(self.problems), 1)
        self.zone("a.test", "other nonsense\n")
        self.zones.look_at_files()
        self.turn()
        self.assertEqual(len(self.problems), 2)
        self.zone("a.test", GOOD)
        self.zones.look_at_files()
        self.turn()
        self.assertEqual((self.codes("ns.a.test"), self.counters.zones_left_out), ([NOERROR], 0))
        self.assertEqual(self.zones.silent, frozenset())

    def test_a_zone_that_goes_bad_with_new_settings(self) -> None:
        """It goes on as it was, and is taken as soon as its file is good."""
        self.zones.replace([self.zone("a.test", GOOD)])
        self.zones.start([])
        (self.directory / "a.test").write_text("nonsense\n")
        changed = ServedZone(ZoneSettings(name="a.test", master_file=str(self.directory / "a.test"), ttl=7), key="a")
        self.zones.replace([changed])
        self.assertEqual((self.codes("ns.a.test"), len(self.problems)), ([NOERROR], 1))
        (self.directory / "a.test").write_text(GOOD.replace("ns h 7", "ns h 8") + "new A 192.0.2.9\n")
        self.zones.look_at_files()
        self.turn()
        self.assertEqual((self.codes("new.a.test"), self.counters.zones_left_out), ([NOERROR], 0))

    def test_a_bad_zone_that_is_no_longer_wanted(self) -> None:
        """Nothing is left of it."""
        good, bad = self.zone("a.test", GOOD), self.zone("b.test", None)
        self.zones.replace([good, bad])
        self.zones.replace([good])
        self.assertEqual(self.codes("ns.a.test", "b.test"), [NOERROR, REFUSED])
        self.assertEqual((self.zones.silent, self.counters.zones_left_out), (frozenset(), 0))

    def test_a_live_zone_is_silent_until_both_are_there(self) -> None:
        """Its file and its source: the one that comes first does not speak for the other."""
        source = FixedSource({"app.a.test": [Record("app.a.test", "A", 5, "192.0.2.1")]})
        bad = self.zone("a.test", None)
        self.zones.replace([ServedZone(bad.settings, source)])
        self.zones.suspend("a.test")
        self.zones.start([])
        self.zones.resume("a.test")
        self.assertEqual(self.codes("app.a.test"), [SERVFAIL])
        self.zone("a.test", GOOD)
        self.zones.look_at_files()
        self.turn()
        self.assertEqual(self.codes("app.a.test", "ns.a.test"), [NOERROR, NOERROR])

    def test_a_zone_that_is_filled_before_the_start(self) -> None:
        """Nothing is left to do at the start where nothing changes any more, and workers have all of it."""
        source = FixedSource({"app.a.test": [Record("app.a.test", "A", 5, "192.0.2.1")]})
        settings = ZoneSettings(name="a.test", nameservers={"ns.a.test": []})
        self.zones.replace([ServedZone(settings, source)])
        self.assertIsNone(self.responder.zones[wire("a.test")].get(wire("app.a.test")))
        filling = Deferred.fromCoroutine(self.zones.fill_in_slices())
        self.turn()
        self.successResultOf(filling)
        filled = self.responder.zones[wire("a.test")]
        self.assertIsNotNone(filled.get(wire("app.a.test")))
        whole = [order for order in self.orders if isinstance(order, replica.Serve)]
        self.orders.clear()
        self.zones.start([])
        self.assertIs(self.responder.zones[wire("a.test")], filled)
        self.assertEqual((len(whole), self.orders), (2, []))
        self.assertEqual(self.codes("app.a.test"), [NOERROR])

    def test_what_is_odd_is_said_once(self) -> None:
        """A zone with a delegation that leads nowhere is served and warned of, not again while it stays as it is."""
        odd = self.zone("a.test", GOOD + "sub NS ns.sub\n")
        self.zones.replace([odd])
        self.zones.replace([odd])
        self.assertEqual([warning.split(": ")[0] for warning in self.warnings], ["a.test"])
        self.assertIn("ns.sub.a.test has no address (glue)", self.warnings[0])
        self.assertEqual((self.codes("ns.a.test"), self.problems), ([NOERROR], []))

    def test_notices_of_a_zone_that_is_suspended(self) -> None:
        """Secondaries hear nothing of a zone that would be SERVFAIL to them, and where it is once it is answered."""
        told: list[int] = []
        self.patch(Notifier, "tell", lambda notifier, soa: told.append(soa_serial(soa.rdatas[0])))
        self.patch(Notifier, "start", lambda notifier, hosts: None)
        source = FixedSource()
        settings = ZoneSettings(
            name="a.test", nameservers={"ns.a.test": []}, notify=[NotifySettings(address="192.0.2.7")]
        )
        self.zones.suspend("a.test")
        self.zones.replace([ServedZone(settings, source)])
        self.zones.start([])
        source.change({"app.a.test": [Record("app.a.test", "A", 5, "192.0.2.1")]})
        self.turn()
        self.assertEqual(told, [])
        self.zones.resume("a.test")
        self.zones.resume("a.test")
        serial = self.responder.zones[wire("a.test")].serial
        self.assertEqual(told, [serial])

    def test_settings_are_refused_whole(self) -> None:
        """What is wrong with the settings of one zone changes nothing, and a check hears of files as well."""
        good = self.zone("a.test", GOOD)
        self.zones.replace([good])
        for wrong in (good, self.zone("b.test", GOOD, nameservers={"ns.b.test": ["nowhere"]})):
            self.assertRaises(InvalidZone, self.zones.replace, [good, wrong])
            self.failureResultOf(self.replaced_in_slices([good, wrong]), InvalidZone)
        self.assertEqual(self.codes("ns.a.test", "ns.b.test"), [NOERROR, REFUSED])
        with self.assertRaisesRegex(InvalidZone, r"^b\.test\.master_file: "):
            self.make(refuse).replace([self.zone("b.test", None)])

    def replaced_in_slices(self, zones: list[ServedZone]) -> Any:
        """Replace zones while the reactor turns."""
        replaced = Deferred.fromCoroutine(self.zones.replace_in_slices(zones))
        self.turn()
        return replaced

    def test_a_thousand_live_names_survive_new_settings(self) -> None:
        """A zone whose settings change has all names of its source before it takes the old one's place."""
        names = [f"n{number}.a.test" for number in range(1000)]
        source = FixedSource({name: [Record(name, "A", 5, "192.0.2.1")] for name in names})
        good = self.zone("a.test", GOOD)
        self.zones.replace([ServedZone(good.settings, source)])
        self.zones.start([])
        serial = self.responder.zones[wire("a.test")].serial
        changed = self.zone("a.test", GOOD, ttl=7)
        self.successResultOf(self.replaced_in_slices([ServedZone(changed.settings, source)]))
        self.assertEqual(self.codes(names[0], names[-1]), [NOERROR, NOERROR])
        self.assertGreater(self.responder.zones[wire("a.test")].serial, serial)

"""Tests of `warp_dns.serve.followed`."""

from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from tests.dns.helpers import Events, wire
from warp_base.reactor import as_reactor
from warp_base.slices import Slices
from warp_dns.errors import InvalidSettings, InvalidZone
from warp_dns.message.tsig import KeyRing
from warp_dns.serve.files import ZoneFile
from warp_dns.serve.followed import MANY_NAMES, FollowedZone, clock_serial
from warp_dns.settings import NotifySettings, TransferSettings, ZoneSettings
from warp_dns.zone.data import Change
from warp_dns.zone.source import FixedSource, Record
from warp_dns.zone.steps import finish

APEX = wire("warp.example")
ZONE = "$TTL 60\n@ SOA ns h {serial} 3600 600 86400 60\n@ NS ns\nns A 192.0.2.53\n"


class _Publisher:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.refused: list[str] = []

    def publish(self, change: Change, changed_at: float) -> None:
        """Keep a snapshot."""
        self.changes.append(change)

    def refuse(self, problem: str) -> None:
        """Keep a complaint."""
        self.refused.append(problem)


class _Pool:
    """Runs what it is given at once, in this thread."""

    def callInThreadWithCallback(self, finished: Any, function: Any, *args: Any, **kwargs: Any) -> None:
        """Call, and tell what came of it."""
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            finished(False, Failure(error))
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


class FollowedZoneTests(SynchronousTestCase):
    """One zone with a source and a master file."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.write_text(ZONE.format(serial=7))
        self.reactor = _Reactor()
        self.wall = SettableWallClock(1_000_000, self.reactor)
        self.publisher = _Publisher()
        self.source = FixedSource({"a.warp.example": [Record("a.warp.example", "A", 5, "192.0.2.1")]})
        self.events = Events()
        self.patch(FollowedZone, "_log", Logger(observer=self.events))

    def make(self, source: FixedSource | None = None, **changes: Any) -> FollowedZone:
        """Return a zone."""
        settings = ZoneSettings(**{"name": "warp.example", "master_file": str(self.path), **changes})
        reactor, file = as_reactor(self.reactor), ZoneFile.read(settings, clock_serial(self.wall), is_live=True)
        return FollowedZone(reactor, self.wall, Slices(reactor), settings, file, source, self.publisher, KeyRing([]))

    def turn(self) -> None:
        """Let the reactor turn, more often than a small job needs."""
        self.reactor.pump([0] * 20)

    def test_the_file_alone(self) -> None:
        """Without a source the serial is the file's, and nothing changes by itself."""
        zone = self.make()
        zone.start([])
        self.assertEqual((zone.live.zone.serial, self.publisher.changes), (7, []))

    def test_the_source_is_followed_turn_by_turn(self) -> None:
        """All changes of a turn are one serial; after the stop there are none."""
        zone = self.make(self.source)
        zone.start([])
        self.assertIsNotNone(zone.live.zone.get(wire("a.warp.example")))
        served = len(self.publisher.changes)
        before = zone.live.zone.serial
        for name in ("b", "c"):
            owner = f"{name}.warp.example"
            self.source.change({owner: [Record(owner, "A", 5, "192.0.2.2")]})
        self.assertEqual(len(self.publisher.changes), served)
        self.reactor.advance(0)
        self.assertEqual((len(self.publisher.changes), zone.live.zone.serial), (served + 1, before + 1))
        self.source.change({"c.warp.example": []})
        self.successResultOf(zone.stop())
        self.reactor.advance(1)
        self.source.change({"b.warp.example": []})
        self.assertEqual(len(self.publisher.changes), served + 1)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_many_names_are_one_change_all_the_same(self) -> None:
        """A source that publishes a whole fleet at once is followed in slices; nobody is told before all is served."""
        zone = self.make(self.source)
        zone.start([])
        serial, told = zone.live.zone.serial, len(self.publisher.changes)
        names = [f"n{number}.warp.example" for number in range(MANY_NAMES * 3)]
        self.source.change({name: [Record(name, "A", 5, "192.0.2.1")] for name in names})
        applied: list[int] = []
        zone.when_applied(lambda: applied.append(len(zone.live.zone)))
        self.assertEqual(applied, [])
        self.source.change({"late.warp.example": [Record("late.warp.example", "A", 5, "192.0.2.1")]})
        self.reactor.advance(0)
        [change] = self.publisher.changes[told:]
        self.assertEqual((len(change.touched), zone.live.zone.serial), (len(names) + 1, serial + 1))
        self.assertEqual(applied, [len(names) + 4])
        zone.when_applied(lambda: applied.append(0))
        self.assertEqual(applied[1:], [0])

    def test_a_zone_that_is_filled_before_it_is_served(self) -> None:
        """Its source's names are there when it starts, with what came and went meanwhile."""
        zone = self.make(self.source)
        self.source.change({"b.warp.example": [Record("b.warp.example", "A", 5, "192.0.2.2")]})
        finish(zone.filling())
        self.assertIsNotNone(zone.live.zone.get(wire("a.warp.example")))
        self.source.change({"a.warp.example": [], "c.warp.example": [Record("c.warp.example", "A", 5, "192.0.2.3")]})
        zone.start([])
        there = [zone.live.zone.get(wire(f"{name}.warp.example")) is not None for name in "abc"]
        self.assertEqual(there, [False, True, True])
        [change] = self.publisher.changes
        self.assertEqual(change.touched, {wire("a.warp.example"), wire("c.warp.example")})

    def test_a_change_waits_for_its_serial(self) -> None:
        """Changes that the file of serials does not cover yet are served together, when it does."""
        directory = Path(self.mktemp())
        directory.mkdir()
        zone = self.make(self.source, serial_file=str(directory / "serial"))
        zone.start([])
        served = len(self.publisher.changes)
        kept = zone._kept
        assert kept is not None
        waiting: Deferred[None] = Deferred()
        self.patch(kept, "covers", lambda serial: waiting.called)
        self.patch(kept, "reserve", lambda serial: waiting)
        for name in "bc":
            self.source.change({f"{name}.warp.example": [Record(f"{name}.warp.example", "A", 5, "192.0.2.2")]})
            self.turn()
        self.assertEqual(len(self.publisher.changes), served)
        waiting.callback(None)
        self.turn()
        [change] = self.publisher.changes[served:]
        self.assertEqual(len(change.touched), 2)

    def test_a_stop_ends_work_that_is_long(self) -> None:
        """What is read or merged when the zone stops ends with the slices, and says nothing."""
        zone = self.make(self.source)
        zone.start([])
        self.path.write_text(ZONE.format(serial=9) + "new A 192.0.2.3\n")
        zone.reload()
        stopping = zone.stop()
        self.assertNoResult(stopping)
        self.reactor.advance(0)
        self.successResultOf(stopping)
        self.assertEqual([event for event in self.events if "problem" in event], [])

    def test_live_records_that_cannot_be(self) -> None:
        """A record that the zone cannot hold is left out, and said."""
        zone = self.make(self.source)
        zone.start([])
        self.source.change({"x.other.example": [Record("x.other.example", "A", 5, "192.0.2.9")]})
        self.reactor.advance(0)
        self.assertEqual(len(self.publisher.refused), 1)
        self.assertIn("x.other.example", self.publisher.refused[0])

    def test_a_file_that_changes(self) -> None:
        """A new master file is taken; a bad one is refused with its line, and the zone stays."""
        zone = self.make()
        zone.start([])
        self.path.write_text(ZONE.format(serial=9) + "new A 192.0.2.3\n")
        zone.look_at_file()
        self.turn()
        self.assertEqual((zone.live.zone.serial, len(self.publisher.changes)), (9, 1))
        self.path.write_text(ZONE.format(serial=10) + "new A nonsense, which is longer\n")
        zone.look_at_file()
        self.turn()
        self.assertEqual(zone.live.zone.serial, 9)
        (refused,) = [event for event in self.events if "problem" in event]
        self.assertIn(f"{self.path}:5", refused["problem"])

    def test_mistakes_name_their_key(self) -> None:
        """Keys that are not there, addresses that are none, and a bad file are refused at the start."""
        for changes, words in (
            ({"transfer": TransferSettings(keys=["k.example"])}, r"^transfer\.keys\[0\]: "),
            ({"notify": [NotifySettings(address="ns2")]}, r"^notify\[0\]\.address: "),
            ({"notify": [NotifySettings(address="192.0.2.2", key="k")]}, r"^notify\[0\]\.key: "),
        ):
            with self.assertRaisesRegex(InvalidSettings, words):
                self.make(**changes)
        self.path.write_text("nonsense\n")
        with self.assertRaisesRegex(InvalidZone, r"^master_file: "):
            self.make()

    def test_a_key_without_its_secret(self) -> None:
        """Its secondary gets no notices, and nobody can transfer with it; the zone is served."""
        settings = ZoneSettings(
            name="warp.example",
            master_file=str(self.path),
            transfer=TransferSettings(keys=["k"]),
            notify=[NotifySettings(address="192.0.2.7", key="k"), NotifySettings(address="192.0.2.8")],
        )
        reactor, file = as_reactor(self.reactor), ZoneFile.read(settings, 1, is_live=False)
        keys = KeyRing([], ["K"])
        zone = FollowedZone(reactor, self.wall, Slices(reactor), settings, file, None, self.publisher, keys)
        self.assertEqual([notifier.host for notifier in zone._notifiers], ["192.0.2.8"])
        self.assertFalse(zone.rule.allows("192.0.2.7", None))

    def test_settings_that_stay(self) -> None:
        """A reload keeps a zone whose settings and source are what they were."""
        zone = self.make(self.source)
        settings = ZoneSettings(name="warp.example", master_file=str(self.path))
        self.assertTrue(zone.is_of(settings, self.source))
        self.assertFalse(zone.is_of(settings, None))
        self.assertFalse(zone.is_of(ZoneSettings(name="warp.example"), self.source))

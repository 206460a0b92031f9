"""Tests of `warp_twisted.edge.kept_bans`."""

from pathlib import Path

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

import warp_twisted.edge.kept_bans as module
from tests.clocks import SettableWallClock
from warp_twisted.edge.errors import EdgeError
from warp_twisted.edge.kept_bans import KeptBans
from warp_twisted.edge.peers.notices import Lifted
from warp_twisted.edge.policy.banning import Banning
from warp_twisted.policy import bans
from warp_twisted.registry.ban_records import KeptBan
from warp_twisted.registry.errors import StoreBroken
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.sqlite import SqliteStore

NOW = 1_800_000_000.0
ADDRESS = "203.0.113.9"


class KeptBansTests(SynchronousTestCase):
    """`KeptBans`, on a registry in a file."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.clock = Clock()
        self.wall = SettableWallClock(NOW)
        self.told: list[KeptBan | Lifted] = []
        self.start()

    def start(self) -> None:
        """Begin, as an edge does."""
        self.store = SqliteStore(self.directory, self.clock)
        self.banning, self.kept = self.new_edge()

    def new_edge(self) -> tuple[Banning, KeptBans]:
        """Let an edge follow the registry."""
        mirror = Mirror(self.store, self.clock)
        banning = Banning(self.clock.seconds)
        self.cut: list[str] = []
        kept = KeptBans(self.store, mirror, banning, self.wall, self.cut.append, self.told.append)
        self.successResultOf(Deferred.fromCoroutine(mirror.start()))
        self.addCleanup(mirror.stop)
        return banning, kept

    def tearDown(self) -> None:
        self.successResultOf(self.store.close())

    def add(self, text: str = ADDRESS, seconds: float = 600.0) -> tuple[str, str]:
        """Ban."""
        made = self.successResultOf(Deferred.fromCoroutine(self.kept.add(text, seconds, "abuse report")))
        self.clock.advance(0)
        return made

    def remove(self, text: str = ADDRESS) -> bool:
        """End a ban."""
        was_banned = self.successResultOf(Deferred.fromCoroutine(self.kept.remove(text)))
        self.clock.advance(0)
        return was_banned

    def test_told_to_other_edges(self) -> None:
        """Other edges are told of a ban and of its end at once, also if the registry does not take it."""
        self.patch(self.store, "transact", lambda expectations, operations: fail(StoreBroken("away")))
        ban = KeptBan(network=ADDRESS, seconds=600.0, until=NOW + 600.0, reason="abuse report")
        self.assertEqual(self.add(), (ADDRESS, "it could not be written down: away"))
        self.assertEqual(self.told, [ban])
        self.remove()
        self.assertEqual(self.told, [ban, Lifted(ADDRESS)])

    def test_outlives_the_edge(self) -> None:
        """After a restart it holds for the rest of its time, with its reason, and no longer."""
        self.assertEqual([self.add(), self.add("2001:db8::7")], [(ADDRESS, ""), ("2001:db8::/64", "")])
        self.tearDown()
        self.wall.set(NOW + 500.0)
        self.start()
        listed = [(each["network"], each["seconds_left"], each["reason"]) for each in self.banning.listed()]
        self.assertEqual(sorted(listed), [(name, 100.0, "abuse report") for name in ("2001:db8::/64", ADDRESS)])
        self.assertTrue(self.banning.turns_away(ADDRESS, ADDRESS))
        self.clock.advance(100.0)
        self.assertFalse(self.banning.turns_away(ADDRESS, ADDRESS))
        self.tearDown()
        self.wall.set(NOW + 600.0)
        self.start()
        self.assertEqual(list(self.banning.listed()), [])

    def test_every_edge(self) -> None:
        """Another edge of the registry has it at once, and has it no more when it is ended at either."""
        other, others = self.new_edge()
        self.add()
        self.assertTrue(other.turns_away(ADDRESS, ADDRESS))
        self.assertTrue(self.successResultOf(Deferred.fromCoroutine(others.remove(ADDRESS))))
        self.clock.advance(0)
        self.assertFalse(self.banning.turns_away(ADDRESS, ADDRESS))
        self.assertFalse(self.remove())

    def test_a_ban_that_is_kept_no_more(self) -> None:
        """The end of its record, when its time is over, ends no ban that the edge has made meanwhile."""
        self.add(seconds=60.0)
        self.wall.set(NOW + 60.0)
        self.clock.advance(60.0)
        self.banning.put(ADDRESS, 600.0, "20 refusals")
        self.add("203.0.113.10")
        self.assertEqual(list(self.kept._mirror.kept_bans), ["203.0.113.10"])
        self.assertTrue(self.banning.turns_away(ADDRESS, ADDRESS))

    def test_bounds(self) -> None:
        """What finds no room in the registry holds all the same, and who bans is told; a known one can be renewed."""
        self.patch(module, "MAX_KEPT", 1)
        self.add()
        network, why = self.add("203.0.113.10")
        self.assertIn("1 bans are kept, which is most", why)
        self.assertTrue(self.banning.turns_away(network, network))
        self.assertEqual(self.add(seconds=900.0), (ADDRESS, ""))
        self.wall.set(NOW + 900.0)
        self.assertEqual(self.add("203.0.113.11"), ("203.0.113.11", ""))

    def test_what_is_open(self) -> None:
        """What the network has open is cut at every edge; a ban that has ended, or is lifted, cuts nothing."""
        _, _ = self.new_edge()
        others = self.cut
        self.add()
        self.assertEqual(others, [ADDRESS])
        self.remove()
        self.assertEqual(others, [ADDRESS])
        self.wall.set(NOW + 1_000.0)
        self.new_edge()
        self.assertEqual(self.cut, [])

    def test_registry_away(self) -> None:
        """A ban acts at once and is said to end with the edge; the end of one that may be kept still is an error."""
        self.add("203.0.113.10")
        away = StoreBroken("the disk is full")
        self.patch(self.store, "transact", lambda expectations, operations: fail(away))
        self.patch(self.store, "delete", lambda key: fail(away))
        network, why = self.add()
        self.assertEqual((network, why), (ADDRESS, "it could not be written down: the disk is full"))
        self.assertTrue(self.banning.turns_away(ADDRESS, ADDRESS))
        self.failureResultOf(Deferred.fromCoroutine(self.kept.remove("203.0.113.10")), StoreBroken)
        self.assertFalse(self.banning.turns_away("203.0.113.10", "203.0.113.10"))

    def test_never_banned(self) -> None:
        """What is never banned is not kept either."""
        for text, error in (("127.0.0.1", EdgeError), ("10.0.0.0/8", ValueError)):
            self.failureResultOf(Deferred.fromCoroutine(self.kept.add(text, 60.0, "")), error)
        self.assertEqual(self.kept._mirror.kept_bans, {})

    def test_no_room_at_the_edge(self) -> None:
        """A ban of the registry that an edge has no room for is said."""
        other, _ = self.new_edge()
        self.patch(bans, "MAX_BANS", 1)
        self.add()
        other.put("203.0.113.12", 60.0, "")
        other.lift(ADDRESS)
        other.put("203.0.113.13", 60.0, "")
        self.assertEqual(len(other.bans), 1)

"""Tests for `warp_twisted.registry.etcd.follower`."""

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.registry.etcd.gateway import MemoryClient, MemoryEtcd
from warp_twisted.registry.errors import StoreBroken
from warp_twisted.registry.etcd.follower import BEAT_SECONDS, BEATS, HEARD_SECONDS, PAUSES, Follower
from warp_twisted.registry.etcd.messages import RANGE_PATH, TRANSACTION_PATH, Change, Heard, transaction_request


def noting(told: list[Any]) -> Callable[[Sequence[Change], int], Deferred[None]]:
    """Return what notes that there was a snapshot."""

    def note(changes: Sequence[Change], revision: int) -> Deferred[None]:
        told.append("snapshot")
        return succeed(None)

    return note


class FollowerTests(SynchronousTestCase):
    """`Follower`."""

    def setUp(self) -> None:
        """Follow an etcd that has a key."""
        self.clock = Clock()
        self.etcd = MemoryEtcd(self.clock)
        self.told: list[object] = []
        self.write("a/1", b"x")
        self.client = MemoryClient(self.etcd)
        self.follower = Follower(
            self.client,
            self.clock,
            "edge1",
            snapshot=self.take_snapshot,
            changed=self.changed,
            away=lambda why: self.told.append(("away", why)),
            back=lambda: self.told.append("back"),
        )
        self.follower.start()
        self.clock.advance(0)

    def keys(self, changes: Sequence[Change]) -> dict[str, bytes | None]:
        """Return keys and values."""
        return {each.key: each.value for each in changes}

    async def take_snapshot(self, changes: Sequence[Change], revision: int) -> None:
        """Note all keys."""
        self.told.append(("snapshot", self.keys(changes)))

    def changed(self, changes: Sequence[Change], revision: int) -> None:
        """Note a change; beats are empty ones."""
        if changes:
            self.told.append(self.keys(changes))

    def write(self, key: str, value: bytes) -> None:
        """Put a key as somebody else does."""
        self.etcd.answer(TRANSACTION_PATH, transaction_request({}, {key: value}))

    def take(self) -> list[object]:
        """Return what was told since the last call."""
        told, self.told = self.told, []
        return told

    def test_begin(self) -> None:
        """Everything is told, and that it is current once a beat came through the watch; beats are told to nobody."""
        self.assertEqual(self.take(), [("snapshot", {"a/1": b"x"}), "back"])
        self.assertEqual([key for key in self.etcd.keys if BEATS.encode() in key], [b"/warp/beats/edge1"])
        self.write("a/1", b"y")
        self.assertEqual(self.take(), [{"a/1": b"y"}])

    def test_snapshot_takes_its_time(self) -> None:
        """Nothing is told, and nothing called current, before a snapshot is done; one that refuses is tried again."""
        snapshots: list[Deferred[None]] = []
        told: list[str] = []

        def begin(changes: Sequence[Change], revision: int) -> Deferred[None]:
            snapshots.append(Deferred())
            return snapshots[-1]

        follower = Follower(
            MemoryClient(self.etcd), self.clock, "edge2", snapshot=begin,
            changed=lambda changes, revision: told.append("changed"),
            away=lambda why: told.append(why), back=lambda: told.append("back"),
        )  # fmt: skip
        follower.start()
        self.clock.advance(0)
        self.assertEqual((len(snapshots), told), (1, []))
        snapshots[0].errback(StoreBroken("half a copy"))
        self.assertEqual(told, ["half a copy"])
        self.clock.advance(PAUSES[0])
        self.assertEqual(len(snapshots), 2)
        snapshots[1].callback(None)
        self.clock.advance(0)
        self.assertEqual(told[-1], "back")
        follower.stop()

    def test_refused(self) -> None:
        """What was told is refused: no more of the same message is told, and everything is read again."""
        self.take()

        def refuse(changes: Sequence[Change], revision: int) -> None:
            self.told.append(self.keys(changes))
            self.follower.refuse("another registry")

        self.patch(self.follower, "_changed", refuse)
        changes = tuple(Change(f"a/{number}", b"y", self.etcd.revision + number) for number in (1, 2))
        self.follower._heard(Heard(changes, changes[-1].modified))
        self.assertEqual(self.take(), [{"a/1": b"y"}, ("away", "another registry")])
        self.clock.advance(PAUSES[0])
        self.assertEqual(self.take()[0], ("snapshot", {"a/1": b"x"}))

    def test_restored(self) -> None:
        """An etcd that is at an older revision than before is read again as a whole, rather than waited for."""
        for number in range(10):
            self.write("a/2", b"%d" % number)
        self.take()
        self.etcd.cut()
        del self.etcd.history[3:]
        self.etcd.keys = {key: item for key, item in self.etcd.keys.items() if key.endswith(b"a/1")}
        self.etcd.is_away = False
        for _ in range(10):
            self.clock.advance(0.5)
        self.assertEqual(self.take()[-2:], [("snapshot", {"a/1": b"x"}), "back"])

    def test_etcd_is_away_at_first(self) -> None:
        """It is asked again, less and less often, and said once."""
        etcd = MemoryEtcd(self.clock)
        etcd.is_away = True
        told: list[str] = []
        follower = Follower(
            MemoryClient(etcd), self.clock, "edge2",
            snapshot=noting(told), changed=lambda changes, revision: None,
            away=lambda why: told.append(why), back=lambda: told.append("back"),
        )  # fmt: skip
        follower.start()
        for pause in (*PAUSES, PAUSES[-1]):
            before = len(etcd.calls)
            self.clock.advance(pause - 0.01)
            self.assertEqual(len(etcd.calls), before)
            self.clock.advance(0.02)
            self.assertEqual(len(etcd.calls), before + 1)
        self.assertEqual(told, ["etcd at memory does not answer: away"])
        etcd.is_away = False
        self.clock.advance(PAUSES[-1])
        self.clock.advance(0)
        self.assertEqual(told[1:], ["snapshot", "back"])

    def test_resumes(self) -> None:
        """After a cut only what was missed is told, without another snapshot."""
        self.take()
        self.etcd.cut()
        self.write("a/2", b"missed")
        self.assertEqual(self.take(), [("away", "etcd ended the watch: cut")])
        self.etcd.is_away = False
        self.clock.advance(PAUSES[0])
        self.clock.advance(0)
        self.assertEqual(self.take(), [{"a/2": b"missed"}, "back"])
        self.assertEqual(self.etcd.calls.count(RANGE_PATH), 1)

    def test_compacted(self) -> None:
        """What etcd has forgotten is read anew, whole."""
        self.take()
        self.etcd.cut()
        self.write("a/2", b"missed")
        self.etcd.compact()
        self.etcd.is_away = False
        for _ in range(10):
            self.clock.advance(0.1)
        self.assertEqual(self.take()[-2:], [("snapshot", {"a/1": b"x", "a/2": b"missed"}), "back"])

    def test_beats(self) -> None:
        """A watch that is silent is proved now and then, one that speaks is not."""
        beats = self.etcd.calls.count(TRANSACTION_PATH)
        for _ in range(4):
            self.clock.advance(BEAT_SECONDS / 2)
            self.write("a/1", b"y")
        self.assertEqual(self.etcd.calls.count(TRANSACTION_PATH), beats)
        self.clock.advance(BEAT_SECONDS)
        self.assertEqual(self.etcd.calls.count(TRANSACTION_PATH), beats + 1)

    def test_mute(self) -> None:
        """A beat that is not heard is the end of the watch, and another member is asked."""
        self.etcd.is_mute = True
        self.take()
        self.clock.advance(BEAT_SECONDS)
        self.clock.advance(HEARD_SECONDS - 0.01)
        self.assertEqual((self.take(), self.client.left), ([], []))
        self.clock.advance(0.01)
        self.assertEqual(self.take(), [("away", "etcd at memory does not tell what was written")])
        self.assertEqual((self.client.left, self.etcd.watches), (["memory"], []))

    def test_stopped(self) -> None:
        """After `stop` nothing is told and nothing waits, wherever it was."""
        self.take()
        self.follower.stop()
        self.write("a/1", b"y")
        self.assertEqual((self.take(), self.clock.getDelayedCalls(), self.etcd.watches), ([], [], []))
        self.etcd.is_silent = True
        again = Follower(
            self.client, self.clock, "edge2",
            snapshot=noting(self.told),
            changed=self.changed, away=self.told.append, back=lambda: self.told.append("back"),
        )  # fmt: skip
        again.start()
        again.stop()
        self.clock.advance(60)
        self.assertEqual(self.take(), [])

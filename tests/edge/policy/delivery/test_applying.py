"""Tests of `warp_twisted.edge.policy.delivery.applying`."""

import os
import pwd
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from tests.registry.fakes import FlakyStore
from warp_twisted.edge.errors import EdgeError, PolicyVersionUnknown
from warp_twisted.edge.policy.delivery.applying import MAX_WAITING, Application, Applied, PolicyApplications
from warp_twisted.edge.policy.delivery.fleet import RegistryPolicy
from warp_twisted.edge.policy.delivery.following import LOOK_SECONDS, PolicyFollower
from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.policy.errors import InvalidPolicy
from warp_twisted.registry.errors import PolicyChanged, StoreClosed
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.policy_versions import TEXTS, PolicyVersions

NOBODY = Application()
ONE, TWO, THREE = (f"rules: [{{name: {name}}}]".encode() for name in ("one", "two", "three"))

T = TypeVar("T")


class PolicyApplicationsTests(SynchronousTestCase):
    """`PolicyApplications`, on a store in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = FlakyStore(self.clock)
        self.mirror = Mirror(self.store, self.clock)
        self.wait(self.mirror.start())
        self.addCleanup(self.mirror.stop)
        self.policy = PolicyInForce()
        self.held: list[Callable[[], object]] | None = None
        self.follower = PolicyFollower(self.policy, self.clock, self.in_thread)
        self.follower.begin(None, "/nowhere")
        versions = PolicyVersions(self.store)
        self.wait(self.follower.join(RegistryPolicy(self.mirror, versions, self.follower.wake)))
        wall = SettableWallClock(1000.0)
        self.applications = PolicyApplications(versions, self.mirror, self.follower, wall, self.in_thread)

    def in_thread(self, function: Callable[[], Any]) -> Deferred[Any]:
        """Run it now, or when the test lets it."""
        if self.held is None:
            return execute(function)
        done: Deferred[Any] = Deferred()
        self.held.append(lambda: execute(function).chainDeferred(done))
        return done

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what a coroutine has come to."""
        result: T = self.successResultOf(Deferred.fromCoroutine(coroutine))
        return result

    def refused(self, coroutine: Coroutine[Any, Any, object], kind: type[Exception]) -> str:
        """Return with what words it failed."""
        return str(self.failureResultOf(Deferred.fromCoroutine(coroutine), kind).value)

    def apply(self, text: bytes, **wish: Any) -> Applied:
        """Apply a text."""
        return self.wait(self.applications.apply(text, "p.yaml", Application(**wish)))

    def back(self, number: int = 0) -> Applied:
        """Go back."""
        return self.wait(self.applications.back(number, NOBODY))

    def test_applied(self) -> None:
        """It is in force here, and kept with who applied it, when and what for."""
        applied = self.apply(ONE, uid=os.getuid(), message="why")
        self.assertEqual(applied, Applied(changed=True, version=1, replaced=0, rules=1, in_force=True))
        (version,) = self.applications.history()
        name = pwd.getpwuid(os.getuid()).pw_name
        self.assertEqual((version.author, version.message, version.applied_at), (name, "why", 1000.0))
        self.assertEqual(self.wait(self.applications.show()), (version, ONE))
        self.apply(TWO, uid=2**31 - 9)
        self.assertEqual(self.applications.history()[0].author, f"uid {2**31 - 9}")
        self.assertEqual(self.wait(self.applications.show(1)), (version, ONE))
        self.refused(self.applications.show(9), PolicyVersionUnknown)

    def test_the_same_text(self) -> None:
        """It changes nothing, whoever says so."""
        self.assertIsNone(self.wait(self.applications.show()))
        self.apply(ONE)
        again = Applied(changed=False, version=1, replaced=1, rules=1, in_force=True)
        self.assertEqual((self.apply(ONE), self.apply(ONE, is_check=True)), (again, again))
        would = Applied(changed=True, version=1, replaced=1, rules=1)
        self.assertEqual(self.apply(TWO, is_check=True), would)
        self.assertEqual(self.follower.standing.version, 1)

    def test_refused(self) -> None:
        """What this edge cannot use is not written."""
        for text, reason in (
            (b"rules: 7", "p.yaml: rules: expected"),
            ("rules: []".encode("utf-16"), "p.yaml: expected UTF-8"),
            (b"rules: [{name: r, sources: {deny: [{file: list}]}}]", "/nowhere/list: No such file"),
        ):
            self.assertIn(reason, self.refused(self.applications.apply(text, "p.yaml", NOBODY), InvalidPolicy))
        self.assertEqual(self.applications.history(), [])

    def test_conditions(self) -> None:
        """Another version than the one that is to be replaced is in force, now or by the time of writing: refused."""
        self.apply(ONE, if_version=0)
        self.refused(self.applications.apply(TWO, "p.yaml", Application(if_version=0)), PolicyChanged)
        self.store.when_asked = lambda: self.apply(TWO)
        self.refused(self.applications.apply(THREE, "p.yaml", NOBODY), PolicyChanged)
        self.assertEqual(self.wait(self.applications.show()), (self.applications.history()[0], TWO))

    def test_back(self) -> None:
        """Once: the version before; again: the one before that; with a number: that one. Each is a new version."""
        self.assertIn("no policy was applied yet", self.refused(self.applications.back(0, NOBODY), EdgeError))
        for text in (ONE, TWO, THREE):
            self.apply(text)
        self.assertEqual((self.back().restores, self.back().restores), (2, 1))
        self.assertIn("older than the one in force", self.refused(self.applications.back(0, NOBODY), EdgeError))
        applied = self.back(3)
        self.assertEqual((applied.version, applied.replaced, applied.restores), (6, 5, 3))
        again = self.back(4)  # which has the text of 2
        self.assertEqual((again.version, again.restores), (7, 2))
        self.assertEqual(self.wait(self.applications.show()), (self.applications.history()[0], TWO))
        self.refused(self.applications.back(99, NOBODY), PolicyVersionUnknown)

    def test_a_text_that_is_damaged(self) -> None:
        """It can be replaced, by the same text as well."""
        self.apply(ONE)
        self.wait(self._damage())
        self.assertEqual(self.apply(ONE).version, 2)

    async def _damage(self) -> None:
        await self.store.put(f"{TEXTS}0000000001/0", b"")

    def test_a_store_that_is_away(self) -> None:
        """Nothing changes, and it is said."""
        self.apply(ONE)
        self.store.is_away = True
        self.refused(self.applications.apply(TWO, "p.yaml", NOBODY), StoreClosed)
        self.assertEqual(self.follower.standing.version, 1)

    def test_many_at_once(self) -> None:
        """Some wait for each other; more are refused, and there is room again afterwards."""
        self.held = []
        waiting = [
            Deferred.fromCoroutine(self.applications.apply(ONE, "p.yaml", Application(is_check=True)))
            for _ in range(MAX_WAITING)
        ]
        self.assertIn("try again", self.refused(self.applications.apply(ONE, "p.yaml", NOBODY), EdgeError))
        for number in range(MAX_WAITING):
            self.assertEqual(len(self.held), 1, "one is judged at a time")
            self.held.pop()()
            self.successResultOf(waiting[number])
        self.held = None
        self.assertTrue(self.apply(ONE).changed)

    def test_another_edge(self) -> None:
        """Each edge of the fleet follows; one that has not the files keeps what it has, says so, and comes back."""
        mirror = Mirror(self.store, self.clock)
        self.wait(mirror.start())
        self.addCleanup(mirror.stop)
        policy = PolicyInForce()
        other = PolicyFollower(policy, self.clock, execute)
        directory = Path(self.mktemp())
        other.begin(None, str(directory))
        other.start()
        self.addCleanup(other.stop)
        self.wait(other.join(RegistryPolicy(mirror, PolicyVersions(self.store), other.wake)))
        self.apply(ONE)
        self.clock.advance(0)
        self.assertEqual((other.standing.wanted, other.standing.version), (1, 1))
        here = Path(self.mktemp())
        here.mkdir()
        (here / "list").write_text("192.0.2.1")
        self.wait(self.follower.reload(None, str(here)))
        self.apply(b"rules: [{name: listed, sources: {deny: [{file: list}]}}]")
        self.clock.advance(0)
        self.assertEqual((other.standing.wanted, other.standing.version), (2, 1))
        self.assertIn(f"{directory}/list: No such file", other.standing.error)
        shutil.copytree(here, directory)
        self.clock.advance(LOOK_SECONDS)
        self.assertEqual((other.standing.version, other.standing.error), (2, ""))

    def test_beside_a_file(self) -> None:
        """An edge that follows a file refuses, and names it."""
        self.apply(ONE)
        self.apply(TWO)
        file = Path(self.mktemp())
        file.write_bytes(THREE)
        self.wait(self.follower.reload(str(file), "/nowhere"))
        for call in (self.applications.apply(ONE, "p.yaml", NOBODY), self.applications.back(0, NOBODY)):
            self.assertIn(f"change {file}, or take the key policy out of edge.yaml", self.refused(call, EdgeError))
        self.assertEqual(len(self.applications.history()), 2)
        ready = self.apply(ONE, beside_file=True)
        self.assertEqual((ready.version, ready.in_force, ready.error, ready.file), (3, False, "", str(file)))
        self.assertEqual(self.apply(ONE, beside_file=True, is_check=True).file, str(file))
        self.assertEqual(self.follower.standing.version, 0)
        self.wait(self.follower.reload(None, "/nowhere"))
        self.assertEqual(self.follower.standing.version, 3)

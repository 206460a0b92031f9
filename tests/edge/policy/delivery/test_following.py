"""Tests for `warp_twisted.edge.policy.delivery.following`; `tests.system.edge.test_policy` shows it to visitors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.mmdb import database
from tests.edge.policy.test_databases import SAMPLE
from tests.policy.judging.samples import request
from warp_twisted.edge.policy.delivery.closed import RULE as CLOSED
from warp_twisted.edge.policy.delivery.following import LOOK_SECONDS, PolicyFollower, PolicyText
from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.edge.policy.loading import Refused
from warp_twisted.errors import InvalidSettings
from warp_twisted.policy.verdict import Action
from warp_twisted.registry.errors import BadValue, StoreClosed


class PolicyFollowerTests(SynchronousTestCase):
    """`PolicyFollower`."""

    def setUp(self) -> None:
        self.file = Path(self.mktemp())
        self.file.write_text("rules: [{name: first, deny: true}]")
        self.clock = Clock()
        self.policy = PolicyInForce()
        self.follower = PolicyFollower(self.policy, self.clock, execute)

    def rules(self) -> list[str]:
        """Return the names of the rules in force."""
        return [rule.name for rule in self.policy.loaded.compiled.rules] if self.policy.loaded is not None else []

    def test_changes_are_seen(self) -> None:
        """A change is in force at the next look, one that is wrong changes nothing, and its correction is seen."""
        self.follower.begin(str(self.file), "/nowhere")
        self.follower.start()
        self.addCleanup(self.follower.stop)
        for text, rules in (
            ("rules: [{name: second, deny: true}]", ["second"]),
            ("rules: [{name: third, denie: true}]", ["second"]),
            ("rules: [{name: third, deny: true}]", ["third"]),
        ):
            self.file.write_text(text)
            self.clock.advance(LOOK_SECONDS)
            self.assertEqual(self.rules(), rules)
        self.file.unlink()
        self.clock.advance(LOOK_SECONDS)
        self.assertEqual(self.rules(), ["third"])

    def test_a_reload_that_is_refused(self) -> None:
        """The policy, and the file that is followed, stay."""
        self.follower.begin(str(self.file), "/nowhere")
        other = Path(self.mktemp())
        other.write_text("nonsense: 1")
        reloaded = Deferred.fromCoroutine(self.follower.reload(str(other), "/nowhere"))
        self.assertIn(f"policy: {other}: ", str(self.failureResultOf(reloaded, InvalidSettings).value))
        self.file.write_text("rules: [{name: second, deny: true}]")
        self.successResultOf(Deferred.fromCoroutine(self.follower.look()))
        self.assertEqual(self.rules(), ["second"])
        self.successResultOf(Deferred.fromCoroutine(self.follower.reload(None, "/nowhere")))
        self.assertEqual(self.rules(), [])

    def test_an_edge_does_not_begin_without_its_policy(self) -> None:
        """A policy that cannot be used stops the start, with the file's name and the key."""
        self.file.write_text("rules: [{name: x, denie: true}]")
        with self.assertRaisesRegex(InvalidSettings, r"^policy: .*rules\[0\].*denie"):
            self.follower.begin(str(self.file), "/nowhere")

    def test_a_database_that_is_replaced(self) -> None:
        """A new database is in force at the next look; one that is no database leaves the last good one in force."""
        directory = Path(self.mktemp())
        directory.mkdir()
        file = directory / "c.mmdb"
        self.file.write_text(
            "databases: {country: c.mmdb}\nrules: [{name: r, sources: {allow: [{country: [DE]}]}}]",
        )
        file.write_bytes(SAMPLE)
        self.follower.begin(str(self.file), str(directory))
        self.follower.start()
        self.addCleanup(self.follower.stop)
        actions = []
        for content in (SAMPLE, database({"198.51.100.0/24": {"country": {"iso_code": "DE"}}}, 6), b"half of one"):
            file.write_bytes(content)
            self.clock.advance(LOOK_SECONDS)
            program = self.policy.program_for("a.example", "a.example")
            assert program is not None
            actions.append([program.judge(request(address=a), 0.0, 0.0).action for a in ("192.0.2.1", "198.51.100.1")])
        allow, deny = Action.ALLOW, Action.DENY
        self.assertEqual(actions, [[allow, deny], [deny, allow], [deny, allow]])


class _Fleet:
    """The fleet's policy, as a test says it is."""

    def __init__(self) -> None:
        self.number = 0
        self.content: bytes | None = b""
        self.error: Exception | None = None

    async def text(self) -> PolicyText | None:
        """Return it, or fail."""
        if self.error is not None:
            raise self.error
        return PolicyText(number=self.number, content=self.content) if self.content is not None else None

    def put(self, text: str) -> None:
        """Put another version in force."""
        self.number, self.content = self.number + 1, text.encode()


class FleetTests(SynchronousTestCase):
    """The fleet's policy is followed."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.clock = Clock()
        self.policy = PolicyInForce()
        self.compiled = 0
        self.follower = PolicyFollower(self.policy, self.clock, self.in_thread)
        self.fleet = _Fleet()
        self.follower.begin(None, str(self.directory))
        self.addCleanup(self.follower.stop)

    def in_thread(self, function: Callable[[], Any]) -> Deferred[Any]:
        """Run it here, and count what compiles."""
        result: Deferred[Any] = execute(function)
        result.addCallback(self.count)
        return result

    def count(self, result: Any) -> Any:
        """Count what was loaded."""
        self.compiled += isinstance(result, tuple)
        return result

    def join(self) -> None:
        """Begin."""
        self.successResultOf(Deferred.fromCoroutine(self.follower.join(self.fleet)))
        self.follower.start()

    def wake(self) -> None:
        """Say that there is another version."""
        self.follower.wake()
        self.follower.wake()
        self.clock.advance(0)

    def rules(self) -> list[str]:
        """Return the names of the rules in force."""
        return [rule.name for rule in self.policy.loaded.compiled.rules] if self.policy.loaded is not None else []

    def standing(self) -> tuple[int, int]:
        """Return which version is to be in force, and which is."""
        standing = self.follower.standing
        return standing.wanted, standing.version

    def test_without_one(self) -> None:
        """Until there is one everything is allowed; the first is in force at once."""
        self.join()
        self.assertEqual((self.rules(), self.standing()), ([], (0, 0)))
        self.fleet.put("rules: [{name: first}]")
        self.wake()
        self.assertEqual((self.rules(), self.standing()), (["first"], (1, 1)))

    def test_refused(self) -> None:
        """A version that cannot be used leaves the one before, whole, and says why, once, until there is a good one."""
        self.fleet.put("rules: [{name: first}]")
        self.join()
        for text in ("rules: [{name: second}, {name: third, denie: true}]", "version: 2\nrules: 7"):
            self.fleet.put(text)
            self.wake()
            self.clock.advance(LOOK_SECONDS)
            self.assertEqual((self.rules(), self.standing()), (["first"], (self.fleet.number, 1)))
        self.assertEqual(
            self.follower.standing.error,
            "version 3 of the policy: version: 2 is newer than 1, which this release knows; upgrade Warp first",
        )
        self.fleet.put("rules: [{name: fourth}]")
        self.wake()
        self.assertEqual((self.rules(), self.standing(), self.follower.standing.error), (["fourth"], (4, 4), ""))

    def test_a_store_that_is_away(self) -> None:
        """A text that cannot be read is asked for again; what was read goes on."""
        self.fleet.put("rules: [{name: first}]")
        self.join()
        self.fleet.put("rules: [{name: second}]")
        self.fleet.error = StoreClosed("away")
        self.wake()
        self.assertEqual((self.rules(), self.follower.standing.error), (["first"], "away"))
        self.fleet.error = None
        self.clock.advance(LOOK_SECONDS)
        self.assertEqual((self.rules(), self.standing(), self.follower.standing.error), (["second"], (2, 2), ""))

    def test_a_registry_without_it(self) -> None:
        """A policy that is gone from the registry is no reason to go on without."""
        self.fleet.put("rules: [{name: first}]")
        self.join()
        self.fleet.number, self.fleet.content = 0, None
        self.wake()
        self.assertEqual((self.rules(), self.standing()), (["first"], (0, 1)))
        self.assertIn("no policy any more", self.follower.standing.error)

    def test_begun_with_one_that_cannot_be_used(self) -> None:
        """Nobody is let through, until the file that is missing is there."""
        self.fleet.put("rules: [{name: first, sources: {deny: [{file: list}]}}]")
        self.join()
        self.assertEqual((self.rules(), self.standing()), ([CLOSED], (1, 0)))
        (self.directory / "list").write_text("192.0.2.1")
        self.clock.advance(LOOK_SECONDS)
        self.assertEqual((self.rules(), self.standing()), (["first"], (1, 1)))

    def test_begun_with_one_that_cannot_be_read(self) -> None:
        """So it is while the text cannot be read."""
        self.fleet.put("rules: [{name: first}]")
        self.fleet.error = BadValue("damaged")
        self.join()
        self.assertEqual(self.rules(), [CLOSED])
        self.fleet.error = None
        self.clock.advance(LOOK_SECONDS)
        self.assertEqual(self.rules(), ["first"])

    def test_reloads(self) -> None:
        """A file of edge.yaml comes first, then the fleet's policy again; what is wrong changes nothing."""
        self.fleet.put("rules: [{name: first}]")
        self.join()
        file = self.directory / "policy.yaml"
        file.write_text("rules: [{name: own}]")
        directory = str(self.directory)
        self.successResultOf(Deferred.fromCoroutine(self.follower.reload(str(file), directory)))
        self.fleet.put("rules: [{name: second, denie: true}]")
        self.wake()
        self.assertEqual((self.rules(), self.follower.standing.file), (["own"], str(file)))
        refused = Deferred.fromCoroutine(self.follower.reload(None, directory))
        self.assertIn("policy: version 2 of the policy: ", str(self.failureResultOf(refused, InvalidSettings).value))
        self.assertEqual((self.rules(), self.follower.standing.file), (["own"], str(file)))
        self.fleet.put("rules: [{name: third}]")
        self.successResultOf(Deferred.fromCoroutine(self.follower.reload(None, directory)))
        self.assertEqual((self.rules(), self.standing()), (["third"], (3, 3)))

    def test_a_reload_beside_a_version_that_cannot_be_used(self) -> None:
        """It is not refused for that: edge.yaml has nothing to do with it. Another directory without the files is."""
        (self.directory / "list").write_text("192.0.2.1")
        self.fleet.put("rules: [{name: first, sources: {deny: [{file: list}]}}]")
        self.join()
        refused = Deferred.fromCoroutine(self.follower.reload(None, "/nowhere"))
        self.assertIn("/nowhere/list", str(self.failureResultOf(refused, InvalidSettings).value))
        self.fleet.put("rules: [{name: second, denie: true}]")
        self.wake()
        self.successResultOf(Deferred.fromCoroutine(self.follower.reload(None, str(self.directory))))
        self.assertEqual((self.rules(), self.standing()), (["first"], (2, 1)))

    def test_programs_are_there_before(self) -> None:
        """Hostnames that are asked for have their programs when another version is in force, however many rules."""
        self.fleet.put("rules: [{name: first}]")
        self.join()
        for hostname in ("a.example", "b.example", "c.example"):
            self.policy.program_for(hostname, hostname)
        self.fleet.put(
            "rules: [{name: all}, {name: a, match: {hostname: a.example}}, {name: x, match: {hostname: x.example}}]"
        )
        self.wake()
        assert self.policy.loaded is not None
        made = self.policy.loaded.compiled._programs.values()
        self.assertEqual([[rule.name for rule in program.rules] for program in made], [["all"], ["all", "a"]])
        before = set(map(id, made))
        for hostname in ("a.example", "b.example", "c.example"):
            self.assertIn(id(self.policy.program_for(hostname, hostname)), before)

    def test_what_was_judged_is_not_compiled_again(self) -> None:
        """A text that this edge judged, and that then comes from the registry, is put in force as it was compiled."""
        self.join()
        for text, keep, compiled in (("rules: [{name: first}]", True, 1), ("rules: [{name: second}]", False, 2)):
            judged = Deferred.fromCoroutine(self.follower.judge(text.encode(), "p.yaml", keep=keep))
            self.assertEqual(self.successResultOf(judged), 1)
            self.fleet.put(text)
            self.wake()
            self.assertEqual((self.standing(), self.compiled), ((self.fleet.number,) * 2, compiled))
        self.assertEqual(self.rules(), ["second"])
        refused = Deferred.fromCoroutine(self.follower.judge(b"rules: 7", "p.yaml", keep=True))
        self.assertIn("p.yaml: rules: expected", str(self.failureResultOf(refused, Refused).value))
        self.assertEqual(self.rules(), ["second"])

"""Tests of `warp_canary_step`: which splits can be shifted, when a step is taken, and how it ends."""

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.roles.test_modules import loaded

_MODULE = loaded("warp_canary_step")
_CANARY = "release=canary"
_GUARD = {"selector": _CANARY, "verdict": "better", "reason": "errors 0.0%, of the others 0.0%", "action": ""}


def _split(part: float = 0.1, *, target: float | None = None, healthy: int = 4, **guard: object) -> dict[str, Any]:
    """Return what an edge says of a hostname whose canary has a part."""
    shares = [{"selector": "release=stable", "part": 1 - part, "healthy": 4}]
    shares.append({"selector": _CANARY, "part": part, "healthy": healthy})
    shift = None if target is None else {"selector": _CANARY, "part": part, "target": target}
    return {"hostname": "app.warp.example", "shares": shares, "shift": shift, "guard": _GUARD | guard}


class FindTests(SynchronousTestCase):
    """What is refused before anything changes."""

    def refused(self, *splits: dict[str, Any], hostname: str = "app.warp.example") -> str:
        """Return why a hostname cannot be shifted."""
        error = self.assertRaises(_MODULE.Refused, _MODULE.find, list(splits), hostname, _CANARY)
        return str(error)

    def test_found(self) -> None:
        """A split with this share and a guard of it can be shifted."""
        self.assertEqual(_MODULE.find([_split()], "app.warp.example", _CANARY)["hostname"], "app.warp.example")
        self.assertEqual(_MODULE.refusal(_split), "")

    def test_no_split(self) -> None:
        """Without an entry for the hostname it says which have one, and how to put a policy in force."""
        said = self.refused(_split(), hostname="other.warp.example")
        self.assertIn("no split for other.warp.example (hostnames with one: app.warp.example)", said)
        self.assertIn("site.yml --tags=warp_policy", said)
        self.assertIn("(hostnames with one: none)", self.refused())

    def test_no_share(self) -> None:
        """Without the share it names those that there are."""
        split = _split()
        split["shares"].pop()
        self.assertIn("has no share release=canary; its shares are release=stable", self.refused(split))

    def test_no_guard(self) -> None:
        """Without a guard nobody would see that the share does worse; one of another share judges that."""
        self.assertIn("has no guard", self.refused({**_split(), "guard": None}))
        self.assertIn("judges release=stable and not release=canary", self.refused(_split(selector="release=stable")))

    def test_taken_back_before(self) -> None:
        """What the guard took back stays there until an operator resets it."""
        said = _MODULE.refusal(lambda: _split(0.0, action="back", verdict="worse", reason="errors 30%"))
        self.assertIn("found release=canary worse than the others (errors 30%), so it gets nothing any more", said)
        self.assertIn("warp route reset app.warp.example", said)


class StepTests(SynchronousTestCase):
    """One step, on an edge that answers what a test says."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.shifts: list[float] = []
        self.now: dict[str, Any] | Exception = _split()

    def look(self) -> Any:
        """Answer."""
        if isinstance(self.now, Exception):
            raise self.now
        return self.now

    def shift(self, percent: float) -> None:
        """Give the share a part at once."""
        self.shifts.append(percent)
        self.now = _split(percent / 100, target=percent / 100)

    def say(self, at: float, split: dict[str, Any] | Exception) -> None:
        """Let the edge answer something else from an instant on."""
        self.clock.callLater(at, setattr, self, "now", split)

    def take(self, percent: float, *, is_check: bool = False) -> Any:
        """Take a step of 60 s, with a patience of 30 s."""
        step = _MODULE.Step(self.look, self.shift, _CANARY, self.clock.seconds, self.clock.advance)
        return step.take(percent, 60.0, 30.0, is_check=is_check)

    def refused(self, percent: float) -> str:
        """Return why a step did not end well."""
        return str(self.assertRaises(_MODULE.Refused, self.take, percent))

    def test_good(self) -> None:
        """It is shifted, watched for as long as it is to be, and good in the end."""
        changed, said, split = self.take(25)
        self.assertEqual((changed, self.shifts, self.clock.seconds()), (True, [25], 60.0))
        self.assertEqual(said, "release=canary of app.warp.example has 25 %: errors 0.0%, of the others 0.0%")
        self.assertEqual(split["shift"]["target"], 0.25)

    def test_has_as_much(self) -> None:
        """What it has already it is not shifted to again, and is watched all the same: the run before was cut short."""
        self.now = _split(0.25, target=0.25)
        changed, _, _ = self.take(25)
        self.assertEqual((changed, self.shifts, self.clock.seconds()), (False, [], 60.0))

    def test_has_more(self) -> None:
        """A step that is behind it is left out, and so is one to all requests, which it has."""
        for part in (0.5, 1.0):
            self.now = _split(part, target=part)
            changed, said, _ = self.take(25 if part < 1 else 100)
            self.assertEqual((changed, self.shifts, self.clock.seconds()), (False, [], 0.0))
            self.assertIn(f"has {part * 100:g} % already", said)

    def test_shift_that_is_under_way(self) -> None:
        """A shift over some time, which somebody began, is replaced by the step."""
        self.now = _split(0.3, target=1.0)
        changed, _, _ = self.take(25)
        self.assertEqual((changed, self.shifts), (True, [25]))

    def test_check(self) -> None:
        """In check mode it says what it would do, and does nothing."""
        changed, said, _ = self.take(25, is_check=True)
        self.assertEqual((changed, self.shifts, self.clock.seconds()), (True, [], 0.0))
        wanted = "release=canary of app.warp.example would go from 10 % to 25 %, and be watched for 60 s"
        self.assertEqual(said, wanted)
        changed, said, _ = self.take(10, is_check=True)
        self.assertEqual((changed, said), (False, "release=canary of app.warp.example would be watched for 60 s"))

    def test_taken_back(self) -> None:
        """What the guard takes back ends the step at once."""
        self.say(20, _split(0.0, target=0.25, action="back", verdict="worse", reason="errors 30%"))
        said = self.refused(25)
        self.assertIn("worse than the others (errors 30%), so it gets nothing any more", said)
        self.assertEqual((self.shifts, self.clock.seconds()), ([25], 20.0))

    def test_frozen(self) -> None:
        """What the guard freezes, the step takes back."""
        self.say(20, _split(0.25, target=0.25, action="freeze", verdict="worse", reason="errors 30%"))
        self.assertIn("so it gets no more than it had, and this run took it back", self.refused(25))
        self.assertEqual(self.shifts, [25, 0])

    def test_undecided(self) -> None:
        """An undecided guard is waited for; then the step fails, and the share keeps what it has."""
        self.say(5, _split(0.25, target=0.25, verdict="undecided", reason="it had 3 of 100 requests in 60 s"))
        said = self.refused(25)
        self.assertIn("after 90 s the guard of app.warp.example is undecided: it had 3 of 100 requests", said)
        self.assertEqual(self.shifts, [25])

    def test_decided_late(self) -> None:
        """A guard that makes up its mind while it is waited for is good enough."""
        self.say(5, _split(0.25, target=0.25, verdict="undecided"))
        self.say(75, _split(0.25, target=0.25))
        self.assertTrue(self.take(25)[0])
        self.assertEqual(self.clock.seconds(), 75.0)

    def test_somebody_else(self) -> None:
        """When somebody else shifts or resets it meanwhile, the step ends and says so."""
        self.say(5, _split(0.4, target=0.4))
        self.assertIn("somebody else has shifted app.warp.example meanwhile: release=canary has 40 %", self.refused(25))

    def test_no_tunnels(self) -> None:
        """A share that nobody serves is not shifted; one whose agents come a little later is."""
        self.now = _split(healthy=0)
        said = self.refused(25)
        self.assertIn("no agent with release=canary serves app.warp.example, so nothing was shifted", said)
        self.assertEqual(self.shifts, [])
        self.say(10, _split())
        self.assertTrue(self.take(25)[0])

    def test_silent_edge(self) -> None:
        """An edge that does not answer for a while, as while it is restarted, ends nothing; a silent one does."""
        self.say(10, _MODULE.AdminError("no edge answers"))
        self.say(30, _split(0.25, target=0.25))
        self.assertTrue(self.take(25)[0])
        self.now = _MODULE.AdminError("no edge answers")
        self.assertIn("in 60 s the edge did not answer: no edge answers", self.refused(50))

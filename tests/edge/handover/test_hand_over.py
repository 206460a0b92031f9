"""Tests of leading one process through a hand-over."""

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.handover.hand_over import HandOver
from warp_twisted.edge.handover.states import State
from warp_twisted.errors import WarpError
from warp_twisted.keeper.messages import Message


class FakeSteps:
    """Steps that wait until the test lets them go on."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.waiting: Deferred[None] | None = None
        self.drained: Deferred[None] = Deferred()

    async def _step(self, name: str) -> None:
        self.done.append(name)
        self.waiting = Deferred()
        await self.waiting

    async def prepare(self) -> None:
        """Wait."""
        await self._step("prepare")

    async def take(self, tunnels: int) -> None:
        """Wait."""
        await self._step(f"take {tunnels}")

    async def release(self) -> tuple[int, int]:
        """Wait."""
        await self._step("release")
        return 3, 2

    async def move(self) -> None:
        """Note."""
        self.done.append("move")

    async def drain(self) -> "Deferred[None]":
        """Note."""
        self.done.append("drain")
        self.drained = Deferred()
        return self.drained

    async def resume(self) -> None:
        """Wait."""
        await self._step("resume")

    def end(self) -> None:
        """Note."""
        self.done.append("end")


class HandOverTests(SynchronousTestCase):
    """A keeper's words, and what comes of them."""

    def setUp(self) -> None:
        """Begin."""
        self.steps = FakeSteps()
        self.said: list[tuple[str, dict[str, object]]] = []
        self.hand_over = HandOver(self.steps, lambda word, **fields: self.said.append((word, fields)))
        self.serving = self.hand_over.begin()

    def go_on(self, error: Exception | None = None) -> None:
        """Let the step that waits end."""
        waiting, self.steps.waiting = self.steps.waiting, None
        assert waiting is not None
        if error is None:
            waiting.callback(None)
        else:
            waiting.errback(error)

    def hear(self, *words: str) -> None:
        """Hear words of the keeper."""
        for word in words:
            self.hand_over.heard(Message("do", word, {"tunnels": 7} if word == "take" else {}))

    def serve(self) -> None:
        """Get as far as serving."""
        self.go_on()
        self.hear("take")
        self.go_on()
        self.successResultOf(self.serving)

    def words(self) -> list[str]:
        """Return what was said, and forget it."""
        said, self.said = self.said, []
        return [word for word, _ in said]

    def test_whole_life(self) -> None:
        """From preparing to the end: each step is done when it is asked for, and each answer is said."""
        self.assertEqual(self.words(), [])
        self.serve()
        self.assertEqual(self.words(), ["prepared", "serving"])
        self.hear("release")
        self.go_on()
        self.assertEqual(self.said, [("released", {"tunnels": 3, "hostnames": 2})])
        self.hear("move", "drain")
        self.assertEqual(self.steps.done, ["prepare", "take 7", "release", "move", "drain"])
        self.steps.drained.callback(None)
        self.assertEqual((self.hand_over.state, self.steps.done[-1]), (State.ENDED, "end"))

    def test_not_prepared(self) -> None:
        """What cannot be prepared is said to the keeper and to whoever started."""
        self.go_on(WarpError("zone: expected a name"))
        self.assertEqual(self.said, [("failed", {"why": "zone: expected a name"})])
        self.assertIn("expected a name", self.failureResultOf(self.serving, WarpError).getErrorMessage())

    def test_not_taken(self) -> None:
        """So is what cannot be taken, whatever kind of error it is."""
        self.go_on()
        self.hear("take")
        self.go_on(ValueError("a bug"))
        self.assertEqual(self.said[-1], ("failed", {"why": "a bug"}))
        self.failureResultOf(self.serving, ValueError)

    def test_kept(self) -> None:
        """A registry that cannot be handed over keeps the process serving."""
        self.serve()
        self.hear("release")
        self.go_on(WarpError("the disk is full"))
        self.assertEqual(self.said[-1], ("refused", {"why": "the disk is full"}))
        self.assertEqual(self.hand_over.state, State.SERVING)

    def test_resume_while_releasing(self) -> None:
        """A resume waits for the release before it, which nobody hears of any more."""
        self.serve()
        self.words()
        self.hear("release", "resume")
        self.assertEqual(self.steps.done[-1], "release")
        self.go_on()
        self.assertEqual((self.steps.done[-1], self.words()), ("resume", []))
        self.go_on()
        self.assertEqual((self.hand_over.state, self.words()), (State.SERVING, ["resumed"]))

    def test_resume_while_draining(self) -> None:
        """The end of a drain that was called off means nothing; the next one counts."""
        self.serve()
        for _ in range(2):
            self.hear("release")
            self.go_on()
            self.hear("drain")
            first = self.steps.drained
            self.hear("resume")
            self.go_on()
            first.callback(None)
            self.assertEqual(self.hand_over.state, State.SERVING)

    def test_out_of_turn(self) -> None:
        """A word that the state does not take is refused and changes nothing."""
        self.serve()
        self.hear("take")
        self.assertEqual(self.said[-1], ("refused", {"why": "a process that is serving does not take 'take'"}))
        self.assertEqual(self.hand_over.state, State.SERVING)

    def test_keeper_lost(self) -> None:
        """Without its keeper a process ends, once."""
        self.serve()
        self.hand_over.keeper_lost()
        self.hand_over.keeper_lost()
        self.assertEqual(self.steps.done[-2:], ["take 7", "end"])

"""Tests of the table of states of a hand-over: every event in every state, and each story from first to last."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.keeper.actions import (
    Action,
    End,
    Event,
    Exit,
    Launch,
    Outcome,
    Phase,
    Ready,
    Renew,
    Start,
    Tell,
    Wait,
)
from warp_twisted.keeper.handover import TABLE, Handover
from warp_twisted.keeper.messages import Message
from warp_twisted.keeper.times import (
    END_SECONDS,
    MAX_DRAINING,
    MAX_PAUSE_SECONDS,
    PREPARE_SECONDS,
    RELEASE_SECONDS,
    REPLACE_SECONDS,
    STEADY_SECONDS,
    TAKE_SECONDS,
    WATCH_SECONDS,
    take_seconds,
)

FIRST = Launch("/1/bin/python", ("/1/bin/twistd", "warp-edge"))
SECOND = Launch("/2/bin/python", ("/2/bin/twistd", "warp-edge"))
ENDED = "it ended with status 1, and its own lines in the log say why"
WORDS = ("prepared", "released", "serving", "failed", "refused", "resumed")


def said(word: str, **fields: int | str) -> Message:
    """Return what a process says."""
    return Message("is", word, fields)


def told(actions: Sequence[Action]) -> list[tuple[int, str]]:
    """Return who is told what."""
    return [(action.child, action.message.word) for action in actions if isinstance(action, Tell)]


def outcome(actions: Sequence[Action]) -> Outcome | None:
    """Return how a hand-over ended, if it did."""
    return next((action for action in actions if isinstance(action, Outcome)), None)


class Story:
    """One keeper, with a clock that stands still unless it is moved."""

    def __init__(self) -> None:
        self.handover = Handover(launch=FIRST)
        self.now = 0.0

    def serve(self) -> "Story":
        """Have the first process serve: number 1."""
        self.handover.begin()
        self.say(1, "prepared")
        self.say(1, "serving")
        return self

    def say(self, child: int, word: str, **fields: int | str) -> list[Action]:
        """Have a process say a word."""
        return self.handover.say(child, said(word, **fields), self.now)

    def ask(self, launch: Launch | None = None) -> list[Action]:
        """Ask for a hand-over."""
        return self.handover.ask(launch, self.now)

    def end(self, child: int, how: str = "status 0") -> list[Action]:
        """Have a process end."""
        return self.handover.end(child, how, self.now)

    def reach(self, phase: Phase, launch: Launch | None = None) -> "Story":
        """Go on with a hand-over from 1 to 2 up to a phase."""
        self.serve().ask(launch)
        if phase is not Phase.PREPARING:
            self.say(2, "prepared")
        if phase in (Phase.TAKING, Phase.WATCHING):
            self.say(1, "released", tunnels=3, hostnames=4)
        if phase is Phase.WATCHING:
            self.say(2, "serving")
        return self

    def pause(self) -> "Story":
        """Have two processes serve and end, 1 and 2, so that there is a pause before the third."""
        self.serve().end(1)
        self.say(2, "prepared")
        self.say(2, "serving")
        self.end(2)
        return self

    def hand_over(self, old: int, new: int) -> list[Action]:
        """Hand over from one to another; return what follows when it serves."""
        self.ask()
        self.say(new, "prepared")
        self.say(old, "released")
        actions = self.say(new, "serving")
        self.handover.time_is_up(self.now)
        return actions


class StartTests(SynchronousTestCase):
    """The first process."""

    def test_start(self) -> None:
        """It prepares, is told to take, and serves; from then on the service is ready."""
        story = Story()
        self.assertEqual(story.handover.begin(), [Start(1, FIRST), Wait(PREPARE_SECONDS)])
        actions = story.say(1, "prepared")
        self.assertEqual(told(actions), [(1, "take")])
        self.assertIn(Wait(TAKE_SECONDS), actions)
        actions = story.say(1, "serving")
        self.assertIn(Ready(), actions)
        self.assertIn(Wait(None), actions)
        self.assertEqual((story.handover.phase, story.handover.serving), (Phase.SERVING, 1))

    def test_failed_start(self) -> None:
        """One that ends before it serves ends the keeper with status 1, so that systemd sees it; the reason is told."""
        story = Story()
        story.handover.begin()
        story.say(1, "failed", why="zone: expected a name")
        actions = story.end(1, "status 1")
        self.assertIn(Exit(1), actions)
        self.assertEqual(outcome(actions), Outcome("the process does not serve: zone: expected a name", False))

    def test_slow_start(self) -> None:
        """One that does not get ready is killed, and counts as failed."""
        story = Story()
        story.handover.begin()
        self.assertIn(End(1, 0), story.handover.time_is_up(0))
        self.assertIn(Exit(1), story.end(1, "signal SIGKILL"))

    def test_process_that_knows_nothing_of_hand_overs(self) -> None:
        """It serves when it says that it is ready, and ends before another starts; should that fail, it comes back."""
        story = Story()
        story.handover.begin()
        self.assertIn(Ready(), story.handover.serve_plainly(1, 0))
        self.assertIn(End(1, REPLACE_SECONDS), story.ask(SECOND))
        self.assertEqual(story.ask(), [])
        self.assertIn(Start(2, SECOND), story.end(1))
        actions = story.end(2, "status 1")
        self.assertEqual(outcome(actions), Outcome(f"the process does not serve: {ENDED}", False))
        self.assertIn(Start(3, FIRST), actions)
        self.assertEqual(story.handover.phase, Phase.STARTING)

    def test_ready_before_serving(self) -> None:
        """One that is prepared serves when it says so on its line, not when systemd is told something."""
        story = Story()
        story.handover.begin()
        story.say(1, "prepared")
        self.assertEqual(story.handover.serve_plainly(1, 0), [])
        self.assertEqual(story.handover.phase, Phase.STARTING)


class HandOverTests(SynchronousTestCase):
    """From one process to the next."""

    def test_many_tunnels(self) -> None:
        """The more tunnels are to move the more time there is, up to a limit; the old process serves meanwhile."""
        story = Story().serve()
        story.ask(SECOND)
        story.say(2, "prepared")
        self.assertEqual(story.say(1, "released", tunnels=2_000)[-1], Wait(TAKE_SECONDS + 200))

    def test_whole(self) -> None:
        """Each step follows from the one before, and the old process drains only when the new one serves."""
        story = Story().serve()
        actions = story.ask(SECOND)
        self.assertEqual((actions[0], actions[-1]), (Start(2, SECOND), Wait(PREPARE_SECONDS)))
        actions = story.say(2, "prepared")
        self.assertEqual((told(actions), actions[-1]), ([(1, "release")], Wait(RELEASE_SECONDS)))
        actions = story.say(1, "released", tunnels=3, hostnames=4)
        self.assertEqual((told(actions), actions[-1]), ([(2, "take"), (1, "move")], Wait(take_seconds(3))))
        self.assertEqual(actions[0], Tell(2, Message("do", "take", {"tunnels": 3, "hostnames": 4})))
        actions = story.say(2, "serving")
        self.assertEqual((told(actions), actions[-1]), ([(1, "drain")], Wait(WATCH_SECONDS)))
        self.assertIn(Ready(), actions)
        actions = story.handover.time_is_up(0)
        self.assertEqual(outcome(actions), Outcome("handed over", True, 1, 2))
        self.assertIn(Renew(SECOND), actions)
        self.assertEqual((story.handover.serving, story.handover.draining), (2, [1]))
        self.assertEqual((story.end(1), story.handover.draining), ([], []))

    def test_successor_that_ends(self) -> None:
        """Before it serves, the old one resumes if it had released anything; the reason is told."""
        for phase, resumed in (
            (Phase.PREPARING, []),
            (Phase.RELEASING, [(1, "resume")]),
            (Phase.TAKING, [(1, "resume")]),
        ):
            story = Story().reach(phase, SECOND)
            actions = story.end(2, "status 1")
            self.assertEqual(told(actions), resumed)
            self.assertEqual(
                outcome(actions),
                Outcome(f"the new process does not serve: {ENDED}. The old one serves on", False),
            )
            self.assertEqual((story.handover.phase, story.handover.serving), (Phase.SERVING, 1))
            self.assertEqual(story.handover.launch, FIRST)

    def test_successor_that_takes_too_long(self) -> None:
        """It is killed, and only when it is gone, and all that it held, the old one resumes."""
        for phase, resumed in (
            (Phase.PREPARING, []),
            (Phase.RELEASING, [(1, "resume")]),
            (Phase.TAKING, [(1, "resume")]),
        ):
            story = Story().reach(phase)
            actions = story.handover.time_is_up(0)
            self.assertEqual((told(actions), actions[0]), ([], End(2, 0)))
            self.assertEqual(told(story.end(2, "signal SIGKILL")), resumed)
            self.assertEqual(story.handover.phase, Phase.SERVING)

    def test_successor_that_talks_nonsense(self) -> None:
        """It is killed, and the old one resumes."""
        story = Story().reach(Phase.RELEASING)
        self.assertIn(End(2, 0), story.handover.spoil(2, "a message that is no JSON", 0))
        ended = outcome(story.end(2, "signal SIGKILL"))
        self.assertIn("a message that is no JSON", ended.what if ended else "")

    def test_old_one_that_cannot_release(self) -> None:
        """The successor is ended, and the old one goes on without being told anything; its reason is passed on."""
        story = Story().reach(Phase.RELEASING)
        self.assertIn(End(2, 0), story.say(1, "refused", why="the disk is full"))
        actions = story.end(2, "signal SIGKILL")
        self.assertEqual(told(actions), [])
        ended = outcome(actions)
        self.assertIn("the disk is full", ended.what if ended else "")

    def test_successor_that_ends_within_the_watch(self) -> None:
        """The old one, which still drains, resumes; what is started from now on is the old release."""
        story = Story().reach(Phase.WATCHING, SECOND)
        actions = story.end(2, "signal SIGKILL")
        self.assertEqual(told(actions), [(1, "resume")])
        self.assertEqual((story.handover.serving, story.handover.draining), (1, []))
        self.assertEqual((story.handover.phase, story.handover.launch), (Phase.SERVING, FIRST))

    def test_both_end_within_the_watch(self) -> None:
        """Another process of the old release is started, also while one from before drains."""
        story = Story().serve()
        story.hand_over(1, 2)
        story.ask(SECOND)
        story.say(3, "prepared")
        story.say(2, "released")
        story.say(3, "serving")
        story.end(2)
        self.assertIn(Start(4, FIRST), story.end(3, "signal SIGKILL"))
        self.assertEqual((story.handover.phase, story.handover.draining), (Phase.STARTING, [1]))

    def test_old_one_that_ends(self) -> None:
        """The successor goes on, and is told to take if it was not yet."""
        for phase, takes in ((Phase.PREPARING, False), (Phase.RELEASING, True), (Phase.TAKING, False)):
            story = Story().reach(phase, SECOND)
            self.assertEqual(told(story.end(1, "signal SIGKILL")), [(2, "take")] if takes else [])
            if phase is Phase.PREPARING:
                self.assertEqual(told(story.say(2, "prepared")), [(2, "take")])
            actions = story.say(2, "serving")
            self.assertIn(Ready(), actions)
            self.assertIn(Renew(SECOND), actions)
            self.assertEqual((story.handover.phase, story.handover.serving), (Phase.SERVING, 2))

    def test_both_end(self) -> None:
        """The old one and then the successor that could not be ended in time: another is started as before."""
        story = Story().reach(Phase.TAKING, SECOND)
        story.handover.time_is_up(0)
        story.end(1)
        self.assertIn(Start(3, FIRST), story.end(2))

    def test_too_many_drain(self) -> None:
        """Of more old processes than may drain, the oldest is asked to end and killed if it does not."""
        story = Story().serve()
        for old in range(1, MAX_DRAINING + 1):
            self.assertNotIn(End(1, END_SECONDS), story.hand_over(old, old + 1))
        self.assertIn(End(1, END_SECONDS), story.hand_over(MAX_DRAINING + 1, MAX_DRAINING + 2))

    def test_one_at_a_time(self) -> None:
        """During a hand-over, and while the successor is watched, there is no other."""
        for phase in (Phase.PREPARING, Phase.RELEASING, Phase.TAKING, Phase.WATCHING):
            story = Story().reach(phase)
            self.assertFalse(story.handover.is_settled)
            self.assertEqual(story.ask(), [])


class EndTests(SynchronousTestCase):
    """A serving process that ends without being asked, and the end of everything."""

    def test_another_is_started(self) -> None:
        """At once, and with longer and longer pauses if it happens again and again; one that was steady counts anew."""
        story = Story().serve()
        pauses = []
        for number in range(1, 12):
            actions = story.end(number, "signal SIGKILL")
            pauses += [action.seconds for action in actions if isinstance(action, Wait)]
            if story.handover.phase is Phase.PAUSED:
                self.assertIn(Start(number + 1, FIRST), story.handover.time_is_up(story.now))
            story.say(number + 1, "prepared")
            story.say(number + 1, "serving")
        self.assertEqual((pauses[:5], pauses[-1]), ([PREPARE_SECONDS, 1.0, 2.0, 4.0, 8.0], MAX_PAUSE_SECONDS))
        story.now += STEADY_SECONDS + 1
        self.assertIn(Start(13, FIRST), story.end(12))

    def test_asked_during_a_pause(self) -> None:
        """A hand-over that is asked for while nobody serves is a start of what was asked for, at once."""
        story = Story().pause()
        self.assertIn(Start(3, SECOND), story.ask(SECOND))

    def test_failed_start_while_others_drain(self) -> None:
        """The keeper stays for those who still have something to finish, and tries again."""
        story = Story().serve()
        story.hand_over(1, 2)
        story.end(2)
        actions = story.end(3, "status 1")
        self.assertFalse(any(isinstance(action, Exit) for action in actions))
        self.assertEqual(story.handover.phase, Phase.PAUSED)

    def test_stop(self) -> None:
        """Everybody is asked to end, and when all have, the keeper does; in every phase."""
        for phase in (Phase.PREPARING, Phase.RELEASING, Phase.TAKING, Phase.WATCHING):
            story = Story().reach(phase)
            actions = story.handover.stop(0)
            self.assertEqual({action.child for action in actions if isinstance(action, End)}, {1, 2})
            self.assertNotIn(Exit(0), story.end(2))
            self.assertIn(Exit(0), story.end(1))

    def test_stop_of_nothing(self) -> None:
        """During a pause there is nobody to wait for."""
        self.assertIn(Exit(0), Story().pause().handover.stop(0))


class TableTests(SynchronousTestCase):
    """Every event in every phase."""

    def test_table_is_whole(self) -> None:
        """Each event has its place in each phase, if only to be of no consequence."""
        self.assertEqual(set(TABLE), {(phase, event) for phase in Phase for event in Event})

    @settings(max_examples=300)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["say", "end", "time", "ask", "plain", "spoil"]),
                st.integers(0, 3),
                st.sampled_from(WORDS),
            ),
            max_size=60,
        )
    )
    def test_whatever_happens(self, events: list[tuple[str, int, str]]) -> None:
        """Whatever processes say and do, what only one may hold is held by one, and one serves or will."""
        handover = Handover(launch=FIRST)
        holds: set[int] = set()
        alive: list[int] = []
        asked_to_release: set[int] = set()

        def look(actions: list[Action]) -> bool:
            for action in actions:
                if isinstance(action, Start):
                    alive.append(action.child)
                elif isinstance(action, Tell) and action.message.word in ("take", "resume"):
                    self.assertEqual(holds - {action.child}, set())
                    holds.add(action.child)
                elif isinstance(action, Tell) and action.message.word == "release":
                    asked_to_release.add(action.child)
                elif isinstance(action, Exit):
                    return True
            return False

        look(handover.begin())
        for what, who, word in events:
            child = alive[who % len(alive)]
            if what == "say":
                if word == "released":
                    if child not in asked_to_release:
                        continue
                    holds.discard(child)
                is_over = look(handover.say(child, said(word), 0))
            elif what == "end":
                alive.remove(child)
                holds.discard(child)
                is_over = look(handover.end(child, "status 1", 0))
            elif what == "plain":
                is_over = look(handover.serve_plainly(child, 0))
            elif what == "spoil":
                is_over = look(handover.spoil(child, "nonsense", 0))
            else:
                is_over = look(handover.time_is_up(0) if what == "time" else handover.ask(SECOND, 0))
            if is_over:
                return
            self.assertEqual(sorted(handover.children), sorted(alive))
            both = handover.serving is not None, handover.successor is not None
            self.assertIn(both, EXPECTED[handover.phase])
            if not alive:
                look(handover.time_is_up(0))


EXPECTED = {
    Phase.STARTING: {(False, True)},
    Phase.SERVING: {(True, False)},
    Phase.PREPARING: {(True, True)},
    Phase.RELEASING: {(True, True)},
    Phase.TAKING: {(True, True)},
    Phase.WATCHING: {(True, False)},
    Phase.GOING_BACK: {(True, True), (False, True)},
    Phase.REPLACING: {(True, False)},
    Phase.PAUSED: {(False, False)},
    Phase.STOPPING: {(False, False)},
}

"""`tunnel.turns`: one delayed call for everything a turn asked for."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.tunnel.turns import Turn


class TurnTests(SynchronousTestCase):
    """`Turn.at_end`."""

    def test_all_in_one_call(self) -> None:
        """Functions are called in order, once, by one delayed call of the reactor."""
        clock = Clock()
        turn = Turn(clock)
        heard: list[str] = []
        turn.at_end(lambda: heard.append("a"))
        turn.at_end(lambda: heard.append("b"))
        self.assertEqual((heard, len(clock.getDelayedCalls())), ([], 1))
        clock.advance(0)
        self.assertEqual((heard, clock.getDelayedCalls()), (["a", "b"], []))

    def test_asked_while_called(self) -> None:
        """What a function asks for comes after everything that was asked for before, in a call of its own."""
        clock = Clock()
        turn = Turn(clock)
        heard: list[str] = []
        turn.at_end(lambda: turn.at_end(lambda: heard.append("later")))
        turn.at_end(lambda: heard.append("now"))
        clock.advance(0)
        self.assertEqual(heard, ["now", "later"])

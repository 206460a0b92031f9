"""Tests of who stays: the tunnel that is there and answers."""

from collections.abc import Callable
from time import perf_counter
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.agents.incumbents import ANSWER_SECONDS, WARN_SECONDS, Incumbents
from warp_twisted.edge.agents.offers import Offer
from warp_twisted.edge.agents.registrations import EdgeTunnel, Registrations
from warp_twisted.edge.errors import OfferRefused
from warp_twisted.tunnel import TunnelProtocol
from warp_twisted.tunnel.step_queue import SLICE_SECONDS
from warp_twisted.wire.control import ControlMessage, Notice


class AskedProtocol:
    """A tunnel that answers a ping when the test says so."""

    is_over = False
    has_hung_up = False

    def __init__(self) -> None:
        self.asked: list[Callable[[], None]] = []
        self.told: list[ControlMessage] = []

    def ping(self, answered: Callable[[], None]) -> None:
        """Remember who asks."""
        self.asked.append(answered)

    def send_control(self, message: ControlMessage) -> bool:
        """Remember what the agent is told."""
        self.told.append(message)
        return True


class IncumbentsTests(SynchronousTestCase):
    """One agent, and what registers in its name."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.table = Registrations()
        self.incumbents = Incumbents(self.clock, self.table)

    def registered(self, slot: int = 0, session: str = "first", *, is_draining: bool = False) -> AskedProtocol:
        """Let a tunnel be there."""
        protocol = AskedProtocol()
        self.table.add(
            EdgeTunnel(
                id=f"t-{session}-{slot}", agent="a-1", slot=slot, session=session, software="", address="192.0.2.7",
                protocol=cast(TunnelProtocol, protocol), offer=Offer((), {}), registered_at=0.0, ends_at=1.0,
                is_draining=is_draining,
            )
        )  # fmt: skip
        return protocol

    def make_way(self, slot: int = 0, session: str = "later") -> "Deferred[None]":
        """Let another tunnel want its place."""
        return Deferred.fromCoroutine(self.incumbents.make_way("a-1", slot, session, "192.0.2.9"))

    def test_nobody_there(self) -> None:
        """Without an incumbent nobody waits, nor for a tunnel of the same run in another slot."""
        self.successResultOf(self.make_way())
        self.registered(slot=0)
        self.successResultOf(self.make_way(slot=1, session="first"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_all_silent(self) -> None:
        """Incumbents that do not answer within a second make way, and an answer that comes later changes nothing."""
        protocols = [self.registered(slot) for slot in range(3)]
        waiting = self.make_way()
        self.clock.advance(ANSWER_SECONDS - 0.01)
        self.assertNoResult(waiting)
        self.clock.advance(0.01)
        self.successResultOf(waiting)
        for protocol in protocols:
            protocol.asked[0]()

    def test_all_hung_up(self) -> None:
        """Incumbents whose agent hung up, and that wait for their end among many, make way without being asked."""
        for slot in range(3):
            self.registered(slot).has_hung_up = True
        self.successResultOf(self.make_way())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_answers(self) -> None:
        """One incumbent that answers is enough, whatever its slot; it is asked nothing more."""
        protocols = [self.registered(slot) for slot in range(3)]
        waiting = self.make_way()
        protocols[2].asked[0]()
        refusal = self.failureResultOf(waiting, OfferRefused).value
        self.assertEqual((refusal.code, refusal.retry), ("copied", False))
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_both_operators_are_told(self) -> None:
        """The agent that stays hears of the copy, and where it is, once in ten minutes however often that tries."""
        protocol = self.registered()
        for _ in range(3):
            waiting = self.make_way()
            protocol.asked.pop()()
            self.clock.advance(0)  # a machine that is busy lets answers wait for another turn
            self.failureResultOf(waiting, OfferRefused)
        (notice,) = protocol.told
        assert isinstance(notice, Notice)
        self.assertEqual(notice.code, "copied")
        self.assertIn("a copy of this agent's identity at 192.0.2.9 was refused", notice.text)
        self.clock.advance(WARN_SECONDS)
        waiting = self.make_way()
        protocol.asked.pop()()
        self.failureResultOf(waiting, OfferRefused)
        self.assertEqual(len(protocol.told), 2)

    def test_many_wait(self) -> None:
        """Of many who hear at once that an incumbent answers, each is refused in its turn, some in a turn."""
        protocol = self.registered()
        refused: list[OfferRefused] = []

        def take_long(failure: Failure) -> None:
            refused.append(cast(OfferRefused, failure.value))
            ends_at = perf_counter() + SLICE_SECONDS / 2
            while perf_counter() < ends_at:
                pass

        for number in range(10):
            self.make_way(session=str(number)).addErrback(take_long)
        for answered in protocol.asked:
            answered()
        self.assertIn(len(refused), (1, 2))  # the others in later turns
        self.clock.advance(0)
        self.assertEqual((len(refused), self.clock.getDelayedCalls()), (10, []))

    def test_same_run(self) -> None:
        """A clone of a running machine has even the session; who holds the slot and answers stays."""
        protocol = self.registered()
        waiting = self.make_way(session="first")
        protocol.asked[0]()
        self.failureResultOf(waiting, OfferRefused)

    def test_leaving(self) -> None:
        """A tunnel that its agent is draining makes way at once: a new process may take over from one that stops."""
        self.registered(is_draining=True)
        self.successResultOf(self.make_way())

    def test_ended_meanwhile(self) -> None:
        """An incumbent that answered and ended in the same moment is in nobody's way."""
        protocol = self.registered()
        waiting = self.make_way()
        protocol.is_over = True
        protocol.asked[0]()
        self.successResultOf(waiting)

    def test_race(self) -> None:
        """Of two that wait for the same dead tunnel, the second finds the first and asks it as well."""
        self.registered()
        first, second = self.make_way(session="one"), self.make_way(session="two")
        first.addCallback(lambda _: winners.append(self.registered(session="one")))
        winners: list[AskedProtocol] = []
        self.clock.advance(ANSWER_SECONDS)
        self.assertNoResult(second)
        winners[0].asked[0]()
        self.failureResultOf(second, OfferRefused)

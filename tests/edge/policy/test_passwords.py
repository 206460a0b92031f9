"""Tests for `warp_twisted.edge.policy.passwords`."""

from threading import Event

from twisted.internet.defer import gatherResults

from tests.case import AsyncTestCase, reactor
from warp_twisted.edge.policy import passwords as module
from warp_twisted.edge.policy.passwords import MAX_WAITING, MAX_WAITING_OF_NETWORK, TOLD_AT_ONCE, Passwords
from warp_twisted.policy.authentication.basic import BasicCheck
from warp_twisted.policy.interfaces import Answer, Identity, Outcome, Question

PROVEN = Answer(Outcome.PROVEN, Identity("basic", "ann"))


class HeldCheck(BasicCheck):
    """Hashes when the test says so."""

    def __init__(self, asker: str | None = None) -> None:
        super().__init__("w.basic", "Warp", {}, asker=asker)
        self.may_end = Event()
        self.asked: list[Question] = []

    def is_right(self, question: Question) -> Answer:
        """Wait, in a thread."""
        self.asked.append(question)
        self.may_end.wait(10)
        if question.secret == b"breaks":
            raise RuntimeError("broken")
        return PROVEN


def question(secret: bytes) -> Question:
    """Return a question."""
    return Question("basic", "w.basic", secret)


class PasswordsTests(AsyncTestCase):
    """`Passwords.answer`."""

    async def prepare(self) -> None:
        self.passwords = Passwords(reactor, reactor.seconds)
        self.passwords.start()
        self.check = HeldCheck()
        self.addCleanup(self.passwords.stop)
        self.addCleanup(self.check.may_end.set)

    async def test_equal_questions_are_hashed_once(self) -> None:
        """Who asks the same is answered by the same hash."""
        waiting = [self.passwords.answer(question(b"a"), self.check, "192.0.2.1") for _ in range(5)]
        self.check.may_end.set()
        self.assertEqual(await gatherResults(waiting), [PROVEN] * 5)
        self.assertEqual((len(self.check.asked), self.passwords.checked), (1, 1))

    async def test_many_who_ask_the_same(self) -> None:
        """They are answered in several turns, as each of them goes on with its request."""
        waiting = [self.passwords.answer(question(b"a"), self.check, "192.0.2.1") for _ in range(MAX_WAITING)]
        turns = [0]

        def answered(answer: Answer) -> None:
            if not turns[-1]:
                reactor.callLater(0, turns.append, 0)
            turns[-1] += 1

        for each in waiting:
            each.addCallback(answered)
        self.check.may_end.set()
        await gatherResults(waiting)
        self.assertEqual((sum(turns), max(turns)), (MAX_WAITING, TOLD_AT_ONCE))

    async def test_other_users(self) -> None:
        """Who asks once a file of users has changed is not answered by the file before it."""
        removed = BasicCheck("w.basic", "Warp", {})
        before = self.passwords.answer(question(b"YW5uOng="), self.check, "192.0.2.1")
        after = self.passwords.answer(question(b"YW5uOng="), removed, "192.0.2.1")
        self.check.may_end.set()
        self.assertEqual(await before, PROVEN)
        self.assertEqual((await after).outcome, Outcome.REFUSED)

    async def test_an_asker_waits_for_itself(self) -> None:
        """Of what one agent has hashed, by all its lists of users, a bounded part waits: it leaves room for others."""
        passwords = Passwords(reactor, reactor.seconds, threads=1, of_asker=2)
        passwords.start()
        self.addCleanup(passwords.stop)
        checks = [HeldCheck("a-1"), HeldCheck("a-1"), HeldCheck("a-1")]
        other = HeldCheck("a-2")
        for each in (*checks, other):
            self.addCleanup(each.may_end.set)
        waiting = [passwords.answer(question(b"%d" % n), check, f"192.0.2.{n}") for n, check in enumerate(checks)]
        self.assertEqual((await waiting[2]).outcome, Outcome.BUSY)
        beside = passwords.answer(question(b"a"), other, "192.0.2.1")
        for each in (*checks, other):
            each.may_end.set()
        self.assertEqual([await waiting[0], await waiting[1], await beside], [PROVEN] * 3)
        self.assertEqual((await passwords.answer(question(b"9"), checks[2], "192.0.2.9")), PROVEN)

    async def test_a_network_waits_for_itself(self) -> None:
        """A network has a share of the queue; beyond it, and beyond the queue, the answer is that it is busy."""
        self.patch(module, "MAX_WAITING", MAX_WAITING_OF_NETWORK + 1)
        waiting = [
            self.passwords.answer(question(b"%d" % number), self.check, "192.0.2.1")
            for number in range(MAX_WAITING_OF_NETWORK)
        ]
        busy = await self.passwords.answer(question(b"more"), self.check, "192.0.2.1")
        self.assertEqual(busy.outcome, Outcome.BUSY)
        waiting.append(self.passwords.answer(question(b"other"), self.check, "192.0.2.2"))
        busy = await self.passwords.answer(question(b"third"), self.check, "192.0.2.3")
        self.assertEqual((busy.outcome, self.passwords.turned_away), (Outcome.BUSY, 2))
        self.check.may_end.set()
        self.assertEqual(await gatherResults(waiting), [PROVEN] * len(waiting))
        self.assertEqual(await self.passwords.answer(question(b"again"), self.check, "192.0.2.1"), PROVEN)

    async def test_a_failure_is_told(self) -> None:
        """An error reaches who asked, and the next question is answered."""
        self.check.may_end.set()
        await self.assertFailure(self.passwords.answer(question(b"breaks"), self.check, "192.0.2.1"), RuntimeError)
        self.assertEqual(await self.passwords.answer(question(b"a"), self.check, "192.0.2.1"), PROVEN)

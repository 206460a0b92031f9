"""Tests of how long name servers are asked, and how many; that they are asked is tested in tests/system/cli."""

from collections.abc import Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_base.reactor import as_reactor
from warp_twisted.agent.events import NameUnanswered
from warp_twisted.cli.expose.name_servers import MAX_ADDRESSES, MAX_AT_ONCE, unanswered

NAME = "app.warp.example"
SERVERS = {"ns1.warp.example": ["192.0.2.1:53"], "ns2.warp.example": ["192.0.2.2:53", "[2001:db8::2]:53"]}


class UnansweredTests(SynchronousTestCase):
    """Servers that the test plays."""

    def setUp(self) -> None:
        """Nobody answers yet."""
        self.clock = Clock()
        self.asked: list[tuple[str, str]] = []
        self.answers: dict[str, str] = {}

    def ask(self, address: str, hostname: str) -> Deferred[str]:
        """Answer as the test says."""
        self.asked.append((address, hostname))
        return succeed(self.answers.get(address, "NXDOMAIN"))

    def wait(self, hostnames: Sequence[str] = (NAME,), seconds: float = 10) -> Deferred[list[NameUnanswered]]:
        """Begin to wait."""
        return Deferred.fromCoroutine(unanswered(as_reactor(self.clock), self.ask, hostnames, SERVERS, seconds))

    def test_every_address_of_every_server(self) -> None:
        """It ends when each address of each server answers; one that does is not asked again."""
        self.answers = {"192.0.2.1:53": "", "192.0.2.2:53": ""}
        waiting = self.wait()
        self.clock.pump([0.1] * 20)
        self.assertNoResult(waiting)
        self.assertEqual(self.asked.count(("192.0.2.1:53", NAME)), 1)
        self.answers["[2001:db8::2]:53"] = ""
        self.clock.advance(1)
        self.assertEqual(self.successResultOf(waiting), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_ends_in_time(self) -> None:
        """After its time it says which address does not answer, and what it says; it is asked once a second then."""
        self.answers = {"192.0.2.1:53": "", "192.0.2.2:53": ""}
        waiting = self.wait()
        self.clock.pump([0.1] * 101)
        missing = NameUnanswered(
            hostname=NAME, server="ns2.warp.example", address="[2001:db8::2]:53", answer="NXDOMAIN"
        )
        self.assertEqual(self.successResultOf(waiting), [missing])
        self.assertLess(len(self.asked), 2 + 14)

    def test_silent_servers(self) -> None:
        """So many questions are open at once, whoever does not answer; what is not asked in time is said as well."""
        open_ones: list[Deferred[str]] = []

        def ask(address: str, hostname: str) -> Deferred[str]:
            open_ones.append(Deferred())
            return open_ones[-1]

        hostnames = [f"app{number}.warp.example" for number in range(10)]
        waiting = Deferred.fromCoroutine(unanswered(as_reactor(self.clock), ask, hostnames, SERVERS, 10))
        self.assertEqual(len(open_ones), MAX_AT_ONCE)
        self.clock.advance(10)
        for each in list(open_ones):
            each.callback("no answer")
        self.assertEqual(len(open_ones), MAX_AT_ONCE)
        self.clock.advance(0)
        answers = [missing.answer for missing in self.successResultOf(waiting)]
        self.assertEqual(sorted(answers), ["it was not asked in time"] * 14 + ["no answer"] * 16)

    def test_many_addresses(self) -> None:
        """Of all addresses so many are asked."""
        many = {"ns1.warp.example": [f"192.0.2.{number}:53" for number in range(100)]}
        waiting = Deferred.fromCoroutine(unanswered(as_reactor(self.clock), self.ask, [NAME], many, 0.01))
        self.clock.advance(1)
        self.assertEqual(len(self.successResultOf(waiting)), MAX_ADDRESSES)

    def test_cancelled(self) -> None:
        """Nothing is asked any more."""
        waiting = self.wait()
        waiting.cancel()
        self.failureResultOf(waiting)
        asked = len(self.asked)
        self.clock.advance(1)
        self.assertEqual((len(self.asked), self.clock.getDelayedCalls()), (asked, []))

"""Tests of look-ups in steps."""

from collections.abc import Iterator
from random import Random
from time import process_time

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeTunnel
from warp_twisted.edge.refusals import PATH_TOO_LONG
from warp_twisted.edge.routes.counters import DataPathMetrics, HostCounters
from warp_twisted.edge.routes.route import Route
from warp_twisted.edge.routes.rules import LARGEST_PRICE, LONGEST_PATH, PathRule
from warp_twisted.edge.routes.search import FREE_PRICE, STEP_PRICE, Candidate, Search
from warp_twisted.edge.routes.table import RouteTable
from warp_twisted.http1.refusals import MessageRefused
from warp_twisted.wire.control import RouteOffer


def rules(*paths: str) -> list[Route]:
    """Return routes of one hostname; an empty path matches everything."""
    return [Route("a.example", path, HostCounters(), PathRule(path) if path else None) for path in paths]


class SearchTests(SynchronousTestCase):
    """One look-up."""

    def search(self, *candidates: Candidate, target: bytes = b"/") -> Search:
        """Begin one."""
        self.asked: list[Candidate] = []

        def asking() -> Iterator[Candidate]:
            for candidate in candidates:
                self.asked.append(candidate)
                yield candidate

        return Search(asking(), target)

    def test_order(self) -> None:
        """Rules are compared in their order, and the next hostname is asked for only when none of one matches."""
        first, second = (rules("^/x", "^/a", "^/ab"), 100), (rules("^/"), 100)
        search = self.search(first, second, target=b"/abc?x=/x")
        self.assertTrue(search.take_step())
        self.assertIs(search.route, first[0][1])
        self.assertEqual(self.asked, [first])
        search = self.search(first, second, target=b"/b")
        self.assertTrue(search.take_step())
        self.assertIs(search.route, second[0][0])

    def test_nothing(self) -> None:
        """Where nothing matches, nothing is found."""
        for candidates in ((), ((rules("^/x"), 100),)):
            search = self.search(*candidates)
            self.assertTrue(search.take_step())
            self.assertIsNone(search.route)

    def test_without_rules(self) -> None:
        """A hostname without path rules takes every path, of any length, and costs nothing."""
        routes = rules("")
        search = self.search((routes, 0), target=b"/" + b"%61" * LONGEST_PATH * 2)
        self.assertTrue(search.take_step(0))
        self.assertIs(search.route, routes[0])

    def test_price(self) -> None:
        """A step ends before the rule that it cannot pay for, and the next one goes on with that."""
        routes = rules("^/[ab]{300}x", "^/[ab]{300}y", "")
        search = self.search((routes, 1_000), target=b"/" + b"a" * 199)
        each = 20 + 200 * routes[0].instructions
        self.assertGreater(each, FREE_PRICE)
        self.assertFalse(search.take_step(each - 1))
        self.assertFalse(search.take_step(each * 2 - 1))
        self.assertTrue(search.take_step(each + 20))
        self.assertIs(search.route, routes[2])

    def test_any_rule_can_be_paid_for(self) -> None:
        """A step gets on with the largest rule and the longest path that there may be together."""
        routes = rules("[ab]{600}")
        longest = LARGEST_PRICE // routes[0].instructions
        search = self.search((routes, longest), target=b"/" + b"a" * (longest - 1))
        self.assertFalse(search.take_step(FREE_PRICE))
        self.assertTrue(search.take_step(STEP_PRICE))

    def test_escapes(self) -> None:
        """Decoding a path has its price as well."""
        search = self.search((rules("^/a"), LONGEST_PATH), target=b"/" + b"%61" * (LONGEST_PATH - 1))
        self.assertFalse(search.take_step(FREE_PRICE))
        self.assertTrue(search.take_step())
        self.assertIsNotNone(search.route)

    def test_too_long(self) -> None:
        """A path that is too long for one hostname's rules is refused there, and not before."""
        search = self.search((rules("^/x"), 100), (rules("^/y"), 50), target=b"/" + b"a" * 60)
        with self.assertRaises(MessageRefused) as caught:
            search.take_step()
        self.assertIs(caught.exception.refusal, PATH_TOO_LONG)
        search = self.search((rules("^/a"), 100), (rules("^/y"), 50), target=b"/" + b"a" * 60)
        self.assertTrue(search.take_step())

    def test_many_patterns(self) -> None:
        """A hostname that a hundred patterns cover, each with the most costly rules, is looked for in as many steps."""
        table = RouteTable(DataPathMetrics())
        tunnel = FakeTunnel("t")
        labels = [f"*.{'a.' * depth}example" for depth in range(100)]
        offers = [RouteOffer(id=at, hostname=name, path="[ab]*b[ab]{780}$") for at, name in enumerate(labels)]
        table.add(tunnel, offers)
        random = Random(1)
        path = b"/" + bytes(random.choice(b"ab") for _ in range(499))
        began = process_time()
        search = table.find("a." * 101 + "example", path)
        self.assertLess(process_time() - began, 0.05)
        assert isinstance(search, Search)
        steps, longest = 1, 0.0
        while True:
            began = process_time()
            is_done = search.take_step()
            longest = max(longest, process_time() - began)
            if is_done:
                break
            steps += 1
        self.assertIsNone(search.route)
        self.assertGreaterEqual(steps, 90)
        self.assertLess(longest, 0.05)

    def test_rules_that_change_meanwhile(self) -> None:
        """A look-up goes on while routes come and go; what it finds is what stood there when it was asked."""
        table = RouteTable(DataPathMetrics())
        tunnel = FakeTunnel("t")
        table.add(
            tunnel, [RouteOffer(id=1, hostname="a.example", path="[ab]{700}"), RouteOffer(id=2, hostname="a.example")]
        )
        search = table.find("a.example", b"/" + b"a" * 300)
        assert isinstance(search, Search)
        table.remove(tunnel)
        self.assertTrue(search.take_step())
        assert search.route is not None
        self.assertEqual((search.route.name, len(search.route.members)), ("a.example", 0))

"""Tests of `warp_twisted.agent.links.edges`."""

from collections import Counter
from collections.abc import Sequence
from random import Random

from twisted.internet.defer import Deferred, fail, succeed
from twisted.names.dns import SRV, Record_SRV, RRHeader
from twisted.names.error import DNSNameError, DNSQueryTimeoutError, DNSServerError
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.errors import NoEdge
from warp_twisted.agent.links.edges import FAILED_SECONDS, MAX_EDGES, Edges, read_addresses

A, B, C = (EdgeAddress(f"edge{name}.example", 7844) for name in "abc")
Answer = tuple[Sequence[RRHeader], Sequence[RRHeader], Sequence[RRHeader]]


def found(edges: Edges) -> list[list[EdgeAddress]]:
    """Return what `find` returns, each tier in a fixed order."""
    result: list[list[EdgeAddress]] = []
    Deferred.fromCoroutine(edges.find()).addCallback(lambda tiers: result.extend(sorted(tier) for tier in tiers))
    return result


class FakeLookup:
    """Answers with SRV records, in the hands of the test."""

    def __init__(self, *records: tuple[int, int, int, str]) -> None:
        self.records = records
        self.failure: Exception | None = None
        self.asked: list[str] = []

    def __call__(self, name: str) -> Deferred[Answer]:
        """Answer one question."""
        self.asked.append(name)
        if self.failure is not None:
            return fail(self.failure)
        payloads = [
            Record_SRV(priority, weight, port, target.encode()) for priority, weight, port, target in self.records
        ]
        return succeed(([RRHeader(name, SRV, payload=payload) for payload in payloads], [], []))


class FindTests(SynchronousTestCase):
    """Which edges there are."""

    def test_fixed_edges_exclude_all_others(self) -> None:
        """A list in the settings is the only source."""
        lookup = FakeLookup((0, 0, 1, "x.example"))
        edges = Edges(fixed=[A, B], zone="warp.example", seen=[C], enrolled=[C], lookup_service=lookup)
        self.assertEqual((found(edges), lookup.asked), ([[A, B]], []))

    def test_srv_is_asked_each_time(self) -> None:
        """The records of the zone come first, what was known before is the fallback."""
        lookup = FakeLookup((0, 10, 7844, "EDGEA.example."), (0, 10, 7844, "edgeb.example"), (0, 0, 1, "."))
        edges = Edges(zone="warp.example", seen=[C], lookup_service=lookup)
        self.assertEqual(found(edges), [[A, B], [C]])
        lookup.records = ()
        self.assertEqual(found(edges), [[C]])
        self.assertEqual(lookup.asked, ["_warp-edge._tcp.warp.example"] * 2)

    def test_dns_is_away(self) -> None:
        """When DNS does not answer, the edges known before are used."""
        lookup = FakeLookup()
        edges = Edges(zone="warp.example", enrolled=[C], lookup_service=lookup)
        for error in (DNSNameError(None), DNSServerError(None), DNSQueryTimeoutError(1), OSError()):
            lookup.failure = error
            self.assertEqual(found(edges), [[C]])

    def test_nothing_is_known(self) -> None:
        """Without any edge the reason is a sentence."""
        failure = self.failureResultOf(Deferred.fromCoroutine(Edges().find()), NoEdge)
        self.assertIn("enroll again", str(failure.value))

    def test_srv_order(self) -> None:
        """Lower priorities come first; among equals, weight decides how often which is first."""
        lookup = FakeLookup((1, 1, 1, "last.example"), (0, 90, 1, "heavy.example"), (0, 10, 1, "light.example"))
        edges = Edges(zone="warp.example", lookup_service=lookup, random=Random(7))
        first: Counter[str] = Counter()
        for _ in range(500):
            (tier,) = self.successResultOf(Deferred.fromCoroutine(edges.find()))
            first[tier[0].host] += 1
            self.assertEqual(tier[-1].host, "last.example")
        self.assertTrue(400 < first["heavy.example"] < 490, first)


class ChooseTests(SynchronousTestCase):
    """Which edge is dialed next."""

    def test_spread(self) -> None:
        """Tunnels go to the edges that have the fewest."""
        edges = Edges()
        in_use: list[EdgeAddress] = []
        for _ in range(4):
            in_use.append(edges.choose([[A, B]], in_use, 0.0))
        self.assertEqual(Counter(in_use), {A: 2, B: 2})

    def test_failed_edges_come_last(self) -> None:
        """An edge that failed is dialed only if there is no other, until some time has passed or it answered."""
        edges = Edges()
        edges.failed(A, 0.0)
        self.assertEqual(edges.choose([[A, B]], [B, B, B], 1.0), B)
        self.assertEqual(edges.choose([[A]], [], 1.0), A)
        self.assertEqual(edges.choose([[A, B]], [B], FAILED_SECONDS), A)
        edges.failed(A, 100.0)
        edges.answered(A)
        self.assertEqual(edges.choose([[A, B]], [B], 101.0), A)

    def test_fallback(self) -> None:
        """Edges of a worse source are dialed only while none of the better ones answers."""
        edges = Edges()
        self.assertEqual(edges.choose([[A], [B]], [A, A, A], 0.0), A)
        edges.failed(A, 0.0)
        self.assertEqual(edges.choose([[A], [B]], [], 1.0), B)

    def test_better(self) -> None:
        """A tunnel should move only if that evens out."""
        edges = Edges()
        self.assertEqual(edges.better([[A, B]], [A, A], 0.0), B)
        self.assertIsNone(edges.better([[A, B]], [A, B], 0.0))
        self.assertIsNone(edges.better([[A, B]], [A, A, B], 0.0))
        self.assertIsNone(edges.better([[A]], [A, A], 0.0))
        self.assertIsNone(edges.better([[A, B]], [], 0.0))
        edges.failed(B, 0.0)
        self.assertIsNone(edges.better([[A, B]], [A, A], 1.0))

    def test_failures_are_bounded(self) -> None:
        """A list of edges that changes all the time does not fill the memory."""
        edges = Edges()
        for port in range(2 * MAX_EDGES):
            edges.failed(EdgeAddress("x", port), 0.0)
        self.assertEqual(len(edges._failed_at), MAX_EDGES)


class AddressTests(SynchronousTestCase):
    """Addresses as edges write them."""

    def test_what_is_none_is_left_out(self) -> None:
        """Peers may say anything."""
        self.assertEqual(read_addresses(["a:1", "", "a:b", "a b:1", "[::1]:2"]), [
            EdgeAddress("a", 1), EdgeAddress("::1", 2)
        ])  # fmt: skip

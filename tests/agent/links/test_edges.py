"""Tests of `warp_twisted.agent.links.edges`."""

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import cast

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import InvalidAddressError
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.names.dns import SRV, Record_SRV, RRHeader
from twisted.names.error import DNSNameError, DNSQueryTimeoutError, DNSServerError
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.edge_address import EdgeAddress, parse_edge
from warp_twisted.agent.errors import NoEdge
from warp_twisted.agent.links.edges import FAILED_SECONDS, Edges, Move, read_addresses
from warp_twisted.agent.links.nearness import MAX_EDGES

A, B, C = (EdgeAddress(f"edge{name}.example", 7844) for name in "abc")
FLEET = [EdgeAddress(f"edge{number}.example", 7844) for number in range(5)]
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


class ToldTests(SynchronousTestCase):
    """Which of the edges that edges name are believed."""

    def test_bounds(self) -> None:
        """Names beneath the zone and addresses of networks are believed, and what the join token names."""
        edges = Edges(zone="warp.example", enrolled=[C])
        texts = ["192.0.2.1:7844", "[2001:db8::1]:7844", "10.1.2.3:1", "edge1.warp.example:7844", str(C)]
        self.assertEqual(edges.told(texts), texts)
        self.assertEqual([str(edge) for edge in edges.seen], texts)
        for text in (
            *(
                "127.0.0.1:22",
                "127.9.9.9:22",
                "[::1]:22",
                "[::ffff:127.0.0.1]:22",
                "localhost:22",
                "169.254.169.254:80",
            ),
            *("[fe80::1]:22", "0.0.0.0:22", "224.0.0.1:22", "255.255.255.255:1", "db.internal:5432", "warp.example:1"),
            *("evilwarp.example:1", "", ":", "x" * 300, "edge1.warp.example:0", "\u0661.warp.example:1"),
        ):
            believed = edges.told([text, "192.0.2.1:7844"])
            self.assertLessEqual(set(believed), {"192.0.2.1:7844", "\u0661.warp.example:1"}, text)

    def test_fleet_on_one_machine(self) -> None:
        """Where the join token names an edge of this machine, others of this machine are believed too."""
        for known in ("127.0.0.1", "localhost"):
            edges = Edges(enrolled=[EdgeAddress(known, 1)])
            self.assertEqual(edges.told(["127.0.0.1:2", "169.254.0.1:3"]), ["127.0.0.1:2"])

    def test_said_once(self) -> None:
        """What is left out is said when it is new, not at each of four tunnels."""
        said: list[str] = []
        observer = cast(ILogObserver, lambda event: said.append(event.get("text", "")))
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        edges = Edges()
        for _ in range(4):
            edges.told(["127.0.0.1:22", "192.0.2.1:7844"])
        self.assertEqual(said.count("127.0.0.1:22"), 1)

    @given(st.lists(st.text(max_size=30) | st.from_regex(r"[0-9a-f.:\[\]]{1,20}:[0-9]{1,5}", fullmatch=True)))
    def test_anything(self, texts: list[str]) -> None:
        """Whatever is sent, what is believed can be dialed and is nowhere on this machine."""
        edges = Edges(zone="warp.example")
        for text in edges.told(texts):
            edge = parse_edge(text, "edge")
            self.assertTrue(edge.port)
            self.assertFalse(edge.host == "localhost" or edge.host.startswith("127."), text)


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
        edges = Edges(zone="example", seen=[C], lookup_service=lookup)
        self.assertEqual(found(edges), [[A, B], [C]])
        lookup.records = ()
        self.assertEqual(found(edges), [[C]])
        self.assertEqual(lookup.asked, ["_warp-edge._tcp.example"] * 2)

    def test_dns_is_away(self) -> None:
        """When DNS does not answer, the edges known before are used."""
        lookup = FakeLookup()
        edges = Edges(zone="example", enrolled=[C], lookup_service=lookup)
        of_resolv_conf = InvalidAddressError("dns.example", "write() only accepts IP addresses, not hostnames")
        for error in (DNSNameError(None), DNSServerError(None), DNSQueryTimeoutError(1), OSError(), of_resolv_conf):
            lookup.failure = error
            self.assertEqual(found(edges), [[C]])

    def test_odd_records(self) -> None:
        """Targets that are no names, have no port or lie outside the zone are left out; the others are used."""
        lookup = FakeLookup(
            *(
                (0, 0, 7844, name)
                for name in ("edgea.example", "ed\xfcge.example", "a b.example", "-.example", "x.other")
            ),
            *((0, 0, 0, "edgeb.example"), (0, 0, 22, "10.0.0.5"), (0, 0, 22, "localhost"), (0, 0, 22, "127.0.0.1")),
        )
        edges = Edges(zone="example", enrolled=[C], lookup_service=lookup)
        ((*tier,), fallback) = found(edges)
        self.assertEqual(fallback, [C])
        self.assertLessEqual({A, EdgeAddress("10.0.0.5", 22)}, set(tier))
        self.assertEqual({edge.host for edge in tier} & {"x.other", "localhost", "127.0.0.1", "edgeb.example"}, set())

    def test_nothing_is_known(self) -> None:
        """Without any edge the reason is a sentence."""
        failure = self.failureResultOf(Deferred.fromCoroutine(Edges().find()), NoEdge)
        self.assertIn("enroll again", str(failure.value))

    def test_srv_order(self) -> None:
        """Lower priorities come first; among equals, weight decides how many agents prefer which, each for good."""
        lookup = FakeLookup((1, 1, 1, "last.example"), (0, 90, 1, "heavy.example"), (0, 10, 1, "light.example"))
        first: Counter[str] = Counter()
        for seed in range(500):
            edges = Edges(zone="example", lookup_service=lookup, random=Random(seed))
            tier, last = self.successResultOf(Deferred.fromCoroutine(edges.find()))
            first[tier[0].host] += 1
            self.assertEqual([edge.host for edge in last], ["last.example"])
            self.assertEqual(self.successResultOf(Deferred.fromCoroutine(edges.find())), [tier, last])
        self.assertTrue(400 < first["heavy.example"] < 490, first)

    def test_lookup_fails_later(self) -> None:
        """While DNS does not answer, what it answered last holds."""
        lookup = FakeLookup((0, 10, 7844, "edgea.example"))
        edges = Edges(zone="example", seen=[C], lookup_service=lookup)
        self.assertEqual(found(edges), [[A], [C]])
        lookup.failure = DNSQueryTimeoutError(1)
        self.assertEqual(found(edges), [[A], [C]])


class ChooseTests(SynchronousTestCase):
    """Which edge is dialed next."""

    def test_spread(self) -> None:
        """Tunnels go to two edges, or as many as the settings say, as many to each."""
        for spread in (1, 2, 3):
            edges = Edges(spread=spread)
            in_use: list[EdgeAddress] = []
            for _ in range(6):
                in_use.append(edges.choose([[A, B, C]], in_use, 0.0))
            self.assertEqual(list(Counter(in_use).values()), [6 // spread] * spread)

    def test_nearest_first(self) -> None:
        """The two edges with the shortest round trips get the tunnels, whatever their order."""
        edges = Edges()
        for edge, seconds in ((A, 0.150), (B, 0.020), (C, 0.080)):
            edges.nearness.measured(edge, seconds, 0.0)
        first = edges.choose([[A, B, C]], [], 0.0)
        self.assertEqual((first, edges.choose([[A, B, C]], [first], 0.0)), (B, C))
        edges.failed(B, 0.0)
        self.assertEqual(edges.choose([[A, B, C]], [], 0.0), C)

    def test_agents_spread_over_equals(self) -> None:
        """Each agent keeps to its own edges; one that is added gets its part of all agents, and moves no others."""
        fleet = [EdgeAddress(f"edge{number}.example", 7844) for number in range(5)]
        first: Counter[EdgeAddress] = Counter()
        moved = 0
        for seed in range(1000):
            edges = Edges(random=Random(seed), fixed=fleet[:4])
            (before,) = self.successResultOf(Deferred.fromCoroutine(edges.find()))
            edges.fixed = fleet
            (after,) = self.successResultOf(Deferred.fromCoroutine(edges.find()))
            self.assertEqual([edge for edge in after if edge != fleet[4]], list(before))
            first[after[0]] += 1
            moved += after[0] != before[0]
        self.assertTrue(all(150 < count < 250 for count in first.values()), first)
        self.assertEqual(moved, first[fleet[4]])

    def test_failed_edges_come_last(self) -> None:
        """An edge that failed is dialed only if there is no other, until some time has passed or it answered."""
        edges = Edges()
        edges.failed(A, 0.0)
        self.assertEqual(edges.choose([[A, B]], [B, B, B], 1.0), B)
        self.assertEqual(edges.choose([[A]], [], 1.0), A)
        self.assertEqual(edges.choose([[A, B]], [B], FAILED_SECONDS - 1), B)
        self.assertEqual(edges.choose([[A, B]], [B], 2 * FAILED_SECONDS), A)
        edges.failed(A, 100.0)
        edges.answered(A)
        self.assertEqual(edges.choose([[A, B]], [B], 101.0), A)

    def test_all_have_failed(self) -> None:
        """Where every edge has failed each is dialed in turn, those of worse sources too."""
        edges = Edges()
        for now, edge in enumerate((B, C, A)):
            edges.failed(edge, now)
        dialed = []
        for now in range(3, 9):
            dialed.append(edges.choose([[A, B], [C]], [], now))
            edges.failed(dialed[-1], now)
        self.assertEqual(dialed, [B, C, A, B, C, A])

    def test_agents_do_not_return_all_at_once(self) -> None:
        """Hundreds of agents lost an edge at the same moment: they come back over a minute."""
        returns: Counter[int] = Counter()
        for seed in range(600):
            edges = Edges(random=Random(seed))
            edges.failed(A, 0.0)
            at = 0.0
            while edges.choose([[A, B]], [B], at) == B:
                at += 1.0
            returns[int(at)] += 1
        self.assertGreaterEqual(min(returns), FAILED_SECONDS)
        self.assertLessEqual(max(returns), 2 * FAILED_SECONDS)
        self.assertLess(max(returns.values()), 30)

    def test_addresses_of_one_edge(self) -> None:
        """An edge with several addresses counts once, as soon as it has said its name at two of them."""
        edges = Edges()
        self.assertEqual(Counter(self.choose_four(edges)), {A: 2, B: 2})
        edges.answered(A, "edge1")
        edges.answered(B, "edge1")
        self.assertEqual(Counter(self.choose_four(edges)), {A: 2, C: 2})
        self.assertEqual(edges.better([[A, B, C]], [A, B], 0.0), Move(B, C))

    def choose_four(self, edges: Edges) -> list[EdgeAddress]:
        """Choose an edge for each of four tunnels."""
        in_use: list[EdgeAddress] = []
        for _ in range(4):
            in_use.append(edges.choose([[A, B, C]], in_use, 0.0))
        return in_use

    def test_fallback(self) -> None:
        """Edges of a worse source are dialed only while none of the better ones answers."""
        edges = Edges()
        self.assertEqual(edges.choose([[A], [B]], [A, A, A], 0.0), A)
        edges.failed(A, 0.0)
        self.assertEqual(edges.choose([[A], [B]], [], 1.0), B)

    def test_better(self) -> None:
        """A tunnel should move only if that evens out, or brings it to one of the nearest edges."""
        edges = Edges()
        self.assertEqual(edges.better([[A, B]], [A, A], 0.0), Move(A, B))
        self.assertIsNone(edges.better([[A, B]], [A, B], 0.0))
        self.assertIsNone(edges.better([[A, B]], [A, A, B], 0.0))
        self.assertIsNone(edges.better([[A]], [A, A], 0.0))
        self.assertIsNone(edges.better([[A, B]], [], 0.0))
        self.assertEqual(edges.better([[A, B, C]], [A, C], 0.0), Move(C, B))
        self.assertEqual(edges.better([[A, B], [C]], [A, C], 0.0), Move(C, B))
        edges.failed(B, 0.0)
        self.assertIsNone(edges.better([[A, B]], [A, A], 1.0))
        self.assertIsNone(edges.better([[A, B, C]], [A, B], 1.0))  # it failed, but this tunnel of it is up
        edges.failed(A, 1.0)
        self.assertIsNone(edges.better([[A, B]], [A, B], 2.0))

    # An edge that is near because it has a tunnel, and is the nearest again without it.
    @example([FLEET[3]], {FLEET[1]: 0.012, FLEET[2]: 0.01076, FLEET[3]: 0.0065, FLEET[4]: 0.3}, 1)
    @given(
        st.lists(st.sampled_from(FLEET), min_size=1, max_size=8),
        st.dictionaries(st.sampled_from(FLEET), st.floats(0.0001, 2.0)),
        st.integers(1, 4),
    )
    def test_moving_ends(self, in_use: list[EdgeAddress], trips: dict[EdgeAddress, float], spread: int) -> None:
        """Wherever the tunnels are, after a few moves each of the nearest edges has as many, and none moves again."""
        edges = Edges(spread=spread)
        for edge, seconds in trips.items():
            edges.nearness.measured(edge, seconds, 0.0)
        moves = 0
        while move := edges.better([FLEET], in_use, 0.0):
            in_use.remove(move.source)
            self.assertEqual(edges.choose([FLEET], in_use, 0.0), move.target)
            in_use.append(move.target)
            moves += 1
            self.assertLessEqual(moves, 16)
        counts = Counter(in_use).values()
        self.assertLessEqual(max(counts) - min(counts), 1)
        self.assertEqual(len(counts), min(spread, len(in_use)))

    def test_failures_are_bounded(self) -> None:
        """A list of edges that changes all the time does not fill the memory."""
        edges = Edges()
        for port in range(2 * MAX_EDGES):
            edges.failed(EdgeAddress("x", port), 0.0)
        self.assertEqual(len(edges._failures), MAX_EDGES)


class AddressTests(SynchronousTestCase):
    """Addresses as edges write them."""

    def test_what_is_none_is_left_out(self) -> None:
        """Peers may say anything."""
        self.assertEqual(read_addresses(["a:1", "", "a:b", "a b:1", "[::1]:2"]), [
            EdgeAddress("a", 1), EdgeAddress("::1", 2)
        ])  # fmt: skip

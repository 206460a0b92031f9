"""Tests of `warp_twisted.agent.origins.routes`."""

from dataclasses import dataclass, field, replace
from typing import Literal

from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.origins.test_dial import FakeEndpoint
from tests.operations import count_operations
from warp_twisted.agent.health.checks import FIRST_SECONDS
from warp_twisted.agent.health.settings import Health
from warp_twisted.agent.origins import BuiltIn, Dial, Origin, OriginRequest
from warp_twisted.agent.origins.builtin import parse_hello
from warp_twisted.agent.origins.http import parse as parse_http
from warp_twisted.agent.origins.ingress import Ingress, Offer, Rule
from warp_twisted.agent.origins.prepared import PreparedIngress
from warp_twisted.agent.origins.routes import (
    PROBE_PAUSE_SECONDS,
    PROBE_SECONDS,
    PROBES_PER_TURN,
    RETIRED_SECONDS,
    Route,
    Routes,
)
from warp_twisted.errors import InvalidSettings
from warp_twisted.testing import RecordingDelegate, RecordingReceiver, tunnel_pair
from warp_twisted.tunnel import Turn
from warp_twisted.wire.control import OriginHealth
from warp_twisted.wire.preamble import OpeningCode
from warp_twisted.wire.streams import Stream

PLAIN = OriginRequest()


@dataclass
class FakeOrigin:
    """An origin whose endpoint is in the hands of the test."""

    text: str = "http://localhost:1"
    protocol: Literal["http", "tcp"] = "http"
    endpoints: list[FakeEndpoint] = field(default_factory=list)
    is_broken: bool = False

    def access(self, reactor: object) -> Dial | BuiltIn:
        """Return an endpoint that connects when told."""
        if self.is_broken:
            raise InvalidSettings("originRequest.ca: no such file")
        self.endpoints.append(FakeEndpoint())
        return Dial(self.endpoints[-1], False, 10.0)


def ingress(*offers: tuple[str, str, Origin]) -> Ingress:
    """Return an ingress with one rule for each offer of hostname, path and origin."""
    rules = tuple(Rule(hostname=None, path=path, origin=origin, request=PLAIN) for _, path, origin in offers)
    return Ingress(rules, tuple(Offer(name, path, index) for index, (name, path, _) in enumerate(offers)))


class RoutesTestCase(SynchronousTestCase):
    """A table of routes, a clock, and streams."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.changed: list[tuple[int, bool]] = []
        self.routes = Routes(self.clock, Turn(self.clock), self.health_changed)
        self.origin = FakeOrigin()

    def health_changed(self, route: Route) -> None:
        """Remember."""
        self.changed.append((route.offer.id, route.is_healthy))

    def replace(self, rules: Ingress) -> bool:
        """Prepare other rules, and serve them."""
        return self.routes.replace(self.routes.prepare(rules))

    def offered(self) -> list[tuple[int, str, str]]:
        """Return number, hostname and path of each offered route."""
        return [(route.offer.id, route.offer.hostname, route.offer.path) for route in self.routes.offered]

    def open(self, route_id: int) -> RecordingReceiver:
        """Open a stream to a route."""
        agent = RecordingDelegate()
        self.pair = tunnel_pair(RecordingDelegate(), agent, clock=self.clock)
        visit = RecordingReceiver()
        visit.stream = self.pair.edge.open_route(route_id, visit)
        self.pair.pump()
        stream: Stream = agent.streams[0][0]
        self.routes.stream_opened(stream, route_id)
        self.pair.pump()
        return visit


class NumberTests(RoutesTestCase):
    """Numbers across reloads."""

    def test_numbers_stay(self) -> None:
        """A route that stays keeps its number, a new one gets one that was never used."""
        self.assertTrue(self.replace(ingress(("a", "", self.origin), ("b", "", self.origin))))
        self.assertTrue(self.replace(ingress(("b", "", self.origin), ("b", "/x", self.origin))))
        self.assertEqual(self.offered(), [(1, "b", ""), (2, "b", "/x")])
        self.assertTrue(self.replace(ingress(("a", "", self.origin))))
        self.assertEqual(self.offered(), [(3, "a", "")])

    def test_nothing_new(self) -> None:
        """The same rules are no news; the same in another order are."""
        rules = ingress(("a", "", self.origin), ("a", "/x", self.origin))
        self.replace(rules)
        self.assertFalse(self.replace(rules))
        self.assertTrue(self.replace(ingress(("a", "/x", self.origin), ("a", "", self.origin))))

    def test_max_requests(self) -> None:
        """Another number of requests that an origin takes at once is news to edges, and the route keeps its number."""
        rules = ingress(("a", "", self.origin))
        limited = Ingress((replace(rules.rules[0], max_requests=10),), rules.offers)
        self.replace(rules)
        for changed, expected in ((limited, 10), (rules, 0)):
            self.assertTrue(self.replace(changed))
            self.assertEqual([(offer.id, offer.max_requests) for offer in self.routes.offers], [(0, expected)])
            self.assertFalse(self.replace(changed))

    def test_other_origin(self) -> None:
        """The same hostname with another origin is another route."""
        self.replace(ingress(("a", "", self.origin)))
        self.assertTrue(self.replace(ingress(("a", "", FakeOrigin("http://localhost:2")))))
        self.assertEqual(self.offered(), [(1, "a", "")])

    def test_removed_routes_serve_on_for_a_while(self) -> None:
        """A request that was on its way when the route went is served; much later it is not."""
        self.replace(ingress(("a", "", self.origin)))
        self.replace(ingress(("b", "", FakeOrigin("http://localhost:2"))))
        visit = self.open(0)
        self.origin.endpoints[0].succeed()
        self.pair.pump()
        self.assertTrue(visit.openings[0].is_opened)
        self.clock.advance(RETIRED_SECONDS)
        self.assertIs(self.open(0).openings[0].code, OpeningCode.NO_SUCH_ROUTE)

    def test_bad_rules_change_nothing(self) -> None:
        """If one rule's file cannot be used, none of the new rules is taken."""
        self.replace(ingress(("a", "", self.origin)))
        broken = FakeOrigin("https://x", is_broken=True)
        error = self.assertRaises(
            InvalidSettings, self.routes.prepare, ingress(("b", "", FakeOrigin("http://y")), ("c", "", broken))
        )
        self.assertEqual(str(error), "ingress[1].originRequest.ca: no such file")
        self.assertEqual(self.offered(), [(0, "a", "")])
        self.assertEqual(len(self.routes.origins), 1)

    def test_many_rules(self) -> None:
        """What takes long of a reload is in `prepare`, for a thread; little is left for the event loop."""
        rules = [(f"h{number}", "", parse_http(f"https://h{number}.example", PLAIN)) for number in range(300)]
        prepared: list[PreparedIngress] = []
        preparing = count_operations(lambda: prepared.append(self.routes.prepare(ingress(*rules))))
        replacing = count_operations(lambda: self.routes.replace(prepared[0]))
        self.assertLess(4 * replacing, preparing)
        self.assertLess(replacing / len(rules), 500)
        self.assertEqual(len(self.routes.origins), 300)

    def test_stop(self) -> None:
        """Nothing is left on the clock."""
        self.replace(ingress(("a", "", self.origin)))
        self.routes.probe_all()
        self.replace(ingress(("b", "", self.origin)))
        self.origin.endpoints[0].connecting.errback(ConnectionRefusedError())
        self.routes.probe_all()
        self.routes.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ServeTests(RoutesTestCase):
    """Streams to origins."""

    def test_failures_are_counted(self) -> None:
        """A stream whose origin fails counts for its route."""
        self.replace(ingress(("a", "", self.origin)))
        visit = self.open(0)
        self.origin.endpoints[0].connecting.errback(ConnectionRefusedError())
        self.pair.pump()
        self.assertIs(visit.openings[0].code, OpeningCode.ORIGIN_REFUSED)
        traffic = self.routes.offered[0].traffic
        self.assertEqual((traffic.failed, traffic.opened, traffic.open), (1, 0, 0))

    def test_built_in_keeps_no_body(self) -> None:
        """A body of any size and kind costs a built-in origin nothing, and does not keep it from answering."""
        self.replace(ingress(("a", "", parse_hello("hello-world", PLAIN))))
        visit = self.open(0)
        visit.stream.write(
            b"POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 8000000\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        )
        for _ in range(80):
            visit.stream.write(b"x" * 100_000)
            self.pair.pump()
        self.pair.pump()
        self.assertTrue(visit.data.startswith(b"HTTP/1.1 200 OK\r\n"), visit.data)
        self.assertIn(b"Content-Type: multipart/form-data; boundary=x\n", visit.data)

    def test_built_in(self) -> None:
        """A built-in origin answers on the stream itself, text for those who do not ask for HTML."""
        hello = parse_hello("hello-world", PLAIN)
        self.replace(ingress(("a", "", hello)))
        visit = self.open(0)
        visit.stream.write(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.pair.pump()
        self.assertTrue(visit.data.startswith(b"HTTP/1.1 200 OK\r\n"), visit.data)
        self.assertIn(b"Hello from Warp: GET /x\n", visit.data)
        self.assertTrue(visit.has_ended)
        self.assertEqual(self.routes.offered[0].traffic.opened, 1)


class HealthTests(RoutesTestCase):
    """Whether origins answer."""

    def setUp(self) -> None:
        super().setUp()
        self.replace(ingress(("a", "", self.origin), ("b", "", self.origin)))
        self.endpoint = self.origin.endpoints[0]

    def answer(self, is_there: bool) -> None:
        """Let the attempt that is under way end."""
        endpoint = self.endpoint
        if is_there:
            endpoint.succeed()
        else:
            endpoint.connecting.errback(ConnectionRefusedError())
        endpoint.connecting = type(endpoint.connecting)()
        endpoint.factory = None

    def test_unknown_is_healthy(self) -> None:
        """An origin that was never tried is given the benefit, and nobody is told."""
        self.assertTrue(self.routes.origins[0].is_healthy)
        self.routes.probe_all()
        self.answer(True)
        self.assertEqual(self.changed, [])

    def test_told_for_each_route(self) -> None:
        """When an origin ceases to answer, each of its routes is told, once; and again when it answers."""
        self.routes.probe_all()
        self.answer(False)
        self.assertEqual(self.changed, [(0, False), (1, False)])
        self.open(0)
        self.answer(False)
        self.assertEqual(len(self.changed), 2)
        self.clock.advance(PROBE_SECONDS)
        self.answer(True)
        self.assertEqual(self.changed[2:], [(0, True), (1, True)])

    def test_probes_until_it_answers(self) -> None:
        """An origin that does not answer is tried every few seconds; one that does is left alone."""
        self.routes.probe_all()
        for _ in range(3):
            self.answer(False)
            self.clock.advance(PROBE_SECONDS)
            self.assertIsNotNone(self.endpoint.factory)
        self.answer(True)
        self.clock.advance(10 * PROBE_SECONDS)
        self.assertIsNone(self.endpoint.factory)

    def test_many_origins(self) -> None:
        """A crowd of origins is probed a few in a turn; each one's health is told for its own routes, once."""
        origins = [FakeOrigin(f"http://localhost:{number + 1}") for number in range(50)]
        self.replace(ingress(*[(f"h{number}", "", origin) for number, origin in enumerate(origins)]))
        self.routes.probe_all()
        counts = []
        while (count := sum(self.is_dialed(origin) for origin in origins)) < 50:
            counts.append(count)
            self.clock.advance(PROBE_PAUSE_SECONDS)
        self.assertEqual(counts, [PROBES_PER_TURN, 2 * PROBES_PER_TURN])
        for origin in origins:
            origin.endpoints[0].connecting.errback(ConnectionRefusedError())
        self.assertEqual(self.changed, [(route.offer.id, False) for route in self.routes.offered])

    def test_stop_between_probes(self) -> None:
        """Nothing is probed after the table was stopped."""
        origins = [FakeOrigin(f"http://localhost:{number + 1}") for number in range(50)]
        self.replace(ingress(*[(f"h{number}", "", origin) for number, origin in enumerate(origins)]))
        self.routes.probe_all()
        self.routes.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_removed_route_is_not_told_of(self) -> None:
        """When the origin of a route that a reload removed goes away, the edges hear nothing."""
        removed = FakeOrigin("http://localhost:3")
        self.replace(ingress(("removed", "", removed)))
        self.open(self.routes.offered[0].offer.id)
        self.replace(ingress(("b", "", FakeOrigin("http://localhost:2"))))
        removed.endpoints[0].connecting.errback(ConnectionRefusedError())
        self.assertEqual(self.changed, [])

    def test_probed(self) -> None:
        """An origin that is probed is as healthy as its probes say; what visitors' connections find is not told."""
        self.serve(self.probed_rule())
        route = self.routes.offered[0]
        self.routes.probe_all()
        self.answer(True)
        self.clock.advance(FIRST_SECONDS)
        self.answer(False)
        self.assertEqual(self.changed, [(2, False)])
        self.assertEqual(
            route.health(), OriginHealth(route_id=2, healthy=False, detail="connection refused", probed=True)
        )
        self.open(2)
        self.endpoint.succeed()
        self.assertFalse(route.is_healthy)
        self.assertEqual(len(self.changed), 1)

    def test_shared_probe(self) -> None:
        """Routes of one origin that ask it alike share a probe, and each is told of; another path is another probe."""
        rule = self.probed_rule()
        other = replace(rule, path="/x", health=Health(path="/other"))
        self.replace(Ingress((rule, other), (Offer("c", "", 0), Offer("d", "", 0), Offer("d", "/x", 1))))
        checks = [route.check for route in self.routes.offered]
        self.assertIs(checks[0], checks[1])
        self.assertIsNot(checks[0], checks[2])

    def test_probes_end(self) -> None:
        """When a reload takes the probes away, the edges hear what holds without them; stopping leaves nothing."""
        rule = self.probed_rule()
        self.serve(rule)
        self.routes.probe_all()
        self.answer(True)
        self.clock.advance(FIRST_SECONDS)
        self.answer(False)
        self.serve(replace(rule, health=None))
        self.assertEqual(self.changed, [(2, False), (2, True)])
        self.assertFalse(self.routes.offered[0].health().probed)
        self.serve(rule)
        self.routes.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def probed_rule(self) -> Rule:
        """Return a rule whose origin is probed, and no other attempt's endpoint."""
        self.routes.stop()
        return Rule(
            hostname=None, path="", origin=self.origin, request=PLAIN, health=Health(path="/", interval=3_600.0, fall=1)
        )

    def serve(self, rule: Rule) -> None:
        """Serve one hostname by a rule from now on."""
        self.replace(Ingress((rule,), (Offer("c", "", 0),)))
        self.endpoint = self.origin.endpoints[-1]

    @staticmethod
    def is_dialed(origin: FakeOrigin) -> bool:
        """Whether somebody tries to reach an origin."""
        return origin.endpoints[0].factory is not None

    def test_one_probe_at_a_time(self) -> None:
        """While an origin does not even answer the probe, no second one is sent."""
        self.routes.probe_all()
        first = self.endpoint.factory
        self.routes.probe_all()
        self.assertIs(self.endpoint.factory, first)

"""Tests of the judgement over what an agent offers."""

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.agents.case import ControlTestCase
from tests.edge.control import make_settings
from warp_twisted.edge.agents.offers import (
    MAX_HOSTNAMES_BYTES,
    Offer,
    check_count,
    check_size,
    check_wishes,
    merge_labels,
    name_routes,
)
from warp_twisted.edge.errors import OfferRefused
from warp_twisted.edge.settings import Limits
from warp_twisted.names import Hostname, HostnamePattern
from warp_twisted.wire.control import Accepted, Refused, RouteOffer

PATTERNS = [HostnamePattern.parse("*.team.example"), HostnamePattern.parse("app.example")]


def routes(*hostnames: str) -> list[RouteOffer]:
    """Return routes to some hostnames, numbered from 0."""
    return [RouteOffer(id=number, hostname=hostname) for number, hostname in enumerate(hostnames)]


def is_reserved(hostname: str) -> bool:
    """Whether the zone keeps a hostname."""
    return hostname == "edge1.team.example"


class OfferTests(SynchronousTestCase):
    """The judgement by itself."""

    def refused(self, function: object, *arguments: object) -> str:
        """Return the sentence with which something is refused."""
        error = self.assertRaises(OfferRefused, function, *arguments)
        self.assertEqual((error.code, error.retry), ("not_allowed", False))
        return str(error)

    def name(self, *hostnames: str) -> Deferred[tuple[RouteOffer, ...]]:
        """Name routes, where one hostname is reserved and one is given."""

        async def give_name() -> Hostname:
            return Hostname("calm-otter-481.team.example")

        naming = name_routes(routes(*hostnames), PATTERNS, "ns1.team.example".__eq__, give_name)
        return Deferred.fromCoroutine(naming)

    def test_hostnames_of_an_offer(self) -> None:
        """Every hostname counts once, in the order offered."""
        offer = Offer(tuple(routes("b.example", "a.example", "b.example")), {})
        self.assertEqual(offer.hostnames, ("b.example", "a.example"))

    def test_named_routes(self) -> None:
        """Hostnames are brought into normal form, and a route without one gets the given name; numbers stay."""
        named = self.successResultOf(self.name("A.Team.Example", "", "*.b.team.example", "app.example"))
        self.assertEqual(
            [(route.id, route.hostname) for route in named],
            [(0, "a.team.example"), (1, "calm-otter-481.team.example"), (2, "*.b.team.example"), (3, "app.example")],
        )

    def test_names_that_are_refused(self) -> None:
        """Each refusal names the hostname and why."""
        for hostname, words in (
            ("ns1.team.example", "kept for the zone itself"),
            ("app.other.example", "is not allowed by the agent's certificate, which allows *.team.example, app"),
            (
                "app.other.example",
                "; leave it out, or enroll with an empty state directory and a join token that permits it",
            ),
            ("*.example", "*.example is not allowed"),
            ("a..b", "a..b"),
        ):
            error = self.failureResultOf(self.name("x.team.example", hostname), OfferRefused).value
            self.assertIn(words, str(error))

    def test_count(self) -> None:
        """As many routes as the limit are fine; one more, and two with one number, are not."""
        limits = Limits(routes_per_tunnel=2)
        check_count(routes("a.example", "b.example"), limits)
        self.assertIn("2 is most", self.refused(check_count, routes("a.example", "b.example", "c.example"), limits))
        self.assertIn("same number", self.refused(check_count, [*routes("a.example"), *routes("b.example")], limits))

    def test_host_headers(self) -> None:
        """What an origin is to be told as Host is a host, with a port or without; anything else is refused by name."""
        offers = [RouteOffer(id=0, hostname="a.example", host_header="localhost:3000", own_scheme="http")]
        check_count(offers, Limits())
        for text in ("a b", "a\r\nX: 1", "http://a", "a" * 255):
            offers[0] = RouteOffer(id=0, hostname="a.example", host_header=text)
            self.assertIn("is no host with an optional port", self.refused(check_count, offers, Limits()))

    def test_size(self) -> None:
        """Hostnames are counted once, however many routes they have."""
        name = "a" * 60 + ".example"
        check_size(routes(*[name] * 1000))
        many = [f"{number:03}{name}" for number in range(MAX_HOSTNAMES_BYTES // (len(name) + 3) + 1)]
        check_size(routes(*many[1:]))
        self.assertIn("characters together", self.refused(check_size, routes(*many)))

    def test_wishes(self) -> None:
        """Wishes inside the token's patterns pass; the first outside is named."""
        check_wishes(["a.team.example", "*.b.team.example", "", "app.example"], PATTERNS, is_reserved)
        for wishes, patterns, words in (
            (["app.example", "b.example"], PATTERNS, "b.example is not permitted"),
            (["edge1.team.example"], PATTERNS, "edge1.team.example is kept for the zone itself"),
            ([""], PATTERNS[1:], "a name of the edge's choice"),
        ):
            self.assertIn(words, self.refused(check_wishes, wishes, patterns, is_reserved))

    def test_labels(self) -> None:
        """The token's labels win over the agent's own, which must be labels."""
        self.assertEqual(merge_labels({"a": "1", "b": "2"}, {"b": "3"}), {"a": "1", "b": "3"})
        self.assertIn("label", self.refused(merge_labels, {"-bad": "x"}, {}))


class HelloTests(ControlTestCase):
    """The same, as an agent meets it."""

    sections = {"limits": {"routes_per_tunnel": 2}}

    def test_two_routes_of_one_number(self) -> None:
        """Route numbers must differ."""
        routes = [RouteOffer(id=1, hostname="a.warp.example"), RouteOffer(id=1, hostname="b.warp.example")]
        self.assertIn("same number", self.refused(routes=routes).reason)

    def test_too_many_routes(self) -> None:
        """Routes over the limit are refused."""
        self.assertIn("2 is most", self.refused("a.warp.example", "b.warp.example", "c.warp.example").reason)

    def test_other_agents_id(self) -> None:
        """An agent that introduces itself as another is refused."""
        self.assertIn("certificate is for agent a-1", self.refused("app.warp.example", agent_id="a-2").reason)

    def test_version(self) -> None:
        """Another version of the control protocol is refused."""
        self.assertEqual(self.refused("app.warp.example", version=2).code, "version")

    def test_longest_offer_fits_the_registry(self) -> None:
        """The most that an agent may offer can be written down; more is refused, so it cannot block the registry."""
        self.control.settings = make_settings(limits={"routes_per_tunnel": 1000})
        names = [f"{'h' * 60}.{'i' * 60}.{number:04}.warp.example" for number in range(300)]
        labels = {f"{'p' * 150}{number}.example/{'k' * 63}": "v" * 63 for number in range(32)}
        agent = self.control.connect()
        agent.hello(*names[: MAX_HOSTNAMES_BYTES // len(names[0])], labels=labels)
        self.assertIsInstance(agent.messages[0], Accepted)
        self.assertEqual((len(self.control.names()) > 250, self.control.claims.is_failing), (True, False))
        other = self.control.connect("a-2")
        other.hello(*names)
        self.assertIn("characters together", other.answer(Refused).reason)

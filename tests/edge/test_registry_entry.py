"""Tests of this edge's entry in the registry, and what follows from it."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from tests.edge.control import NOW, make_settings
from warp_twisted.edge.listeners import BoundPorts
from warp_twisted.edge.registry_entry import MAX_ADDRESSES, MAX_SERVER_ADDRESSES, REFRESH_SECONDS, RegistryEntry
from warp_twisted.edge.settings import CurrentSettings
from warp_twisted.names import Hostname
from warp_twisted.registry.claims import Claims
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Edge, GivenName, encode


class FakeCertificates:
    """Certificates for some names."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()

    def has_certificate(self, hostname: str) -> bool:
        """Whether it is one of the names."""
        return hostname in self.names

    def certificate_names(self) -> tuple[str, ...]:
        """Return the names."""
        return self.names


class RegistryEntryTests(SynchronousTestCase):
    """One edge of a fleet, in a registry in memory."""

    def setUp(self) -> None:
        """Bind ports, announce nothing yet."""
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self.mirror = Mirror(self.store, self.clock)
        self.successResultOf(Deferred.fromCoroutine(self.mirror.start()))
        self.claims = Claims(self.store, self.clock, 30)
        self.certificates = FakeCertificates()
        self.settings = CurrentSettings(make_settings())
        self.ports = BoundPorts(http=(8080,), tunnel=(7844,))
        self.entry = RegistryEntry(
            self.clock,
            SettableWallClock(NOW),
            self.settings,
            self.mirror,
            self.claims,
            self.certificates,
            lambda: self.ports,
        )

    def announce(self) -> None:
        """Put the entry into the registry."""
        announcing = Deferred.fromCoroutine(self.entry.announce())
        self.clock.advance(0)
        self.successResultOf(announcing)

    def put(self, *values: Edge | GivenName) -> None:
        """Put other values into the registry."""
        for value in values:
            self.successResultOf(self.store.put(value.key, encode(value)))

    def test_announced(self) -> None:
        """The entry holds name, addresses and the ports that are bound."""
        self.announce()
        edge = self.mirror.edges["edge1"]
        self.assertEqual((edge.addresses, edge.started_at, edge.draining), (("192.0.2.1",), NOW, False))
        self.assertEqual((edge.http_port, edge.https_port, edge.tunnel_port), (8080, None, 7844))

    def test_public_ports(self) -> None:
        """Ports of the settings stand for those that are bound, as behind NAT."""
        identity = {"name": "edge1", "addresses": ["192.0.2.1"], "http_port": 80, "https_port": 443, "tunnel_port": 1}
        self.settings.value = make_settings(edge=identity)
        edge = self.entry.describe()
        self.assertEqual((edge.http_port, edge.https_port, edge.tunnel_port), (80, 443, 1))

    def test_place(self) -> None:
        """The entry says where the edge is: by its own coordinates, or by those of its region."""
        identity = {"name": "edge1", "addresses": ["192.0.2.1"]}
        places = {"places": {"regions": {"osaka": {"coordinates": [34.7, 135.5]}}}}
        for more, expected in (
            ({}, None),
            ({"coordinates": [50.1, 8.7]}, (50.1, 8.7)),
            ({"region": "osaka"}, (34.7, 135.5)),
        ):
            self.settings.value = make_settings(edge={**identity, **more}, dns=places)
            self.assertEqual(self.entry.describe().coordinates, expected)

    def test_certificates_that_come_and_go(self) -> None:
        """The entry follows the certificates' files, and nothing is written while nothing differs."""
        self.announce()
        revision = self.store.revision
        self.clock.advance(REFRESH_SECONDS)
        self.assertEqual(self.store.revision, revision)
        self.certificates.names = ("*.warp.example",)
        self.clock.advance(REFRESH_SECONDS)
        self.assertEqual(self.mirror.edges["edge1"].https_names, ("*.warp.example",))

    def test_drain(self) -> None:
        """An edge that drains says so at once, also if it was not announced yet."""
        self.successResultOf(self.entry.drain())
        self.assertEqual((self.entry.is_draining, self.mirror.edges), (True, {}))
        self.announce()
        self.assertTrue(self.mirror.edges["edge1"].draining)

    def test_alone(self) -> None:
        """An edge is alone unless another one takes tunnels."""
        self.announce()
        self.assertTrue(self.entry.is_alone)
        self.put(Edge(name="b", addresses=("192.0.2.4",), tunnel_port=1, draining=True))
        self.put(Edge(name="c", addresses=("192.0.2.5",)))
        self.assertTrue(self.entry.is_alone)
        self.put(Edge(name="b", addresses=("192.0.2.4",), tunnel_port=1))
        self.assertFalse(self.entry.is_alone)

    def test_stop(self) -> None:
        """After stop nothing is refreshed; the claim is released with the others."""
        self.announce()
        self.entry.stop()
        self.entry.stop()
        self.successResultOf(Deferred.fromCoroutine(self.claims.stop()))
        self.assertEqual((self.mirror.edges, self.clock.getDelayedCalls()), ({}, []))
        self.successResultOf(self.entry.refresh())
        self.assertEqual(self.mirror.edges, {})

    def test_reserved_hostnames(self) -> None:
        """Reserved are names of edges and name servers, and names with a label that begins with an underscore."""
        self.put(Edge(name="edge2", addresses=("192.0.2.2",)))
        reserved = [
            name
            for name in ("edge1", "edge2", "edge3", "ns1", "ns2", "_x.app", "app")
            if self.entry.is_reserved(f"{name}.warp.example")
        ]
        self.assertEqual(reserved, ["edge2", "ns1", "_x.app"])
        self.announce()
        self.assertTrue(self.entry.is_reserved("edge1.warp.example"))

    def test_addresses_of_edges(self) -> None:
        """Addresses of edges are told from others."""
        self.put(Edge(name="edge2", addresses=("192.0.2.2",)))
        self.assertEqual([self.entry.is_edge(address) for address in ("192.0.2.2", "192.0.2.3")], [True, False])

    def test_name_servers_of_the_settings(self) -> None:
        """Name servers that are named take the place of `ns1`."""
        self.settings.value = make_settings(dns={"nameservers": [{"name": "a", "addresses": ["192.0.2.9"]}]})
        self.assertTrue(self.entry.is_reserved("a.warp.example"))
        self.assertFalse(self.entry.is_reserved("ns1.warp.example"))

    def test_owners(self) -> None:
        """A name that was given to an agent has an owner, as have the zone's own."""
        self.put(GivenName(hostname=Hostname("calm-otter-481.warp.example"), agent="a-1"))
        owned = [
            self.entry.has_owner(name) for name in ("calm-otter-481.warp.example", "ns1.warp.example", "x.example")
        ]
        self.assertEqual(owned, [True, True, False])

    def test_tunnel_addresses(self) -> None:
        """Agents are told of this edge first, then of the others that take tunnels, IPv6 in brackets."""
        self.put(
            Edge(name="a", addresses=("192.0.2.3", "2001:db8::3"), tunnel_port=1),
            Edge(name="b", addresses=("192.0.2.4",), tunnel_port=1, draining=True),
            Edge(name="c", addresses=("192.0.2.5",)),
        )
        self.announce()
        self.assertEqual(self.entry.tunnel_addresses(), ["192.0.2.1:7844", "192.0.2.3:1", "[2001:db8::3]:1"])

    def test_tunnel_addresses_are_bounded(self) -> None:
        """However large the fleet is, an agent is told so many addresses at most."""
        for number in range(MAX_ADDRESSES + 1):
            self.put(Edge(name=f"other{number}", addresses=(f"198.51.100.{number}",), tunnel_port=1))
        self.assertEqual(len(self.entry.tunnel_addresses()), MAX_ADDRESSES)

    def test_name_servers(self) -> None:
        """Name servers are told with their addresses, and the port where this edge answers; none if none is known."""
        self.assertEqual(self.entry.name_servers(), {})
        self.ports = BoundPorts(dns=(("192.0.2.1", 5353),))
        self.assertEqual(self.entry.name_servers(), {"ns1.warp.example": ["192.0.2.1:5353"]})
        many = [f"192.0.2.{number}" for number in range(100, 120)]
        servers = [{"name": "ns1", "addresses": ["192.0.2.1"]}, {"name": "ns2", "addresses": ["2001:db8::2", *many]}]
        self.settings.value = make_settings(dns={"nameservers": servers})
        found = self.entry.name_servers()
        self.assertEqual(found["ns1.warp.example"], ["192.0.2.1:5353"])
        self.assertEqual(found["ns2.warp.example"][:2], ["[2001:db8::2]:53", "192.0.2.100:53"])
        self.assertEqual(len(found["ns2.warp.example"]), MAX_SERVER_ADDRESSES)

    def test_urls(self) -> None:
        """A hostname with a certificate has a URL with TLS, shown first; ports that are usual are left out."""
        self.assertEqual(self.entry.urls("app.warp.example"), ["http://app.warp.example:8080"])
        self.certificates.names = ("app.warp.example",)
        self.ports = BoundPorts(http=(80,), https=(443,))
        self.assertEqual(self.entry.urls("app.warp.example"), ["https://app.warp.example", "http://app.warp.example"])
        self.assertEqual(self.entry.urls("web.warp.example"), ["http://web.warp.example"])
        self.ports = BoundPorts(https=(8443,))
        self.assertEqual(self.entry.urls("app.warp.example"), ["https://app.warp.example:8443"])
        self.assertEqual(self.entry.url("web.warp.example"), "http://web.warp.example")

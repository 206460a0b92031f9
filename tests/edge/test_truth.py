"""
What edges serve, DNS answers, and nothing else: the route table and the zone held against each other.

Any tunnels come and go, then any name is asked: a hostname is served if and only if it has addresses, and they are
those of the edges that serve it, as any name server answers that follows RFC 4592. `WARP_EXAMPLES` says how many
histories are tried; the long run is

    WARP_EXAMPLES=10000 python -m twisted.trial tests.edge.test_truth
"""

import os
from collections.abc import Iterable, Mapping
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import static, wire
from tests.edge.fakes import FakeTunnel
from warp_dns.message import records
from warp_dns.message.codes import NXDOMAIN
from warp_dns.zone.live import LiveZone
from warp_dns.zone.lookup import lookup
from warp_twisted.coverage import is_reserved
from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.search import Search
from warp_twisted.edge.routes.table import REMEMBERED_SECONDS, RouteTable
from warp_twisted.names import Hostname
from warp_twisted.registry.model import Change, Edge, Tunnel
from warp_twisted.registry.published.publish import Publication
from warp_twisted.registry.published.records import Records
from warp_twisted.wire.control import RouteOffer

EXAMPLES = int(os.environ.get("WARP_EXAMPLES", "60"))
ZONE = "example.org"
ADDRESSES = {"edge1": "192.0.2.1", "edge2": "192.0.2.2"}
EDGES = {name: Edge(name=name, addresses=(address,), http_port=80) for name, address in ADDRESSES.items()}
OWN = {"ns1": "192.0.2.53", **ADDRESSES}  # names of the zone itself
LABELS = ("a", "b")

_below = st.lists(st.sampled_from([*LABELS, "ns1", "edge1"]), max_size=3)
_names = _below.map(lambda labels: ".".join([*labels, ZONE])) | st.just("a.elsewhere.example")
_patterns = _names.map(lambda name: f"*.{name}") | st.just("*.org")
_hostnames = (_names | _patterns).filter(lambda name: not is_reserved(name, ZONE, OWN))
_tunnels = st.tuples(st.sampled_from(sorted(EDGES)), st.lists(_hostnames, min_size=1, max_size=4, unique=True))
# What is done one after the other: a tunnel comes, or one of those that came goes.
_histories = st.lists(_tunnels | st.integers(0, 7), min_size=1, max_size=10)

ASKED = [ZONE] + [
    ".".join([*labels, ZONE])
    for depth in (1, 2, 3, 4)
    for labels in product(LABELS, repeat=depth)
] + [f"{name}.{ZONE}" for own in OWN for name in (f"a.{own}", f"a.b.{own}", f"{own}.a", f"a.{own}.a")]  # fmt: skip


class Fleet:
    """The routes of all edges in one table, and the zone that is published of them."""

    def __init__(self) -> None:
        self.routes = RouteTable(DataPathMetrics())
        self.routes.is_reserved = lambda name: is_reserved(name, ZONE, OWN)
        self.zone = LiveZone(static("ns1 5 A 192.0.2.53"))
        self.publication = Publication(ZONE, reserved=["ns1"])
        self.publication.subscribe(self._take)
        self.publication.apply(Change(key=edge.key, before=None, after=edge) for edge in EDGES.values())
        self._tunnels: list[tuple[FakeTunnel, Tunnel]] = []
        self._count = 0
        self._now = 0.0

    def _take(self, changed: Mapping[str, Records]) -> None:
        refused = self.zone.update(changed).refused
        assert not refused, refused

    def begin(self, edge: str, hostnames: Iterable[str]) -> Iterable[None]:
        """Let a tunnel come; each step publishes a part."""
        self._count += 1
        route = FakeTunnel(f"{edge}/{self._count}")
        names = tuple(map(Hostname, hostnames))
        tunnel = Tunnel(id=str(self._count), agent="a", slot=0, edge=edge, hostnames=names, labels={"tier": "web"})
        self._tunnels.append((route, tunnel))
        self.routes.add(route, [RouteOffer(id=at, hostname=name) for at, name in enumerate(names)])
        return self._publish(Change(key=tunnel.key, before=None, after=tunnel))

    def end(self, number: int) -> Iterable[None]:
        """Let a tunnel go, if there is one; each step publishes a part."""
        if not self._tunnels:
            return ()
        route, tunnel = self._tunnels.pop(number % len(self._tunnels))
        self.routes.remove(route)
        self._now += 2 * REMEMBERED_SECONDS
        self.routes.sweep(self._now, 0.0)  # routes without a tunnel are remembered, and not served
        return self._publish(Change(key=tunnel.key, before=tunnel, after=None))

    def step(self, step: "tuple[str, list[str]] | int") -> Iterable[None]:
        """Let a tunnel come or go."""
        return self.end(step) if isinstance(step, int) else self.begin(*step)

    def _publish(self, change: Change) -> Iterable[None]:
        self.publication.take([change])
        for _ in self.publication.steps():
            self.publication.tell()
            yield
        self.publication.tell()

    def served(self, hostname: str) -> set[str]:
        """Return the addresses of the edges that serve a hostname."""
        found = self.routes.find(hostname, b"/")
        assert not isinstance(found, Search)
        members = found.members if found is not None else ()
        return {ADDRESSES[member.load.tunnel.id.partition("/")[0]] for member in members}

    def answered(self, hostname: str) -> set[str]:
        """Return the addresses that DNS answers for a hostname."""
        answer = lookup(self.zone.zone, wire(hostname), records.A)
        found = {".".join(map(str, rdata)) for rrset in answer.answer for rdata in rrset.rdatas}
        assert not (found and answer.rcode == NXDOMAIN)
        return found


class TruthTests(SynchronousTestCase):
    """Fleets of two edges."""

    def check_fleet(self, fleet: Fleet) -> None:
        """Expect that each name has the addresses of the edges that serve it."""
        for hostname in ASKED:
            self.assertEqual(fleet.answered(hostname), fleet.served(hostname), hostname)
        for name, address in OWN.items():
            self.assertEqual(fleet.answered(f"{name}.{ZONE}"), {address})

    @settings(max_examples=EXAMPLES)
    @given(_histories)
    def test_served_if_and_only_if_answered(self, history: "list[tuple[str, list[str]] | int]") -> None:
        """After any history each name is answered if it is served, by the edges that do, and denied if not."""
        fleet = Fleet()
        for step in history:
            for _ in fleet.step(step):
                pass
        self.check_fleet(fleet)

    @settings(max_examples=EXAMPLES)
    @given(_histories)
    def test_no_name_is_denied_meanwhile(self, history: "list[tuple[str, list[str]] | int]") -> None:
        """While one tunnel comes or goes, what is served before and after it is answered at each step."""
        fleet = Fleet()
        for step in history:
            before = {hostname for hostname in ASKED if fleet.served(hostname)}
            steps = fleet.step(step)
            answers = [{hostname for hostname in ASKED if fleet.answered(hostname)} for _ in steps]
            after = {hostname for hostname in ASKED if fleet.served(hostname)}
            for answered in answers:
                self.assertEqual(before & after - answered, set())

    def test_the_issue(self) -> None:
        """`*.ZONE` of one agent stands for `blue`, `x.blue` and `x.app` beside `api.blue` and `app` of another."""
        fleet = Fleet()
        for hostnames in (["*.example.org"], ["api.blue.example.org", "app.example.org"]):
            for _ in fleet.begin("edge1" if "*" in hostnames[0] else "edge2", hostnames):
                pass
        for name in ("blue", "x.blue", "x.app", "x.y.api.blue", "other", "x.ns1"):
            self.assertEqual(fleet.answered(f"{name}.example.org"), {"192.0.2.1"}, name)
        self.assertEqual(fleet.answered("api.blue.example.org"), {"192.0.2.2"})
        self.check_fleet(fleet)

"""Tests of what DNS publishes: each name of the design, and that a change touches its own names only."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain

import dns.message
import dns.rrset
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.names import Hostname
from warp_twisted.registry.model import Change, Edge, Tunnel, Value
from warp_twisted.registry.published.publish import Publication
from warp_twisted.registry.published.records import Records

ZONE = "warp.example"
EDGE1 = Edge(
    name="edge1",
    addresses=("192.0.2.1", "2001:db8::1"),
    http_port=80,
    https_port=443,
    https_names=("*.warp.example",),
    tunnel_port=7844,
)
EDGE2 = replace(EDGE1, name="edge2", addresses=("192.0.2.2",), http_port=8080, weight=20)


def tunnel(number: int = 1, *hostnames: str, edge: str = "edge1", **labels: str) -> Tunnel:
    """Make a tunnel that serves some hostnames."""
    names = tuple(Hostname(name) for name in hostnames or ("app.warp.example",))
    return Tunnel(id=f"t-{number}", agent=f"a-{number}", slot=0, edge=edge, hostnames=names, labels=labels)


def came(*values: Value) -> list[Change]:
    """Return changes that bring values."""
    return [Change(key=value.key, before=None, after=value) for value in values]


def went(*values: Value) -> list[Change]:
    """Return changes that take values away."""
    return [Change(key=value.key, before=value, after=None) for value in values]


def changed(before: Value, after: Value) -> list[Change]:
    """Return the change of one value."""
    return [Change(key=before.key, before=before, after=after)]


def written(records: Iterable[object]) -> list[str]:
    """Return records as `TYPE RDATA`, in order."""
    return [f"{record.type} {record.rdata}" for record in records]  # type: ignore[attr-defined]


class HealthTests(SynchronousTestCase):
    """Addresses of a hostname whose origins fail their probes."""

    APP = Hostname("app.warp.example")
    NAMES = (APP, "_http._tcp.app.warp.example", "canary.release._label.app.warp.example")

    def setUp(self) -> None:
        """Publish two edges that serve a hostname."""
        self.publication = Publication(ZONE)
        self.first, self.second = tunnel(1, release="canary"), tunnel(2, edge="edge2", release="canary")
        self.publication.apply(came(EDGE1, EDGE2, self.first, self.second))

    def assert_shown(self, *edges: str) -> None:
        """Check that each name leads to these edges."""
        addresses = {f"A 192.0.2.{edge}" for edge in edges}
        for name in self.NAMES:
            records = written(self.publication.records_of(name))
            self.assertEqual(
                {each for each in records if each.startswith("A ")}, addresses if name == self.APP else set()
            )
            targets = {each.split()[-1] for each in records if each.startswith("SRV")}
            self.assertEqual(targets, set() if name == self.APP else {f"edge{edge}.{ZONE}." for edge in edges}, name)

    def fail(self, value: Tunnel) -> Tunnel:  # type: ignore[override]  # of a tunnel, not of the test
        """Let a tunnel's origin fail."""
        failing = replace(value, failing=(self.APP,))
        self.publication.apply(changed(value, failing))
        return failing

    def test_an_edge_whose_origins_fail(self) -> None:
        """It is shown no more while another has a healthy one, and at once again when its own is."""
        self.assert_shown("1", "2")
        failing = self.fail(self.first)
        self.assert_shown("2")
        self.publication.apply(changed(failing, self.first))
        self.assert_shown("1", "2")

    def test_one_healthy_is_enough(self) -> None:
        """An edge is shown as long as one of its tunnels has a healthy origin, with whichever label."""
        self.publication.apply(came(tunnel(3, release="canary")))
        self.fail(self.first)
        self.assert_shown("1", "2")

    def test_none_healthy(self) -> None:
        """Where none is, all are shown: the name is never denied, nor its service."""
        before = self.publication.snapshot()
        self.fail(self.first)
        failing = self.fail(self.second)
        self.assertEqual(self.publication.snapshot(), before)
        self.publication.apply(went(failing))
        self.assert_shown("1")

    def test_failing_from_the_start(self) -> None:
        """A tunnel that is told of with its failing hostnames, as after a restart of the registry, counts as such."""
        third = replace(tunnel(3, edge="edge1"), failing=(self.APP,))
        self.publication.apply([*went(self.first), *came(third)])
        self.assertEqual(
            written(self.publication.records_of("_http._tcp.app.warp.example")),
            written(replaced_owner(self.publication, "canary.release._label.app.warp.example")),
        )

    def test_another_hostname(self) -> None:
        """The health of one hostname changes no record of another."""
        value = tunnel(4, "app.warp.example", "other.warp.example")
        self.publication.apply([*went(self.first), *came(value)])
        told = self.publication.apply(changed(value, replace(value, failing=(self.APP,))))
        self.assertEqual([name for name in told if "other" in name], [])
        self.assertEqual(
            self.publication.apply(changed(replace(value, failing=(self.APP,)), value)).keys(), told.keys()
        )


class RelayTests(SynchronousTestCase):
    """Addresses of a hostname that edges serve by relaying to another."""

    APP = Hostname("app.warp.example")
    EDGE3 = replace(EDGE1, name="edge3", addresses=("192.0.2.3",))

    def setUp(self) -> None:
        """Publish three edges; one of them has a tunnel."""
        self.publication = Publication(ZONE)
        self.value = tunnel(1, edge="edge2", release="canary")
        self.publication.apply(came(EDGE1, EDGE2, self.EDGE3, self.value))

    def shown(self, name: str = APP) -> set[str]:
        """Return the edges that a name leads to."""
        return {record.edge for record in self.publication.records_of(name)} - {""}

    def reach(self, before: Edge, *others: str) -> Edge:
        """Let an edge say which others it reaches."""
        after = replace(before, relays_to=others)
        self.publication.apply(changed(before, after))
        return after

    def test_who_reaches_a_member(self) -> None:
        """An edge is in the answer as soon as it says that it reaches the one with the tunnel, and no longer."""
        self.assertEqual(self.shown(), {"edge2"})
        first = self.reach(EDGE1, "edge2")
        for name in (self.APP, "_http._tcp.app.warp.example", "canary.release._label.app.warp.example"):
            self.assertEqual(self.shown(name), {"edge1", "edge2"}, name)
        third = self.reach(self.EDGE3, "edge1")  # which has no tunnel: what is relayed is not relayed again
        self.assertEqual(self.shown(), {"edge1", "edge2"})
        self.reach(third, "edge1", "edge2")
        self.assertEqual(self.shown(), {"edge1", "edge2", "edge3"})
        self.reach(first)
        self.assertEqual(self.shown(), {"edge2", "edge3"})

    def test_draining(self) -> None:
        """While the edge with the tunnel drains, those that relay to it are shown; one that drains itself is not."""
        first = self.reach(EDGE1, "edge2")
        self.publication.apply(changed(EDGE2, replace(EDGE2, draining=True)))
        self.assertEqual(self.shown(), {"edge1"})
        self.publication.apply(changed(replace(EDGE2, draining=True), EDGE2))
        self.publication.apply(changed(first, replace(first, draining=True)))
        self.assertEqual(self.shown(), {"edge2"})

    def test_health(self) -> None:
        """One that relays to a healthy origin is shown, whatever becomes of its own; without that it is not."""
        own = replace(tunnel(2, edge="edge1"), failing=(self.APP,))
        self.publication.apply(came(own))
        self.assertEqual(self.shown(), {"edge2"})
        self.reach(EDGE1, "edge2")
        self.assertEqual(self.shown(), {"edge1", "edge2"})

    def test_edge_gone(self) -> None:
        """An edge that is gone is in no answer, though others say they reach it; these are, until its tunnels go."""
        self.reach(EDGE1, "edge2")
        self.publication.apply(went(EDGE2))
        self.assertEqual(self.shown(), {"edge1"})
        self.publication.apply(went(self.value))
        self.assertEqual(self.publication.records_of(self.APP), ())

    def test_kept(self) -> None:
        """A hostname that is kept has the addresses of the edge that keeps it, and of no other."""
        self.reach(EDGE1, "edge2")
        self.publication.apply(went(self.value))
        self.publication.keep(self.APP, "edge2")
        self.publication.apply([])
        self.assertEqual(self.shown(), {"edge2"})

    def test_wildcard(self) -> None:
        """What a pattern stands for elsewhere follows who reaches its tunnels, too."""
        self.publication.apply(came(tunnel(5, "*.warp.example", edge="edge3")))
        self.reach(EDGE1, "edge3")
        self.assertEqual(self.shown("*.warp.example"), {"edge1", "edge3"})
        self.assertEqual(self.shown("*.app.warp.example"), {"edge1", "edge3"})


def replaced_owner(publication: Publication, owner: str) -> Records:
    """Return an owner's records."""
    return publication.records_of(owner)


class NamesTests(SynchronousTestCase):
    """The names that README.md and dns/README.md list."""

    def setUp(self) -> None:
        """Publish two edges."""
        self.publication = Publication(ZONE, reserved=["ns1"])
        self.publication.apply(came(EDGE1, EDGE2))

    def at(self, owner: str) -> list[str]:
        """Return what is published at a name."""
        return written(self.publication.snapshot().get(owner, ()))

    def test_edges(self) -> None:
        """Each edge has its addresses under its own name."""
        self.assertEqual(self.at("edge1.warp.example"), ["A 192.0.2.1", "AAAA 2001:db8::1"])
        self.assertEqual(self.at("edge2.warp.example"), ["A 192.0.2.2"])

    def test_tunnel_ports_for_agents(self) -> None:
        """Agents find every edge that takes tunnels by SRV."""
        self.assertEqual(
            self.at("_warp-edge._tcp.warp.example"),
            ["SRV 0 10 7844 edge1.warp.example.", "SRV 0 20 7844 edge2.warp.example."],
        )

    def test_application(self) -> None:
        """A hostname has the addresses of the edges that hold it, one HTTPS record, and its label sets as TXT."""
        self.publication.apply(came(tunnel(release="stable", tier="web")))
        self.assertEqual(
            self.at("app.warp.example"),
            ["A 192.0.2.1", "AAAA 2001:db8::1", "HTTPS 1 . alpn=http/1.1", 'TXT "release=stable,tier=web"'],
        )

    def test_records_name_their_edge(self) -> None:
        """Records that point at an edge say which, so that DNS can order them by distance."""
        self.publication.apply(came(tunnel(1), tunnel(2, edge="edge2")))
        edges = {record.rdata: record.edge for record in self.publication.records_of("app.warp.example")}
        self.assertEqual(edges["192.0.2.2"], "edge2")
        self.assertEqual(edges["1 . alpn=http/1.1"], "")

    def test_service(self) -> None:
        """`_http._tcp` under a hostname gives the edges with their ports and weights."""
        self.publication.apply(came(tunnel(1), tunnel(2, edge="edge2")))
        self.assertEqual(
            self.at("_http._tcp.app.warp.example"),
            ["SRV 0 10 80 edge1.warp.example.", "SRV 0 20 8080 edge2.warp.example."],
        )

    def test_no_set_is_larger_than_secondaries_take(self) -> None:
        """Whatever there is in plenty, no set has more than 100 records, nor more than fits into one answer."""
        count = 5_000
        names = [f"application-{number}.warp.example" for number in range(count)]
        self.publication.apply(came(*(tunnel(number, name) for number, name in enumerate(names))))
        labels = {f"key-{number}": "x" * 63 for number in range(20)}
        self.publication.apply(
            came(*(tunnel(count + number, "app.warp.example", n=str(number), **labels) for number in range(101)))
        )
        edges = [replace(EDGE1, name=f"e-{number}", addresses=(f"2001:db8::{number:x}",)) for number in range(101)]
        self.publication.apply(came(*edges))
        self.publication.apply(came(*(tunnel(9_000 + number, edge=edge.name) for number, edge in enumerate(edges))))
        sets: dict[tuple[str, str], list[str]] = {}
        for owner, records in self.publication.snapshot().items():
            for record in records:
                sets.setdefault((owner, record.type), []).append(record.rdata)
        largest = 0
        for (owner, kind), data in sets.items():
            self.assertLessEqual(len(data), 100, f"{owner} {kind}")
            if len(data) < 10:
                continue
            reply = dns.message.make_response(dns.message.make_query(f"{owner}.", kind))
            reply.answer.append(dns.rrset.from_text_list(f"{owner}.", 5, "IN", kind, data))
            largest = max(largest, len(reply.to_wire(max_size=65_535)))
        self.assertTrue(50_000 < largest < 65_000, largest)
        self.assertEqual(len(sets["app.warp.example", "AAAA"]), 100)
        self.assertEqual(len(sets["_warp-edge._tcp.warp.example", "SRV"]), 100)
        self.assertEqual(len(sets["_http._tcp.50._browse.warp.example", "PTR"]), 1)  # one more than 5,000
        self.assertEqual(len(sets["b._dns-sd._udp.warp.example", "PTR"]), 51)

    def test_browse(self) -> None:
        """`_http._tcp` under the zone lists every published application, `_https._tcp` those with a certificate."""
        self.publication.apply(came(tunnel(1), tunnel(2, "b.x.warp.example"), tunnel(3, "b.x.warp.example")))
        self.assertEqual(
            self.at("_http._tcp.warp.example"),
            ["PTR app._http._tcp.warp.example.", "PTR b_x._http._tcp.warp.example."],
        )
        self.assertEqual(self.at("_https._tcp.warp.example"), ["PTR app._https._tcp.warp.example."])

    def test_instance(self) -> None:
        """An application is a service instance: where it is, and its labels."""
        self.publication.apply(came(tunnel(1, release="stable", tier="web"), tunnel(2, release="canary", tier="web")))
        self.assertEqual(
            self.at("app._http._tcp.warp.example"),
            ["SRV 0 10 80 edge1.warp.example.", 'TXT "release=canary,stable" "tier=web"'],
        )
        self.assertEqual(self.at("app._https._tcp.warp.example")[0], "SRV 0 10 443 edge1.warp.example.")

    def test_browse_by_name_only(self) -> None:
        """With `labels` nothing is listed, but who knows an application's name finds its instance and labels."""
        publication = Publication(ZONE, browse="labels")
        publication.apply(came(EDGE1, tunnel(release="stable")))
        owners = publication.owners()
        self.assertIn("app._http._tcp.warp.example", owners)
        self.assertIn("stable.release._label.app.warp.example", owners)
        self.assertEqual([name for name in owners if "_dns-sd" in name or name.startswith("_http._tcp.warp")], [])

    def test_browse_nothing(self) -> None:
        """With `none` there are neither lists nor instances nor labels."""
        publication = Publication(ZONE, browse="none")
        publication.apply(came(EDGE1, tunnel(release="stable")))
        owners = [
            "app.warp.example",
            "_http._tcp.app.warp.example",
            "edge1.warp.example",
            "_warp-edge._tcp.warp.example",
        ]
        self.assertEqual(sorted(publication.owners()), sorted(owners))
        self.assertEqual(
            [line.split()[0] for line in written(publication.records_of(owners[0]))], ["A", "AAAA", "HTTPS"]
        )

    def test_private_labels(self) -> None:
        """A label whose key begins with `private.` is in no record."""
        labels = {"private.owner": "team-7", "release": "stable"}
        self.publication.apply(came(replace(tunnel(), labels=labels)))
        text = str(self.publication.snapshot())
        self.assertIn("stable", text)
        self.assertNotIn("team-7", text)
        self.assertNotIn("private", text)

    def test_more_label_sets_than_one_set_holds(self) -> None:
        """The first hundred label sets are the hostname's TXT, more are those of numbered names below it."""
        tunnels = [tunnel(number, n=f"{number:03}") for number in range(250)]
        self.publication.apply(came(*tunnels))
        pages = [
            self.at("app.warp.example"),
            self.at("1._label.app.warp.example"),
            self.at("2._label.app.warp.example"),
        ]
        texts = [[line for line in page if line.startswith("TXT")] for page in pages]
        self.assertEqual(list(map(len, texts)), [100, 100, 50])
        self.assertEqual(sorted(chain(*texts)), [f'TXT "n={number:03}"' for number in range(250)])
        self.publication.apply(went(*tunnels[:150]))
        self.assertEqual(self.at("1._label.app.warp.example"), [])
        self.publication.apply(went(EDGE1))
        self.assertEqual([name for name in self.publication.owners() if "app" in name], [])
        self.publication.apply(came(*tunnels[:150]))
        self.publication.apply(came(EDGE1))
        self.assertEqual(len(self.at("2._label.app.warp.example")), 50)

    def test_label(self) -> None:
        """A label's name gives only the edges that hold a tunnel with that label."""
        self.publication.apply(came(tunnel(1, release="stable"), tunnel(2, edge="edge2", release="canary")))
        self.assertEqual(self.at("canary.release._label.app.warp.example"), ["SRV 0 20 8080 edge2.warp.example."])

    def test_label_that_is_no_dns_label(self) -> None:
        """Characters that a DNS label cannot hold become hyphens, case is folded, an empty value is left out."""
        labels = {"app.kubernetes.io/Version": "v1.2", "empty": "", "k" * 64 + "/x": "long"}
        self.publication.apply(came(replace(tunnel(), labels=labels)))
        names = [name for name in self.publication.snapshot() if "._label." in name]
        self.assertEqual(names, ["v1-2.app-kubernetes-io-version._label.app.warp.example"])

    def test_label_set_longer_than_a_string(self) -> None:
        """A label set of more than 255 octets is one record of several strings."""
        labels = {f"key{number}": "v" * 60 for number in range(5)}
        self.publication.apply(came(replace(tunnel(), labels=labels)))
        (text,) = [line for line in self.at("app.warp.example") if line.startswith("TXT")]
        strings = text.removeprefix("TXT ").split(" ")
        self.assertEqual([len(part) - 2 for part in strings], [255, 329 - 255])

    def test_https_ports_that_differ(self) -> None:
        """Edges with different HTTPS ports get an HTTPS record each, with the edge as target."""
        self.publication.apply(changed(EDGE2, replace(EDGE2, https_port=8443)))
        self.publication.apply(came(tunnel(1), tunnel(2, edge="edge2")))
        lines = [line for line in self.at("app.warp.example") if line.startswith("HTTPS")]
        self.assertEqual(
            lines,
            ["HTTPS 1 edge1.warp.example. alpn=http/1.1", "HTTPS 1 edge2.warp.example. alpn=http/1.1 port=8443"],
        )

    def test_https_without_a_certificate(self) -> None:
        """A hostname has an HTTPS record only at edges that can show a certificate for it."""
        self.publication.apply(came(tunnel(1, "a.b.warp.example"), tunnel(2), tunnel(3, edge="edge2")))
        self.publication.apply(changed(EDGE2, replace(EDGE2, https_names=("a.b.warp.example",))))
        self.assertEqual([line for line in self.at("a.b.warp.example") if line.startswith("HTTPS")], [])
        self.assertIn("HTTPS 1 edge1.warp.example. alpn=http/1.1", self.at("app.warp.example"))

    def test_https_switched_off(self) -> None:
        """Without `https_records` nothing tells browsers to use TLS."""
        publication = Publication(ZONE, https=False)
        publication.apply(came(EDGE1, tunnel()))
        self.assertNotIn("HTTPS", [record.type for record in publication.records_of("app.warp.example")])

    def test_wildcard(self) -> None:
        """A wildcard route publishes its addresses at the wildcard, and no service or label beneath it."""
        self.publication.apply(came(tunnel(1, "*.team.warp.example", release="stable")))
        self.assertEqual(self.at("*.team.warp.example")[0], "A 192.0.2.1")
        self.assertEqual([name for name in self.publication.snapshot() if "team" in name], ["*.team.warp.example"])

    def test_apex(self) -> None:
        """The zone itself may be an application; its SRV records share a name with the browse list."""
        self.publication.apply(came(tunnel(1, "warp.example")))
        self.assertEqual(self.at("warp.example")[0], "A 192.0.2.1")
        self.assertEqual(
            self.at("_http._tcp.warp.example"),
            ["SRV 0 10 80 edge1.warp.example.", "PTR _apex._http._tcp.warp.example."],
        )

    def test_hostname_outside_the_zone(self) -> None:
        """A hostname of another domain is served but not published here."""
        before = self.publication.snapshot()
        self.publication.apply(came(tunnel(1, "app.elsewhere.example", "notwarp.example")))
        self.assertEqual(self.publication.snapshot(), before)

    def test_reserved_hostname(self) -> None:
        """A name server's name and service names are never an application's."""
        before = self.publication.snapshot()
        self.publication.apply(came(tunnel(1, "ns1.warp.example", "_acme-challenge.app.warp.example")))
        self.assertEqual(self.publication.snapshot(), before)

    def test_names_too_long(self) -> None:
        """A service name that would exceed 253 characters is left out, the hostname itself is not."""
        long = ".".join(["a" * 60] * 3) + ".abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvw.warp.example"
        self.publication.apply(came(tunnel(1, long)))
        self.assertEqual(len(long), 246)
        self.assertEqual(self.at(long)[0], "A 192.0.2.1")
        self.assertEqual(self.at("_http._tcp." + long), [])
        [(instance, target)] = [
            (f"{record.rdata}"[:-1], record.name) for record in self.publication.records_of("_http._tcp.warp.example")
        ]
        self.assertEqual(target, "_http._tcp.warp.example")
        self.assertEqual(self.at(instance)[0], "SRV 0 10 80 edge1.warp.example.")


class LifeTests(SynchronousTestCase):
    """Records come and go with tunnels and edges."""

    def setUp(self) -> None:
        """Publish two edges and note every change."""
        self.publication = Publication(ZONE)
        self.publication.apply(came(EDGE1, EDGE2))
        self.told: list[dict[str, list[str]]] = []
        self.unsubscribe = self.publication.subscribe(self.hear)

    def hear(self, records: Mapping[str, Records]) -> None:
        """Note a change."""
        self.told.append({owner: written(found) for owner, found in records.items()})

    def test_last_tunnel_takes_the_names(self) -> None:
        """When the last tunnel goes, every name of the hostname goes, and nothing else."""
        before = self.publication.snapshot()
        self.publication.apply(came(tunnel(release="stable")))
        self.publication.apply(went(tunnel(release="stable")))
        self.assertEqual(self.publication.snapshot(), before)
        gone = self.told[-1]
        self.assertEqual([records for records in gone.values() if records], [])
        for owner in (
            "app.warp.example",
            "_http._tcp.app.warp.example",
            "stable.release._label.app.warp.example",
            "app._http._tcp.warp.example",
            "_http._tcp.warp.example",
            "b._dns-sd._udp.warp.example",
        ):
            self.assertIn(owner, gone)

    def test_second_tunnel_to_the_same_edge_changes_nothing(self) -> None:
        """The agent's other tunnels to an edge cost nothing in DNS, when they come and when they go."""
        self.publication.apply(came(tunnel(1, release="stable")))
        self.publication.apply(came(tunnel(2, release="stable")))
        self.publication.apply(went(tunnel(1, release="stable")))
        self.assertEqual(len(self.told), 1)

    def test_change_touches_its_own_names(self) -> None:
        """A second label set changes the hostname's TXT and its own label name only."""
        self.publication.apply(came(tunnel(1, release="stable"), tunnel(9, "other.warp.example")))
        self.publication.apply(came(tunnel(2, release="canary")))
        names = ["app.warp.example", "canary.release._label.app.warp.example"]
        self.assertEqual(
            sorted(self.told[-1]), [f"app.{kind}._tcp.warp.example" for kind in ("_http", "_https")] + names
        )

    def test_drained_tunnel(self) -> None:
        """A draining tunnel counts as gone; its end changes nothing more."""
        live = tunnel()
        self.publication.apply(came(live))
        self.publication.apply(changed(live, replace(live, draining=True)))
        self.assertEqual(self.told[-1]["app.warp.example"], [])
        told = len(self.told)
        self.publication.apply(went(replace(live, draining=True)))
        self.assertEqual(len(self.told), told)

    def test_drained_edge(self) -> None:
        """A draining edge leaves every answer but those of names that no other edge serves, which it stays for."""
        self.publication.apply(came(tunnel(1), tunnel(2, edge="edge2")))
        self.publication.apply(changed(EDGE1, replace(EDGE1, draining=True)))
        self.assertEqual(self.told[-1]["app.warp.example"][0], "A 192.0.2.2")
        self.assertEqual(self.told[-1]["_warp-edge._tcp.warp.example"], ["SRV 0 20 7844 edge2.warp.example."])
        drained = replace(EDGE2, draining=True)
        self.publication.apply(changed(EDGE2, drained))
        edges = {record.edge for record in self.publication.records_of("app.warp.example")} - {""}
        self.assertEqual(edges, {"edge1", "edge2"})
        self.publication.apply(went(drained, replace(EDGE1, draining=True)))
        self.assertEqual(self.publication.records_of("app.warp.example"), ())

    def test_edge_that_is_gone(self) -> None:
        """A tunnel whose edge is not in the registry is not published; it is when the edge comes back."""
        self.publication.apply(came(tunnel(release="stable")))
        self.publication.apply(went(EDGE1))
        self.assertEqual(self.publication.records_of("app.warp.example"), ())
        self.publication.apply(came(EDGE1))
        self.assertEqual(written(self.publication.records_of("app.warp.example"))[0], "A 192.0.2.1")
        self.assertTrue(self.publication.records_of("stable.release._label.app.warp.example"))

    def test_routes_changed(self) -> None:
        """When a tunnel's hostnames change, only those that differ change in DNS."""
        before = tunnel(1, "a.warp.example", "b.warp.example")
        self.publication.apply(came(before))
        after = replace(before, hostnames=(Hostname("b.warp.example"), Hostname("c.warp.example")))
        self.publication.apply(changed(before, after))
        self.assertNotIn("b.warp.example", self.told[-1])
        self.assertEqual(self.told[-1]["a.warp.example"], [])
        self.assertEqual(self.told[-1]["c.warp.example"][0], "A 192.0.2.1")

    def test_edge_named_like_an_application(self) -> None:
        """An edge that takes the name of a published application later does not leave records behind."""
        self.publication.apply(came(tunnel(1, "edge3.warp.example")))
        edge3 = replace(EDGE1, name="edge3", addresses=("192.0.2.3",))
        self.publication.apply(came(edge3))
        self.publication.apply(went(tunnel(1, "edge3.warp.example")))
        self.assertEqual(written(self.publication.records_of("edge3.warp.example")), ["A 192.0.2.3"])

    def test_unsubscribed(self) -> None:
        """Who has unsubscribed hears nothing."""
        self.unsubscribe()
        self.publication.apply(came(tunnel()))
        self.assertEqual(self.told, [])

    def test_incremental_equals_from_scratch(self) -> None:
        """After any history the records are those of a publication that is told the end state only."""
        tunnels = [tunnel(n, f"h{n % 7}.warp.example", edge=f"edge{n % 2 + 1}", release=f"r{n % 3}") for n in range(60)]
        for each in tunnels:
            self.publication.apply(came(each))
        for each in tunnels[::3]:
            self.publication.apply(went(each))
        for each in tunnels[1::6]:
            self.publication.apply(changed(each, replace(each, draining=True)))
        fresh = Publication(ZONE)
        gone = tunnels[::3]
        kept = [replace(each, draining=each in tunnels[1::6]) for each in tunnels if each not in gone]
        fresh.apply(came(EDGE1, EDGE2, *kept))
        self.assertEqual(
            {owner: sorted(written(found)) for owner, found in self.publication.snapshot().items()},
            {owner: sorted(written(found)) for owner, found in fresh.snapshot().items()},
        )

    def test_a_fleet_is_published_in_seconds(self) -> None:
        """4,000 tunnels of 1,500 hostnames take far less than the minute they may, and one more is cheap."""
        tunnels = [tunnel(n, f"h{n % 1500}.warp.example", edge=f"edge{n % 2 + 1}", release="r") for n in range(4000)]
        began = time.monotonic()
        for each in tunnels:
            self.publication.apply(came(each))
        self.assertLess(time.monotonic() - began, 10)
        self.assertTrue(all(self.publication.records_of(f"h{n}.warp.example") for n in range(1500)))


class KeptTests(SynchronousTestCase):
    """Names that are kept although no tunnel serves them."""

    def setUp(self) -> None:
        """Publish two edges."""
        self.publication = Publication(ZONE, reserved=["ns1"])
        self.publication.apply(came(EDGE1, EDGE2))

    def test_kept(self) -> None:
        """Without a tunnel a hostname that is kept has its edge's addresses, and nothing else, until it is let go."""
        value = tunnel(1, "app.warp.example", release="stable")
        self.publication.apply(came(value))
        self.publication.keep("app.warp.example", "edge1")
        self.publication.apply(went(value))
        records = self.publication.records_of("app.warp.example")
        self.assertEqual({record.type for record in records}, {"A", "AAAA"})
        self.assertEqual({record.edge for record in records}, {"edge1"})
        self.assertEqual([owner for owner in self.publication.owners() if owner.endswith(".app.warp.example")], [])
        self.assertEqual(self.publication.records_of("_http._tcp.warp.example"), ())
        self.publication.let_go("app.warp.example")
        self.publication.apply([])
        self.assertEqual(self.publication.records_of("app.warp.example"), ())
        self.publication.let_go("app.warp.example")
        self.assertTrue(self.publication.is_settled)

    def test_kept_until_a_tunnel_comes(self) -> None:
        """A tunnel that comes ends what was kept: when it goes, the name goes."""
        self.publication.keep("app.warp.example", "edge1")
        self.publication.apply([])
        value = tunnel(1, "app.warp.example")
        self.publication.apply(came(value))
        self.assertIn("HTTPS", {record.type for record in self.publication.records_of("app.warp.example")})
        self.publication.apply(went(value))
        self.assertEqual(self.publication.records_of("app.warp.example"), ())

    def test_kept_at_live_edges_only(self) -> None:
        """A hostname that is kept follows its edge: there when it comes, gone when it goes."""
        self.publication.apply(went(EDGE1))
        self.publication.keep("app.warp.example", "edge1")
        self.publication.apply([])
        self.assertEqual(self.publication.records_of("app.warp.example"), ())
        self.publication.apply(came(EDGE1))
        self.assertEqual({record.edge for record in self.publication.records_of("app.warp.example")}, {"edge1"})
        self.publication.apply(went(EDGE1))
        self.assertEqual(self.publication.records_of("app.warp.example"), ())

    def test_kept_beside_another_edge(self) -> None:
        """A hostname that another edge serves has that one's records alone; what is kept counts when those are gone."""
        value = tunnel(1, "app.warp.example", edge="edge2")
        self.publication.apply(came(value))
        self.publication.keep("app.warp.example", "edge1")
        self.publication.apply([])
        self.assertEqual({record.edge for record in self.publication.records_of("app.warp.example")} - {""}, {"edge2"})
        self.publication.apply(went(value))
        self.assertEqual({record.edge for record in self.publication.records_of("app.warp.example")}, {"edge1"})

    def test_never_kept(self) -> None:
        """What is not published is not kept: hostnames outside the zone, and the zone's own."""
        for hostname in ("app.other.example", "_x.warp.example", "ns1.warp.example"):
            self.publication.keep(hostname, "edge1")
        self.assertTrue(self.publication.is_settled)

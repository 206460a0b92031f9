"""Tests of instances and lists, RFC 6763."""

from twisted.trial.unittest import SynchronousTestCase

from tests.registry.published.test_publish import EDGE1, ZONE, written
from warp_twisted.registry.published.application import Application
from warp_twisted.registry.published.discovery import Discovery, instance_of
from warp_twisted.registry.published.edge_records import EdgeRecords
from warp_twisted.registry.published.pages import MAX_PAGES, PAGE_SIZE
from warp_twisted.registry.published.records import LiveEdge

EDGES = [LiveEdge.of(EDGE1, ZONE)]
APPLICATION = Application()


class InstanceTests(SynchronousTestCase):
    """How instances are called."""

    def test_short(self) -> None:
        """An instance is called like its hostname, without the zone, with an underscore for each dot."""
        self.assertEqual(instance_of("app.warp.example", ZONE), "app")
        self.assertEqual(instance_of("api.blue.warp.example", ZONE), "api_blue")
        self.assertEqual(instance_of("warp.example.warp.example", ZONE), "warp_example")

    def test_apex(self) -> None:
        """The zone's own hostname has a name that no hostname can have."""
        self.assertEqual(instance_of("warp.example", ZONE), "_apex")

    def test_long(self) -> None:
        """A name is one DNS label: longer ones are cut, and do not meet."""
        names = [instance_of(f"{'a.' * 31}{last}.warp.example", ZONE) for last in ("b", "bb", "cc")]
        self.assertEqual(names[0], "a_" * 31 + "b")
        self.assertEqual([len(name) for name in names], [63, 63, 63])
        self.assertEqual(len(set(names)), 3)
        self.assertEqual(names[1][:47], ("a_" * 31)[:45] + "__")


class ListTests(SynchronousTestCase):
    """Lists of many applications."""

    def setUp(self) -> None:
        """Begin without any."""
        self.discovery = Discovery(ZONE, EdgeRecords(ttl=5, https=True), is_listed=True)
        self.owners: dict[str, list[str]] = {}

    def add(self, *hostnames: str, edges: list[LiveEdge] = EDGES) -> None:
        """Publish applications."""
        for hostname in hostnames:
            for owner, records in self.discovery.instance(hostname, APPLICATION, edges):
                self.owners[owner] = written(records)

    def write(self) -> list[str]:
        """Write the lists, and return which names were written."""
        lists = {owner: written(records) for owner, records in self.discovery.lists()}
        self.owners.update(lists)
        return sorted(lists)

    def test_one(self) -> None:
        """The first application makes the lists of its services, of services, and of domains."""
        self.add("app.warp.example")
        self.assertTrue(self.discovery.is_stale)
        self.write()
        self.assertEqual(self.owners["app._http._tcp.warp.example"], ["SRV 0 10 80 edge1.warp.example.", 'TXT ""'])
        self.assertEqual(self.owners["_http._tcp.warp.example"], ["PTR app._http._tcp.warp.example."])
        self.assertEqual(
            self.owners["_services._dns-sd._udp.warp.example"],
            ["PTR _http._tcp.warp.example.", "PTR _https._tcp.warp.example."],
        )
        for name in ("b", "lb"):
            self.assertEqual(self.owners[f"{name}._dns-sd._udp.warp.example"], ["PTR warp.example."])
        self.assertFalse(self.discovery.is_stale)

    def test_again(self) -> None:
        """What is published again, and the same, writes no list."""
        self.add("app.warp.example")
        self.write()
        self.add("app.warp.example")
        self.assertFalse(self.discovery.is_stale)
        self.assertEqual(self.write(), [])

    def test_pages(self) -> None:
        """More than one set holds are in domains of their own, which browsers are told."""
        self.add(*(f"{number}.warp.example" for number in range(PAGE_SIZE + 1)))
        self.write()
        self.assertEqual(len(self.owners["_http._tcp.warp.example"]), PAGE_SIZE)
        self.assertEqual(self.owners["_http._tcp.1._browse.warp.example"], ["PTR 100._http._tcp.warp.example."])
        self.assertEqual(
            self.owners["b._dns-sd._udp.warp.example"], ["PTR warp.example.", "PTR 1._browse.warp.example."]
        )
        self.assertEqual(
            self.owners["_services._dns-sd._udp.1._browse.warp.example"],
            ["PTR _http._tcp.1._browse.warp.example.", "PTR _https._tcp.1._browse.warp.example."],
        )

    def test_a_page_goes(self) -> None:
        """When the second page is empty its names go, and nothing is written that stays."""
        self.add(*(f"{number}.warp.example" for number in range(PAGE_SIZE + 1)))
        self.write()
        self.add("100.warp.example", edges=[])
        self.assertEqual(
            self.write(),
            [
                "_http._tcp.1._browse.warp.example",
                "_https._tcp.1._browse.warp.example",
                "_services._dns-sd._udp.1._browse.warp.example",
                "b._dns-sd._udp.warp.example",
                "lb._dns-sd._udp.warp.example",
            ],
        )
        self.assertEqual(self.owners["_services._dns-sd._udp.1._browse.warp.example"], [])
        self.assertEqual(self.owners["b._dns-sd._udp.warp.example"], ["PTR warp.example."])

    def test_bound(self) -> None:
        """Beyond 10,000 applications the last to come are in no list, and counted; their instances are there."""
        most = MAX_PAGES * PAGE_SIZE
        self.add(*(f"{number}.warp.example" for number in range(most + 1)))
        self.write()
        self.assertEqual(self.discovery.left_out, 1)
        self.assertEqual(len(self.owners["b._dns-sd._udp.warp.example"]), MAX_PAGES)
        self.assertTrue(self.owners[f"{most}._http._tcp.warp.example"])
        listed = [line for owner, lines in self.owners.items() if owner.startswith("_http._tcp.") for line in lines]
        self.assertEqual(len(set(listed)), most)

    def test_not_listed(self) -> None:
        """If nothing is to be listed, there are instances only."""
        self.discovery = Discovery(ZONE, EdgeRecords(ttl=5, https=True), is_listed=False)
        self.add("app.warp.example")
        self.assertEqual(self.write(), [])
        self.assertIn("app._http._tcp.warp.example", self.owners)

    def test_without_a_certificate(self) -> None:
        """A hostname without a certificate is no instance of `_https._tcp`."""
        self.add("a.b.warp.example")
        self.assertEqual(self.owners["a_b._https._tcp.warp.example"], [])
        self.write()
        self.assertNotIn("_https._tcp.warp.example", self.owners)

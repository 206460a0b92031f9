"""Tests of records that point at edges; what they are in a zone, test_publish.py shows."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from tests.registry.published.test_publish import EDGE1, EDGE2, ZONE, written
from warp_twisted.registry.published.edge_records import EdgeRecords
from warp_twisted.registry.published.records import LiveEdge

NAME = "app.warp.example"


class EdgeRecordsTests(SynchronousTestCase):
    """Two edges with a certificate, the second with another HTTP port and no HTTPS."""

    def setUp(self) -> None:
        """Make them."""
        self.records = EdgeRecords(ttl=5, https=True)
        self.edges = [LiveEdge.of(edge, ZONE) for edge in (EDGE1, replace(EDGE2, https_port=None))]

    def test_addresses(self) -> None:
        """Each edge's addresses, with the edge's name beside."""
        records = self.records.addresses(NAME, self.edges)
        self.assertEqual(written(records), ["A 192.0.2.1", "AAAA 2001:db8::1", "A 192.0.2.2"])
        self.assertEqual([record.edge for record in records], ["edge1", "edge1", "edge2"])

    def test_plain_and_secure(self) -> None:
        """Plain HTTP at each edge, HTTPS only where there are a port and a certificate."""
        both = ["SRV 0 10 80 edge1.warp.example.", "SRV 0 20 8080 edge2.warp.example."]
        self.assertEqual(written(self.records.plain(NAME, self.edges)), both)
        self.assertEqual(written(self.records.secure(NAME, NAME, self.edges)), ["SRV 0 10 443 edge1.warp.example."])
        self.assertEqual(self.records.secure(NAME, "a.b.warp.example", self.edges), ())

    def test_visits(self) -> None:
        """Where an edge has HTTPS only, visitors go there."""
        edge = LiveEdge.of(replace(EDGE1, http_port=None), ZONE)
        self.assertEqual(written(self.records.visits(NAME, [edge])), ["SRV 0 10 443 edge1.warp.example."])
        self.assertEqual(self.records.plain(NAME, [edge]), ())

    def test_tunnels(self) -> None:
        """Agents go to the tunnel port."""
        edge = LiveEdge.of(replace(EDGE1, tunnel_port=None), ZONE)
        self.assertEqual(written(self.records.tunnels(NAME, self.edges[:1])), ["SRV 0 10 7844 edge1.warp.example."])
        self.assertEqual(self.records.tunnels(NAME, [edge]), ())

    def test_bindings(self) -> None:
        """An HTTPS record for each edge that has one, none if they are switched off."""
        self.assertEqual(
            written(self.records.bindings(NAME, self.edges)), ["HTTPS 1 edge1.warp.example. alpn=http/1.1"]
        )
        self.assertEqual(EdgeRecords(ttl=5, https=False).bindings(NAME, self.edges), ())

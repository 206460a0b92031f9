"""`edge.peers.proving`: a connection is an edge's only by both its certificate and its record."""

from datetime import UTC, datetime

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.ca.edge_identity import authority_key
from warp_twisted.ca.issue import Issuer, issue_agent, issue_edge, issue_intermediate, issue_root, new_key
from warp_twisted.edge.errors import PeerRefused
from warp_twisted.edge.peers.proving import prove_edge
from warp_twisted.names import HostnamePattern
from warp_twisted.registry.edge_records import EdgeRecord

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class ProvingTests(SynchronousTestCase):
    """Who is let in."""

    def setUp(self) -> None:
        """Make the fleet's root, the intermediates of two edges, and their records."""
        key = new_key()
        self.root = Issuer(issue_root(key, "warp.example", NOW), key)
        self.issuers = {name: self.intermediate(name) for name in ("edge1", "edge2")}
        self.records = {
            name: EdgeRecord(name=name, addresses=(), authority_key=authority_key(issuer.certificate))
            for name, issuer in self.issuers.items()
        }

    def intermediate(self, name: str) -> Issuer:
        """Return an edge's intermediate."""
        key = new_key()
        return Issuer(issue_intermediate(self.root, key.public_key(), name, NOW), key)

    def certificate(self, issuer: Issuer, edge: str) -> x509.Certificate:
        """Return what an edge shows."""
        return issue_edge(issuer, new_key().public_key(), [f"{edge}.warp.example"], [], NOW, edge=edge)

    def refusal(self, certificate: x509.Certificate | None, own: str = "edge1", expected: str | None = None) -> str:
        """Return why a connection is refused."""
        return str(self.assertRaises(PeerRefused, prove_edge, certificate, self.records, own, expected))

    def test_an_edge(self) -> None:
        """An edge with a record is known by its name, as the one that was dialed or as any."""
        certificate = self.certificate(self.issuers["edge2"], "edge2")
        for expected in (None, "edge2"):
            self.assertEqual(prove_edge(certificate, self.records, "edge1", expected), "edge2")

    def test_nobody(self) -> None:
        """No certificate, an agent's, this edge's own, a stranger's and another's than was dialed are refused."""
        edge2 = self.certificate(self.issuers["edge2"], "edge2")
        agent = issue_agent(
            self.issuers["edge2"], new_key().public_key(), "edge2", [HostnamePattern.parse("a.example")], NOW
        )
        self.assertIn("no certificate", self.refusal(None))
        self.assertIn("not an edge's", self.refusal(agent))
        self.assertIn("this edge, edge2", self.refusal(edge2, own="edge2"))
        self.assertIn("not edge3", self.refusal(edge2, expected="edge3"))
        self.assertIn("no record", self.refusal(self.certificate(self.intermediate("edge3"), "edge3")))

    def test_in_anothers_name(self) -> None:
        """What another edge, or a former intermediate of the same, has issued is refused."""
        self.assertIn("issued by another", self.refusal(self.certificate(self.issuers["edge1"], "edge2"), own="edge0"))
        former = self.certificate(self.intermediate("edge2"), "edge2")
        self.assertIn("not the one that the registry knows", self.refusal(former))

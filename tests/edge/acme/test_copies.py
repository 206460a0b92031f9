"""Tests of sealing secrets for every edge of a registry."""

from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.acme.acme_registry import AcmeEdge
from warp_twisted.acme.sealing import new_private_key
from warp_twisted.edge.acme.copies import SOON_SECONDS
from warp_twisted.edge.acme.sealing_key import FILE
from warp_twisted.registry.acme.records import OrderedCertificate
from warp_twisted.registry.edge_records import EDGE_RECORDS
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.model import encode

NAME = "a.example"


class CopiesTests(SynchronousTestCase):
    """Edges that come and go."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self.directory = Path(self.mktemp())
        self.first = self.edge("edge1")

    def edge(self, name: str) -> AcmeEdge:
        """Let an edge run and write its record."""
        edge = AcmeEdge(name, self.store, self.clock, self.directory / name)
        edge.start()
        edge.copies.start()
        self.addCleanup(edge.copies.stop)
        edge.join()
        self.pass_time()
        return edge

    def pass_time(self, seconds: float = SOON_SECONDS) -> None:
        """Let what is due be done."""
        self.clock.pump([0.0, seconds, 0.0, 0.0, 0.0])

    def put(self) -> None:
        """Keep a certificate that the first edge sealed."""
        copies = self.first.copies.seal("secret", f"certificate {NAME}")
        kept = OrderedCertificate(name=NAME, chain="chain", copies=copies)
        self.successResultOf(self.store.put(kept.key, encode(kept)))
        self.pass_time()

    def kept(self) -> OrderedCertificate:
        """Return it as it is now."""
        return self.first.mirror.ordered_certificates[NAME]

    def test_every_edge_can_open_it(self) -> None:
        """What is sealed at one edge, each can open with its own key only."""
        second = self.edge("edge2")
        self.put()
        for edge in (self.first, second):
            self.assertEqual(edge.key.open(self.kept(), edge.name), "secret")
        self.assertNotIn(b"secret", encode(self.kept()))
        self.assertNotEqual(self.kept().copies["edge1"].text, self.kept().copies["edge2"].text)

    def test_an_edge_is_added(self) -> None:
        """It finds its copy within a moment; the others' stay as they are."""
        self.put()
        before = self.kept().copies["edge1"]
        second = self.edge("edge2")
        self.assertEqual(second.key.open(self.kept(), "edge2"), "secret")
        self.assertEqual(self.kept().copies["edge1"], before)

    def test_an_edge_is_set_up_anew(self) -> None:
        """With another key it gets another copy."""
        self.edge("edge2").copies.stop()
        self.put()
        (self.directory / "edge2" / FILE).write_bytes(new_private_key())
        again = self.edge("edge2")
        self.assertEqual(again.key.open(self.kept(), "edge2"), "secret")

    def test_an_edge_is_removed(self) -> None:
        """Its copy goes, whoever sees that first."""
        self.edge("edge2").copies.stop()
        self.put()
        self.assertEqual(sorted(self.kept().copies), ["edge1", "edge2"])
        self.successResultOf(self.store.delete(EDGE_RECORDS + "edge2"))
        self.pass_time()
        self.assertEqual(list(self.kept().copies), ["edge1"])
        self.assertEqual(self.first.key.open(self.kept(), "edge1"), "secret")

    def test_nothing_to_do(self) -> None:
        """What is as it should be is not written again, and what has no secret is left alone."""
        self.put()
        plain = OrderedCertificate(name="b.example", chain="")
        self.successResultOf(self.store.put(plain.key, encode(plain)))
        revision = self.successResultOf(self.store.get(self.kept().key))
        self.pass_time(100.0)
        self.assertEqual(self.successResultOf(self.store.get(self.kept().key)), revision)
        self.assertEqual(self.first.mirror.ordered_certificates["b.example"].copies, {})

    def test_what_it_cannot_open(self) -> None:
        """An edge without a copy waits for another that has one, and takes nothing away."""
        second = self.edge("edge2")
        self.put()
        second.copies.stop()
        self.first.copies.stop()
        third = AcmeEdge("edge3", self.store, self.clock, self.directory / "edge3")
        third.start()
        third.join()
        self.successResultOf(Deferred.fromCoroutine(third.copies.renew()))
        self.assertEqual(sorted(self.kept().copies), ["edge1", "edge2"])
        self.successResultOf(Deferred.fromCoroutine(second.copies.renew()))
        self.assertEqual(third.key.open(self.kept(), "edge3"), "secret")

"""Tests of the ordered certificates that visitors are shown; who shows them is a fake."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.acme.acme_registry import AcmeEdge
from tests.self_signed import self_signed
from warp_twisted.edge.acme.in_use import CertificatesInUse
from warp_twisted.edge.certificates.directory import Certificate
from warp_twisted.registry.acme.records import CERTIFICATES, OrderedCertificate
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.model import encode

NAME = "a.example"


class FakeShows:
    """Remembers what it is to show."""

    def __init__(self) -> None:
        self.shown: Mapping[str, Certificate] = {}

    def use_ordered(self, certificates: Mapping[str, Certificate]) -> None:
        """Note it."""
        self.shown = certificates


class InUseTests(SynchronousTestCase):
    """One edge."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self.edge = AcmeEdge("edge1", self.store, self.clock, Path(self.mktemp()))
        self.shows = FakeShows()
        self.changes = 0
        self.in_use = CertificatesInUse("edge1", self.edge.key, self.edge.mirror, self.shows, execute, self.count)
        self.edge.start()

    def count(self) -> None:
        """Count changes."""
        self.changes += 1

    def put(self, *names: str, copies: bool = True) -> OrderedCertificate:
        """Keep a new certificate."""
        _, pem, key = self_signed(NAME, names or (NAME,))
        sealed = self.edge.copies.seal(key.decode(), f"certificate {NAME}") if copies else {}
        kept = OrderedCertificate(name=NAME, chain=pem.decode(), copies=sealed)
        self.write(kept)
        return kept

    def write(self, kept: OrderedCertificate) -> None:
        """Put it into the registry."""
        self.successResultOf(self.store.put(kept.key, encode(kept)))
        self.clock.advance(0)
        self.successResultOf(self.in_use.settled())

    def test_shown_at_once(self) -> None:
        """What comes into the registry is shown, and so is what replaces it; and it goes with the record."""
        self.put(NAME, "*.a.example")
        first = self.shows.shown[NAME]
        self.assertEqual((first.hostnames, self.changes), ((NAME, "*.a.example"), 1))
        self.put(NAME)
        self.assertEqual(self.shows.shown[NAME].hostnames, (NAME,))
        self.successResultOf(self.store.delete(CERTIFICATES + NAME))
        self.clock.advance(0)
        self.assertEqual(self.shows.shown, {})

    def test_copies_for_others(self) -> None:
        """What is sealed for another edge, too, is not read again."""
        kept = self.put()
        first = self.shows.shown[NAME]
        self.write(replace(kept, copies={**kept.copies, "edge2": kept.copies["edge1"]}))
        self.assertIs(self.shows.shown[NAME], first)

    def test_what_cannot_be_used(self) -> None:
        """It is named, and what was there before stays."""
        self.put(copies=False)
        self.assertIn("not sealed for this edge", self.in_use.problems[NAME])
        self.assertEqual(self.shows.shown, {})
        good = self.put()
        self.assertEqual(self.in_use.problems, {})
        self.write(replace(good, chain=self_signed(NAME, [NAME])[1].decode()))
        self.assertIn("cannot be used", self.in_use.problems[NAME])
        self.assertEqual(list(self.shows.shown), [NAME])

    def test_changes_while_one_is_read(self) -> None:
        """Of changes that come meanwhile the last one counts."""
        waiting: list[Deferred[None]] = []

        async def in_thread(work: Callable[[], Certificate]) -> Certificate:
            waiting.append(Deferred())
            await waiting[-1]
            return work()

        self.patch(self.in_use, "_in_thread", in_thread)
        for names in ((NAME,), (NAME, "b.example"), (NAME, "c.example")):
            _, pem, key = self_signed(NAME, names)
            sealed = self.edge.copies.seal(key.decode(), f"certificate {NAME}")
            kept = OrderedCertificate(name=NAME, chain=pem.decode(), copies=sealed)
            self.successResultOf(self.store.put(kept.key, encode(kept)))
            self.clock.advance(0)
        while waiting:
            waiting.pop().callback(None)
        self.successResultOf(self.in_use.settled())
        self.assertEqual(self.shows.shown[NAME].hostnames, (NAME, "c.example"))

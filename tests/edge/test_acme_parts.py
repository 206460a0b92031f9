"""Tests of what an edge has of ACME when its settings ask for it; the parts work in tests/system/edge/acme."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.case import reactor
from tests.system.edge.live import make_node
from warp_twisted.edge import acme_parts
from warp_twisted.edge.acme.sealing_key import FILE
from warp_twisted.edge.acme_parts import AcmeParts
from warp_twisted.errors import InvalidSettings


class AcmePartsTests(SynchronousTestCase):
    """Edges that are made and not started."""

    def setUp(self) -> None:
        self.made: list[tuple[object, ...]] = []
        self.patch(acme_parts, "IssuingProcess", lambda *arguments: self.made.append(arguments[1:]))
        self.directory = Path(self.mktemp())
        self.directory.mkdir()

    def parts(self, **sections: object) -> AcmeParts:
        """Return those of an edge."""
        node = make_node(self.directory, **sections)
        self.addCleanup(node.parts.store.close)
        return node.parts.acme

    def test_without_settings(self) -> None:
        """There is no key, nothing is ordered, and the calls say so; challenges are published all the same."""
        parts = self.parts()
        self.assertEqual((parts.ordering, parts.sealing_key), (None, ""))
        self.assertFalse((self.directory / "state" / FILE).exists())
        self.assertEqual(len(parts.calls), 2)
        self.successResultOf(parts.stop())

    def test_with_settings(self) -> None:
        """The key is made, and others are told its public half."""
        parts = self.parts(acme={})
        assert parts.ordering is not None
        self.assertEqual(parts.sealing_key, parts.ordering.key.public)
        self.assertTrue((self.directory / "state" / FILE).exists())
        admin, key = str(self.directory / "admin.sock"), str(self.directory / "state" / FILE)
        self.assertEqual(self.made, [(admin, key)])
        before = reactor.getDelayedCalls()
        parts.start()
        self.successResultOf(parts.end())
        self.assertEqual(reactor.getDelayedCalls(), before)

    def test_a_bad_key(self) -> None:
        """An edge whose key is damaged does not start."""
        (self.directory / "state").mkdir()
        (self.directory / "state" / FILE).write_text("x")
        self.assertIn(FILE, str(self.assertRaises(InvalidSettings, self.parts, acme={})))

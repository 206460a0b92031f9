"""Tests of challenges that come by DNS updates; the messages are read in tests/dns/message/test_update.py."""

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_dns.message import names
from warp_dns.message.codes import REFUSED, SERVFAIL
from warp_dns.message.update import TextChange, UpdateRefused
from warp_twisted.edge.acme.challenges import Challenges
from warp_twisted.edge.acme.updates import LEASE_SECONDS, ChallengeUpdates
from warp_twisted.registry.acme.challenges import MAX_AT_NAME
from warp_twisted.registry.claims import Claims
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.mirror import Mirror

ZONE = "warp.example"
NAME = f"_acme-challenge.{ZONE}"


def added(number: int, name: str = NAME) -> TextChange:
    """Return the addition of one of several values."""
    return TextChange(name, f"{number:043}".encode(), is_added=True)


class UpdatesTests(SynchronousTestCase):
    """One zone."""

    def setUp(self) -> None:
        self.clock = Clock()
        live = MemoryStore(self.clock)
        self.mirror = Mirror(MemoryStore(self.clock), self.clock, live)
        self.claims = Claims(live, self.clock, LEASE_SECONDS * 2)
        self.challenges = Challenges("edge1", self.claims, self.mirror, self.clock, lambda: succeed(None))
        self.successResultOf(Deferred.fromCoroutine(self.mirror.start()))
        self.updates = ChallengeUpdates(self.challenges, ZONE, ["Acme.example"])

    def apply(self, *changes: TextChange) -> None:
        """Do an update."""
        self.updates.apply(changes)
        self.clock.pump([0, 0])

    def refusal(self, *changes: TextChange) -> int:
        """Return with which code an update is refused."""
        refusal: UpdateRefused = self.assertRaises(UpdateRefused, self.updates.apply, changes)
        return refusal.rcode

    def values(self) -> list[bytes]:
        """Return what is published."""
        return [challenge.value.encode() for _, challenge in self.challenges.listed()]

    def test_who_may(self) -> None:
        """The keys that are named may change this zone, and no other."""
        apex, key = names.from_text(ZONE), names.from_text("acme.example")
        self.assertTrue(self.updates.allows(apex, key))
        self.assertFalse(self.updates.allows(names.from_text("example"), key))
        self.assertFalse(self.updates.allows(apex, names.from_text("other.example")))

    def test_added_and_removed(self) -> None:
        """Values come and go, one by one or all at once, and at the end of their lease."""
        self.apply(added(1), added(2))
        self.assertEqual(len(self.values()), 2)
        self.apply(TextChange(NAME, added(1).value, is_added=False), TextChange(NAME, b"unknown", is_added=False))
        self.assertEqual(self.values(), [added(2).value])
        self.apply(TextChange(NAME, None, is_added=False), added(3))
        self.assertEqual(self.values(), [added(3).value])
        self.clock.pump([LEASE_SECONDS, 0, 0])
        self.assertEqual(self.values(), [])

    def test_what_is_refused(self) -> None:
        """Other names, other texts, or too many: then nothing of the message is done."""
        for change in (
            added(1, f"www.{ZONE}"),
            added(1, "_acme-challenge.other.example"),
            TextChange(NAME, b"v=spf1 -all", is_added=True),
            TextChange(NAME, b"\xff" * 43, is_added=True),
            TextChange(f"www.{ZONE}", None, is_added=False),
            TextChange(ZONE, added(1).value, is_added=False),
        ):
            self.assertEqual(self.refusal(added(1), change), REFUSED, change)
        many = [added(number) for number in range(MAX_AT_NAME + 1)]
        self.assertEqual(self.refusal(*many), SERVFAIL)
        self.clock.pump([0, 0])
        self.assertEqual(self.values(), [])

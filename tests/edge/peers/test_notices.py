"""`edge.peers.notices`: the newest are kept, and what is known is not told again."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.peers.notices import MAX_NOTICES, Lifted, Notices
from warp_twisted.registry.ban_records import KeptBan
from warp_twisted.registry.model import Revocation


class NoticesTests(SynchronousTestCase):
    """The table."""

    def test_known_ones(self) -> None:
        """A notice that is there already has no key to be told."""
        notices = Notices()
        revocation = Revocation(agent="a-1", reason="lost")
        self.assertEqual(notices.add(revocation), revocation.key)
        self.assertIsNone(notices.add(revocation))
        self.assertEqual(notices.get(revocation.key), revocation)

    def test_a_ban_and_its_end(self) -> None:
        """Of a network the last word counts."""
        notices = Notices()
        ban = KeptBan(network="192.0.2.7", seconds=60, until=100.0, reason="")
        self.assertEqual(notices.add(ban), notices.add(Lifted("192.0.2.7")))
        self.assertEqual([notices.get(key) for key in notices], [Lifted("192.0.2.7")])
        notices.drop(ban.key)
        self.assertEqual(list(notices), [])

    def test_bound(self) -> None:
        """The oldest go when there are too many."""
        notices = Notices()
        for number in range(MAX_NOTICES + 10):
            notices.add(Revocation(agent=f"a-{number}"))
        kept = list(notices)
        self.assertEqual((len(kept), kept[0]), (MAX_NOTICES, Revocation(agent="a-10").key))

"""Tests of the list of fields that applications believe."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.http1.believed import BELIEVED, CREDENTIALS
from warp_twisted.http1.forwarding import FACTS
from warp_twisted.http1.request_fields import FieldRules


class BelievedTests(SynchronousTestCase):
    """The list as such."""

    def test_each_can_be_dropped(self) -> None:
        """Each is a name or a prefix that may be dropped by itself, and none stands twice."""
        for pattern in BELIEVED:
            rules = FieldRules([pattern])
            name = pattern.removesuffix("*").lower().encode()
            self.assertTrue(rules.is_dropped(name + b"x" if pattern.endswith("*") else name), pattern)
        self.assertEqual(len({pattern.lower() for pattern in BELIEVED}), len(BELIEVED))

    def test_what_the_edge_may_set(self) -> None:
        """Whatever the edge can be asked to set is dropped by default, as nobody else may say it."""
        rules = FieldRules(BELIEVED)
        for name in FACTS:
            self.assertTrue(rules.is_dropped(name.lower().encode()), name)

    def test_credentials(self) -> None:
        """What the policy compares reaches it; all else that begins so is dropped."""
        rules = FieldRules(["default"])
        for name in CREDENTIALS:
            self.assertFalse(rules.is_dropped(name.lower().encode()), name)
        self.assertTrue(rules.is_dropped(b"cf-access-authenticated-user-email"))

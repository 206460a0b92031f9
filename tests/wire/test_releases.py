"""Tests of what releases tell each other of themselves."""

from typing import get_args

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.wire.control import ControlMessage, Drain, Notice
from warp_twisted.wire.releases import KNOWN, NOTICE, POLICY, PROTECTIONS, WORD_OF, may_send, policy_digest, protected


class ReleasesTests(SynchronousTestCase):
    """Words of one release, and of others."""

    def test_kinds(self) -> None:
        """A kind with a word is sent to who knows it, and to nobody else; the others to everybody."""
        notice = Notice(code="x", text="y")
        self.assertEqual(
            [may_send(notice, known) for known in ((), ("other",), ("other", NOTICE))], [False, False, True]
        )
        self.assertTrue(may_send(Drain(), ()))

    def test_own_words(self) -> None:
        """We say that we know each kind that we have, and no other."""
        self.assertEqual(set(KNOWN), set(WORD_OF.values()))
        self.assertLessEqual(set(WORD_OF), set(get_args(ControlMessage)))

    def test_protected(self) -> None:
        """What is asked for is echoed, but not what this release has never heard of."""
        self.assertEqual(protected([]), [])
        self.assertEqual(protected(["later", PROTECTIONS[1]]), [PROTECTIONS[1]])
        self.assertEqual(protected([*PROTECTIONS, POLICY]), [*PROTECTIONS, POLICY])

    def test_policy_digest(self) -> None:
        """No policy has no digest, and each other text one of its own, whatever is in it."""
        self.assertEqual(policy_digest(""), "")
        self.assertEqual(policy_digest("{}"), "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")
        self.assertNotEqual(policy_digest("\udc80"), policy_digest("\udc81"))

"""Tests for `warp_twisted.policy.authentication.remembered`."""

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.authentication.requests import NOW, WALL
from warp_twisted.policy.authentication.remembered import RememberedAnswers
from warp_twisted.policy.interfaces import ABSENT


class RememberedAnswersTests(SynchronousTestCase):
    """`RememberedAnswers`."""

    def test_bounded(self) -> None:
        """At the bound the oldest go; both clocks must agree."""
        answers = RememberedAnswers(10)
        digests = [answers.digest(str(number).encode()) for number in range(50)]
        for digest in digests:
            answers.put(digest, ABSENT, NOW + 10, WALL + 5)
            self.assertLessEqual(len(answers), 10)
        self.assertEqual(answers.get(digests[-1], NOW, WALL), ABSENT)
        self.assertIsNone(answers.get(digests[0], NOW, WALL))
        self.assertIsNone(answers.get(digests[-1], NOW, WALL + 5))
        self.assertIsNone(answers.get(digests[-1], NOW, WALL))

    def test_found_by_a_credential(self) -> None:
        """A credential is found by itself while its answer holds, as by its digest."""
        answers = RememberedAnswers()
        answers.put(answers.digest(b"secret"), ABSENT, NOW + 10, WALL + 5, WALL - 5)
        for secret, now, wall, is_found in (
            (b"secret", NOW, WALL, True),
            (b"other", NOW, WALL, False),
            (b"secret", NOW + 10, WALL, False),
            (b"secret", NOW, WALL + 5, False),
            (b"secret", NOW, WALL - 6, False),
        ):
            self.assertEqual(answers.find(secret, now, wall), ABSENT if is_found else None)

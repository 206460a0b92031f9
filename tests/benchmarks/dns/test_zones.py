"""Tests for benchmarks.dns.zones: what is served and asked."""

from itertools import islice

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.dns.zones import APPLICATIONS, ZONE, master_file, random_questions, warm_questions
from warp_dns.settings import ZoneSettings
from warp_dns.zone.master import static_records


class ZonesTests(SynchronousTestCase):
    """One zone for every server."""

    def test_every_warm_question_has_an_answer(self) -> None:
        """Each application is asked for once, and is in the zone with both families."""
        static = static_records(ZoneSettings(name=ZONE, master_file="zone"), master_file().encode())
        names = [question.split()[0] for question in warm_questions()]
        self.assertEqual(len(set(names)), APPLICATIONS)
        for name in names:
            owner = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
            self.assertLessEqual({1, 28}, set(static.get(owner)))

    def test_random_questions_are_the_same_in_each_run(self) -> None:
        """They differ from one another and not from run to run."""
        first, second = (list(islice(random_questions(), 1000)) for _ in range(2))
        self.assertEqual(first, second)
        self.assertEqual(len(set(first)), 1000)

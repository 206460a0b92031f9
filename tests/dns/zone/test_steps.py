"""Tests of `warp_dns.zone.steps`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_dns.zone.steps import Steps, finish, in_batches


class StepsTests(SynchronousTestCase):
    """Work in steps."""

    def test_finish_does_all(self) -> None:
        """All steps are done, and what is returned comes out."""
        done = []

        def work() -> Steps[str]:
            for number in range(3):
                done.append(number)
                yield
            return "result"

        self.assertEqual(finish(work()), "result")
        self.assertEqual(done, [0, 1, 2])

    def test_batches(self) -> None:
        """A sequence is cut into pieces, the last one shorter; an empty one has none."""
        self.assertEqual([list(part) for part in in_batches(range(5), 2)], [[0, 1], [2, 3], [4]])
        self.assertEqual(list(in_batches((), 2)), [])

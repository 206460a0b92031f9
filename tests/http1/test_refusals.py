"""Tests of `warp_twisted.http1.refusals`."""

from http import HTTPStatus

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.http1 import refusals
from warp_twisted.http1.refusals import MessageRefused, Refusal

REFUSALS = {name: value for name, value in vars(refusals).items() if isinstance(value, Refusal)}


class RefusalTests(SynchronousTestCase):
    """The list of reasons."""

    def test_slugs_are_stable_names(self) -> None:
        """Each reason has a slug of its own, which can be a metric's label."""
        slugs = [each.slug for each in REFUSALS.values()]
        self.assertEqual(len(slugs), len(set(slugs)))
        for slug in slugs:
            self.assertRegex(slug, r"^[a-z0-9]+([.-][a-z0-9]+)*$")

    def test_status_and_sentence(self) -> None:
        """Each reason has a status that says whose fault it is, and one sentence that quotes nobody."""
        for name, each in REFUSALS.items():
            self.assertIn(HTTPStatus(each.status).value // 100, (4, 5), name)
            self.assertRegex(each.sentence, r"^[A-Z][^{}]*\.$", name)

    def test_responses_become_502(self) -> None:
        """What only an origin can do wrong is a bad gateway to the visitor."""
        for name in ("BAD_STATUS_LINE", "UNEXPECTED_BODY", "UNEXPECTED_UPGRADE", "TOO_MANY_INTERIM"):
            self.assertEqual(REFUSALS[name].status, HTTPStatus.BAD_GATEWAY)

    def test_error_says_the_sentence(self) -> None:
        """The error that is raised reads as the reason, and carries it."""
        error = MessageRefused(refusals.LOOP)
        self.assertEqual((str(error), error.refusal), (refusals.LOOP.sentence, refusals.LOOP))

"""Tests of `policy.judging.proofs`."""

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.judging.samples import SampleCheck, proven, request
from warp_twisted.policy.interfaces import Question
from warp_twisted.policy.judging.proofs import Finding, Inquiry, OneCheck, Several


def check(kind: str) -> OneCheck:
    """Return one check."""
    return OneCheck(SampleCheck(kind, kind))


class ProofsTests(SynchronousTestCase):
    """What several checks come to."""

    def look(self, proof: OneCheck | Several, *credentials: str) -> tuple[Finding, Inquiry]:
        """Look at a request with credentials."""
        inquiry = Inquiry(request("GET /", *(f"Authorization: {each}" for each in credentials)), 0.0, 0.0, {})
        return proof.look(inquiry), inquiry

    def test_one(self) -> None:
        """One check: each of its outcomes."""
        for name, finding in (
            ("alice", Finding.PROVEN),
            ("bad", Finding.REFUSED),
            ("busy", Finding.BUSY),
            ("slow", Finding.OPEN),
            ("bug", Finding.FAILED),
        ):
            self.assertIs(self.look(check("basic"), f"basic {name}")[0], finding)
        self.assertIs(self.look(check("basic"))[0], Finding.ABSENT)
        _, inquiry = self.look(check("basic"), "basic bug")
        self.assertEqual([type(error) for error in inquiry.errors], [KeyError])

    def test_any_of(self) -> None:
        """One is enough; a question is asked only if nothing else proves it."""
        either = Several([check("basic"), check("jwt")], needs_all=False)
        for credentials, finding in (
            (("jwt alice",), Finding.PROVEN),
            (("basic slow", "jwt alice"), Finding.PROVEN),
            (("basic slow",), Finding.OPEN),
            (("basic bad", "jwt slow"), Finding.OPEN),
            (("basic bad",), Finding.REFUSED),
            (("basic busy", "jwt bad"), Finding.BUSY),
            (("basic bug", "jwt alice"), Finding.PROVEN),
            (("basic bug", "jwt bad"), Finding.FAILED),
            ((), Finding.ABSENT),
        ):
            found, inquiry = self.look(either, *credentials)
            self.assertIs(found, finding, credentials)
            self.assertEqual(len(inquiry.questions), finding is Finding.OPEN)
            self.assertEqual(len(inquiry.identities), finding is Finding.PROVEN)

    def test_all_of(self) -> None:
        """Each is needed; no question is asked where another check has decided."""
        both = Several([check("basic"), check("jwt")], needs_all=True)
        for credentials, finding in (
            (("basic alice", "jwt alice"), Finding.PROVEN),
            (("basic alice",), Finding.ABSENT),
            (("basic slow", "jwt bad"), Finding.REFUSED),
            (("basic slow", "jwt slow"), Finding.OPEN),
            (("basic slow",), Finding.ABSENT),
            (("basic alice", "jwt bug"), Finding.FAILED),
        ):
            found, inquiry = self.look(both, *credentials)
            self.assertIs(found, finding, credentials)
            self.assertEqual(bool(inquiry.questions), finding is Finding.OPEN)
            self.assertEqual(bool(inquiry.identities), finding is Finding.PROVEN)

    def test_within_each_other(self) -> None:
        """What half of a pair proved does not count when the pair fails."""
        pair = Several([check("basic"), check("service_token")], needs_all=True)
        found, inquiry = self.look(Several([pair, check("jwt")], needs_all=False), "basic alice", "jwt bob")
        self.assertEqual((found, [each.subject for each in inquiry.identities]), (Finding.PROVEN, ["bob"]))

    def test_none(self) -> None:
        """Without any check nothing is proven, whichever way they are joined."""
        for needs_all in (False, True):
            self.assertIs(self.look(Several([], needs_all=needs_all), "basic alice")[0], Finding.ABSENT)

    def test_answers(self) -> None:
        """An answer to an equal question is taken; the question does not show the credential."""
        question = Question("basic", "basic", b"basic slow")
        self.assertNotIn("slow", repr(question))
        inquiry = Inquiry(request("GET /", "Authorization: basic slow"), 0.0, 0.0, {question: proven("basic", "slow")})
        self.assertIs(check("basic").look(inquiry), Finding.PROVEN)

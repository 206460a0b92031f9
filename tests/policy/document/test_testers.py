"""Tests of `warp_twisted.policy.document.testers`, and of what an entry of `routing` asks of it."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.policy.document.testers import parse_identity
from warp_twisted.policy.errors import InvalidPolicy

ENTRY = "routing: [{hostname: a.example, split: [{selector: r=a, weight: 1}], %s}]"


class TestersDocumentTests(SynchronousTestCase):
    """The key `testers` of an entry."""

    def refusal(self, testers: str, more: str = "") -> str:
        """Return why testers are refused, without their place; empty if they are not."""
        try:
            parse_policy(ENTRY % f"testers: {testers}{more}", "p")
        except InvalidPolicy as error:
            return str(error).removeprefix("p: ").removeprefix("routing[0].")
        return ""

    def test_taken(self) -> None:
        """One way to choose, and somebody who may."""
        for text in (
            "{header: X-Release, sources: [192.0.2.0/24]}",
            "{header: X-Warp-Release, sources: [{file: office.txt}, {country: [DE]}]}",
            "{cookie: warp_release, identities: ['jwt:alice:b'], taken_back: true}",
            "{cookie: warp_release, identities: [basic:alice], sources: ['2001:db8::/32']}",
        ):
            self.assertEqual(self.refusal(text), "", text)
        self.assertEqual(parse_identity("jwt:alice:b"), ("jwt", "alice:b"))

    def test_refused(self) -> None:
        """What nobody could choose by, or anybody could, is refused with its place and what was expected."""
        for text, expected in (
            ("{sources: [192.0.2.0/24]}", "testers: expected either header or cookie, with a name"),
            ("{header: X-A, cookie: a, sources: [192.0.2.1]}", "testers: expected either header or cookie"),
            ("{header: X-A}", "testers: expected sources, identities or both: who may choose"),
            ("{header: X-A, sources: []}", "testers.sources: expected"),
            ("{header: X-A, identities: []}", "testers.identities: expected"),
            ("{header: X-A, sources: [192.0.2.1/24]}", "testers.sources[0]: "),
            ("{header: X_A, sources: [192.0.2.1]}", "testers.header: expected a field's name of at most 64 letters"),
            ("{header: 'X-A:', sources: [192.0.2.1]}", "testers.header: expected a field's name"),
            ("{header: Cookie, sources: [192.0.2.1]}", "testers.header: Cookie: has another use; choose a name such"),
            ("{header: x-forwarded-for, sources: [192.0.2.1]}", "testers.header: x-forwarded-for: has another use"),
            ("{header: Warp-Mirror, sources: [192.0.2.1]}", "testers.header: Warp-Mirror: has another use"),
            ("{cookie: 'a b', sources: [192.0.2.1]}", "testers.cookie: expected 1 to 64 letters, digits, '_', '.' or"),
            ("{cookie: __Host-a, sources: [192.0.2.1]}", "testers.cookie: '__Host-a': browsers take cookies"),
            ("{cookie: a, identities: [alice]}", "testers.identities: expected a check and a subject, such as basic:"),
            ("{cookie: a, identities: ['basic:a', 'ldap:a']}", "testers.identities[1]: expected a check"),
            ("{cookie: a, identities: ['basic:']}", "testers.identities: expected a check"),
            ("{cookie: a, identites: ['basic:a']}", "testers.identites: unknown key; did you mean identities?"),
        ):
            self.assertIn(expected, self.refusal(text), text)
        self.assertIn(
            "testers.cookie: 'a' is the cookie of sticky; choose another name",
            self.refusal("{cookie: a, sources: [192.0.2.1]}", ", sticky: {cookie: a}"),
        )

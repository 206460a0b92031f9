"""Tests of `policy.document.authentication`."""

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.refusals import policy_of, refusal_of

_JWT = "jwt: {jwks_file: keys.json, issuer: i, audience: a%s}"


class AuthenticationTests(SynchronousTestCase):
    """The key `authenticate`."""

    def refusal(self, proof: str) -> str:
        """Return why one proof is refused."""
        return refusal_of(f"authenticate: {{any_of: [{{{proof}}}]}}").removeprefix("authenticate.any_of[0]")

    def test_what_there_is(self) -> None:
        """Proofs may stand within each other."""
        proofs = "{basic: {users_file: u}}, {all_of: [{service_token: {}}, {client_certificate: {ca_file: ca.pem}}]}"
        policy = policy_of(f"authenticate: {{any_of: [{proofs}], cors_preflight: true}}")
        authenticate = policy.rules[0].authenticate
        assert authenticate is not None
        assert authenticate.any_of is not None
        self.assertEqual(authenticate.any_of[0].basic and authenticate.any_of[0].basic.realm, "Warp")
        self.assertTrue(authenticate.cors_preflight)
        self.assertTrue(authenticate.assertion)

    def test_nothing_to_prove(self) -> None:
        """An empty any_of would let in nobody or everybody, and is refused."""
        for text in ("{}", "{any_of: []}", "{all_of: []}", "{any_of: [{}]}", "{any_of: [{all_of: []}]}"):
            self.assertIn("expected", refusal_of(f"authenticate: {text}"), text)
        both = "{any_of: [{service_token: {}}], all_of: [{service_token: {}}]}"
        self.assertIn("expected any_of or all_of", refusal_of(f"authenticate: {both}"))

    def test_depth(self) -> None:
        """Four lists within each other are the most."""
        proof = "{service_token: {}}"
        for _ in range(3):
            proof = f"{{any_of: [{proof}]}}"
        self.assertEqual(refusal_of(f"authenticate: {{any_of: [{proof}]}}"), "")
        self.assertIn("4 deep at most", refusal_of(f"authenticate: {{any_of: [{{all_of: [{proof}]}}]}}"))

    def test_mistakes(self) -> None:
        """Each is refused with the key it is in."""
        for proof, expected in (
            ("bsic: {users_file: u}", ".bsic: unknown key; did you mean basic?"),
            ("basic: {users_file: u}, service_token: {}", ": expected one of basic, jwt"),
            ("basic: {users_file: ../u}", ".basic.users_file: expected a path below policy_files"),
            ("basic: {users_file: u, realm: 'a\"'}", ".basic.realm: expected printable ASCII"),
            ("jwt: {issuer: i, audience: a}", ".jwt: expected jwks_file or jwks_url"),
            ("jwt: {jwks_url: 'http://a.example', issuer: i, audience: a}", ".jwt.jwks_url: expected an https URL"),
            (_JWT % ", algorithms: [none]", ".jwt.algorithms[0]: expected 'ES256' or"),
            (_JWT % ", algorithms: [HS256]", ".jwt.algorithms[0]: expected 'ES256' or"),
            (_JWT % ", leeway: 1h", ".jwt.leeway: expected 5m at most"),
            (_JWT % ", header: X, cookie: c", ".jwt: expected header or cookie, not both"),
            (
                "client_certificate: {ca_file: c, fingerprints: [ab]}",
                ".client_certificate.fingerprints[0]: expected the 64",
            ),
            ("service_token: {names: []}", ".service_token.names: expected"),
        ):
            self.assertIn(expected, self.refusal(proof), proof)

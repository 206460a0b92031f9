"""Tests of `warp_twisted.cli.operate.certificates`."""

import json

import click
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.fake_admin import FakeAdmin
from tests.cli.invoke import invoke
from warp_twisted.cli.operate import certificates, completing

ISSUED = {
    "name": "warp.example",
    "names": ["warp.example", "*.warp.example"],
    "state": "issued",
    "is_wanted": True,
    "expires_at": 1_800_000_000.0,
    "renew_at": 1_797_000_000.0,
}
FAILED = {
    "name": "shop.example",
    "names": ["shop.example"],
    "state": "failed",
    "error": "the authority finds no TXT record; delegate the zone to its name servers",
    "failures": 2,
    "failed_at": 1_700_000_000.0,
    "not_before": 1_700_003_600.0,
}


class CertificateTests(SynchronousTestCase):
    """`warp certificate`."""

    def setUp(self) -> None:
        self.edge = FakeAdmin()
        self.set(ISSUED)
        for module in (certificates, completing):
            self.patch(module, "find_admin", lambda option, timeout=10.0: self.edge)

    def set(self, *found: object) -> None:
        """Let the edge have these."""
        self.edge.answers["GET /v1/certificates"] = {
            "directory": "letsencrypt",
            "email": "ops@warp.example",
            "account": "https://ca/acct/1",
            "certificates": found,
        }

    def test_list(self) -> None:
        """Names, state, end and renewal; as JSON what the edge said."""
        self.set(ISSUED, FAILED | {"is_wanted": False})
        output = invoke("certificate", "list").output
        self.assertRegex(
            output, r"warp\.example +warp\.example, \*\.warp\.example +issued +2027-01-15 08:00 +2026-12-11 \d\d:\d\d\n"
        )
        self.assertRegex(output, r"shop\.example +shop\.example +failed, not wanted any more +- +-\n")
        self.assertEqual(json.loads(invoke("certificate", "list", "--json").output)["directory"], "letsencrypt")

    def test_status(self) -> None:
        """How it stands, and in a sentence what keeps it; the status of the command says whether something does."""
        ran = invoke("certificate", "status")
        self.assertEqual(ran.status, 0)
        self.assertIn("Account:   https://ca/acct/1, ops@warp.example\n", ran.output)
        self.assertIn("warp.example: issued\n  for warp.example, *.warp.example\n", ran.output)
        self.assertIn("  ends 2027-01-15 08:00 UTC, is renewed 2026-12-11 ", ran.output)
        self.set(ISSUED, FAILED)
        ran = invoke("certificate", "status")
        self.assertEqual(ran.status, 1)
        self.assertIn("shop.example: failed\n", ran.output)
        self.assertIn(f"  at 2023-11-14 22:13 UTC: {FAILED['error']}\n", ran.output)
        self.assertIn("  ordered again at 2023-11-14 23:13 UTC\n", ran.output)
        ran = invoke("certificate", "status", "--json")
        self.assertEqual((ran.status, json.loads(ran.output)["certificates"][1]["failures"]), (1, 2))
        self.set(ISSUED | {"not_shown": "it is not sealed for this edge yet"})
        ran = invoke("certificate", "status")
        self.assertEqual(ran.status, 1)
        self.assertIn("not shown to visitors by this edge: it is not sealed", ran.output)

    def test_renew(self) -> None:
        """Some are ordered anew, or all; one of the two has to be said."""
        self.edge.answers["POST /v1/certificates/renew"] = [ISSUED | {"renew_at": 0}]
        ran = invoke("certificate", "renew", "warp.example")
        self.assertEqual(
            ran.output, "warp.example is ordered anew; warp certificate status says how it goes.\n", ran.errors
        )
        invoke("certificate", "renew", "--all")
        self.assertEqual([body for _, body in self.edge.asked], [{"name": "warp.example"}, {"name": ""}])
        for wrong in ((), ("warp.example", "--all")):
            self.assertEqual(invoke("certificate", "renew", *wrong).status, 2)
        self.assertEqual(json.loads(invoke("certificate", "renew", "--all", "--json").output)[0]["renew_at"], 0)

    def test_completion(self) -> None:
        """Names are completed; nothing where no edge answers."""

        def complete(incomplete: str) -> list[str]:
            context = click.Context(certificates.renew)
            found = certificates._complete(context, certificates.renew.params[0], incomplete)
            return [item.value for item in found]

        self.assertEqual((complete("warp"), complete("x")), (["warp.example"], []))
        del self.edge.answers["GET /v1/certificates"]
        self.assertEqual(complete(""), [])

    def test_revoke(self) -> None:
        """Each is revoked by its name."""
        self.edge.answers["POST /v1/certificates/revoke"] = ISSUED | {"revoke": True}
        ran = invoke("certificate", "revoke", "warp.example")
        self.assertEqual(ran.output, "warp.example is revoked and ordered anew.\n", ran.errors)
        self.assertEqual(self.edge.asked, [("POST /v1/certificates/revoke", {"name": "warp.example"})])
        self.assertTrue(json.loads(invoke("certificate", "revoke", "x", "--json").output)["revoke"])
        self.assertEqual(invoke("certificate", "revoke").status, 2)

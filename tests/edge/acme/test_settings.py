"""Tests of `acme` of edge.yaml."""

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.acme.settings import AcmeSettings

ZONE = "warp.example"


def read(**keys: object) -> AcmeSettings:
    """Read the section."""
    return msgspec.convert(keys, AcmeSettings)


class SettingsTests(SynchronousTestCase):
    """Values as they are read."""

    def test_by_default(self) -> None:
        """Nothing need be said: one certificate for the zone and what is below, of Let's Encrypt."""
        settings = read()
        self.assertEqual(settings.wanted(ZONE), ((ZONE, f"*.{ZONE}"),))
        self.assertEqual((settings.told.directory, settings.told.external_account), ("letsencrypt", None))
        self.assertTrue(settings.caa)

    def test_everything(self) -> None:
        """What is said reaches the issuing process."""
        settings = read(
            directory="https://ca.example/dir",
            email="ops@warp.example",
            root="/etc/ca.pem",
            profile="shortlived",
            eab={"key_id": "k", "hmac_key_file": "/etc/hmac"},
            certificates=[[f"*.team.{ZONE}"], [ZONE]],
        )
        told = settings.told
        self.assertEqual((told.directory, told.email), ("https://ca.example/dir", "ops@warp.example"))
        self.assertEqual((told.root, told.profile), ("/etc/ca.pem", "shortlived"))
        assert told.external_account is not None
        self.assertEqual((told.external_account.key_id, told.external_account.hmac_key_file), ("k", "/etc/hmac"))
        self.assertEqual(settings.wanted(ZONE), ((f"*.team.{ZONE}",), (ZONE,)))

    def test_what_is_refused(self) -> None:
        """Errors name the key."""
        for keys, word in (
            ({"directory": "http://ca.example/"}, "directory"),
            ({"directory": ""}, "directory"),
            ({"certificates": [[]]}, "certificates"),
            ({"certificates": [["A.example"]]}, "certificates[0][0]: expected 'a.example'"),
            ({"certificates": [["a.example"], ["a.*.example"]]}, "certificates[1][0]"),
            ({"certificates": [["a.example"], ["a.example", "b.example"]]}, "same name"),
            ({"eab": {"key_id": "k"}}, "hmac_key_file"),
            ({"mail": "x"}, "mail"),
        ):
            error = self.assertRaises(msgspec.ValidationError, read, **keys)
            self.assertIn(word, str(error))

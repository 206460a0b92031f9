"""Tests of `warp_dns.serve.files`."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from warp_dns.errors import DnsError, InvalidZone
from warp_dns.serve.files import read_secrets, read_zone, state_of
from warp_dns.settings import CookieSettings, KeySettings, ServerSettings, ZoneSettings


class FileCase(SynchronousTestCase):
    """Tests with a directory."""

    def setUp(self) -> None:
        """Make the directory."""
        self.directory = Path(self.mktemp())
        self.directory.mkdir()

    def write(self, name: str, content: str) -> str:
        """Write a file and return its path."""
        path = self.directory / name
        path.write_text(content)
        return str(path)


class SecretTests(FileCase):
    """Reading secrets."""

    def test_secrets_are_read(self) -> None:
        """Cookie secrets and TSIG secrets come from their files; a repr shows how many there are."""
        settings = ServerSettings(
            cookies=CookieSettings(secrets_file=self.write("cookies", "00112233445566778899aabbccddeeff\n")),
            keys=[KeySettings(name="k", secret_file=self.write("k", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"))],
        )
        secrets = read_secrets(settings)
        self.assertEqual(secrets.keys, [("k", "hmac-sha256", bytes(range(32)))])
        self.assertEqual(repr(secrets), "Secrets(1 cookie secrets, 1 keys)")

    def test_a_cookie_secret_is_made(self) -> None:
        """Without a file each start has a secret of its own; switched off there is none."""
        self.assertNotEqual(read_secrets(ServerSettings()).cookies, read_secrets(ServerSettings()).cookies)
        self.assertEqual(read_secrets(ServerSettings(cookies=CookieSettings(enabled=False))).cookies, [])

    def test_what_cannot_be_read_is_named(self) -> None:
        """A file that is missing, large, or of other bytes is named with the key that it belongs to."""
        for path in (str(self.directory / "nothing"), self.write("bad", "%%%"), self.write("large", "A" * 70000)):
            with self.assertRaises(DnsError) as caught:
                read_secrets(ServerSettings(keys=[KeySettings(name="k", secret_file=path)]))
            self.assertTrue("key k" in str(caught.exception) or path in str(caught.exception))


class ZoneFileTests(FileCase):
    """Reading master files."""

    def test_a_missing_file_is_named(self) -> None:
        """The path and the system's reason are told."""
        with self.assertRaisesRegex(InvalidZone, "nothing: No such file"):
            read_zone(ZoneSettings(name="example.org", master_file=str(self.directory / "nothing")))

    def test_a_change_of_a_file_is_seen(self) -> None:
        """Other content, or another file of that name, is another state; none is None."""
        path = self.write("zone", "a")
        before = state_of(path)
        self.write("new", "b")
        (self.directory / "new").replace(path)
        self.assertNotEqual(state_of(path), before)
        self.assertIsNone(state_of(path + "x"))

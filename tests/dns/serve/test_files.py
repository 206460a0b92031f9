"""Tests of `warp_dns.serve.files`."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from warp_dns.errors import DnsError, InvalidSettings, InvalidZone
from warp_dns.serve.files import SerialFile, read_secrets, read_zone, state_of
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


class SerialFileTests(FileCase):
    """The serial that outlives a restart."""

    def setUp(self) -> None:
        """Name the file."""
        super().setUp()
        self.path = str(self.directory / "serial")

    def test_the_first_start_is_the_clock(self) -> None:
        """Without a file the serial is the one asked for."""
        self.assertEqual(SerialFile(self.path).first(1000), 1000)

    def test_a_restart_goes_on_from_beyond_what_was_used(self) -> None:
        """However many serials were used, the next start begins after them."""
        file = SerialFile(self.path)
        file.first(1000)
        for serial in range(1001, 9000):
            file.note(serial)
        self.assertGreater(SerialFile(self.path).first(1000), 9000)

    def test_a_clock_that_is_further_wins(self) -> None:
        """When more time passed than serials were used, the clock counts."""
        SerialFile(self.path).first(1000)
        self.assertEqual(SerialFile(self.path).first(50000), 50000)

    def test_writes_are_rare(self) -> None:
        """A thousand serials take two writes."""
        file = SerialFile(self.path)
        file.first(1)
        states = set()
        for serial in range(2, 1002):
            file.note(serial)
            states.add(state_of(self.path))
        self.assertLessEqual(len(states), 2)

    def test_a_file_of_something_else_is_refused(self) -> None:
        """Nothing is overwritten that is no serial, and what cannot be written is named."""
        Path(self.path).write_text("banana")
        self.assertRaisesRegex(InvalidSettings, "not a serial", SerialFile(self.path).first, 1)
        self.assertRaisesRegex(InvalidSettings, "Not a dir", SerialFile(self.path + "/x/y").note, 1)

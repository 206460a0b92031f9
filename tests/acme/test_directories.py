"""Tests for warp_twisted.acme.directories."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.acme.directories import NAMED, directory_url
from warp_twisted.errors import InvalidSettings


class DirectoryTests(SynchronousTestCase):
    """Authorities by name and by URL."""

    def test_named(self) -> None:
        """Each name stands for a URL that would be taken as it is."""
        self.assertEqual(set(NAMED), {"letsencrypt", "letsencrypt-staging", "zerossl", "google"})
        for name, url in NAMED.items():
            self.assertEqual((directory_url(name), directory_url(url)), (url, url))

    def test_refused(self) -> None:
        """What is neither is refused, naming the key and the names."""
        for text in (
            "",
            "letsencript",
            "http://ca.example/dir",
            "https://",
            "https://ca.example:99999/",
            "https://[::/",
        ):
            with self.assertRaisesRegex(InvalidSettings, r"acme\.directory: expected an https URL or one of lets"):
                directory_url(text)

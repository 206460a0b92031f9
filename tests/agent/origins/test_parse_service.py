"""Tests of reading a rule's service text in `warp_twisted.agent.origins`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.origins import KINDS, BuiltIn, Dial, OriginRequest, parse_service
from warp_twisted.errors import InvalidSettings

PLAIN = OriginRequest(connect_timeout=3.0)


class ParseServiceTests(SynchronousTestCase):
    """What a service text may be, and how the origin is reached."""

    def test_normal_form_of_each_kind(self) -> None:
        """Every kind is read and shown again in one form."""
        for service, text in {
            "http://localhost:3000": "http://localhost:3000",
            "http://LOCALHOST": "http://localhost:80",
            "http://10.0.0.1:8080/": "http://10.0.0.1:8080",
            "https://[2001:db8::1]": "https://[2001:db8::1]:443",
            "tcp://db.internal:5432": "tcp://db.internal:5432",
            "unix:/run/app.sock": "unix:/run/app.sock",
            "unix:///run/app.sock": "unix:/run/app.sock",
            "unix+tls:/run/app.sock": "unix+tls:/run/app.sock",
            "hello-world": "hello-world",
            "hello_world": "hello-world",
            "http_status:404": "http_status:404",
        }.items():
            self.assertEqual(parse_service(service, PLAIN).text, text)

    def test_what_is_refused(self) -> None:
        """Paths, passwords, missing ports and hosts, spaces, other schemes and statuses that are no answer."""
        for service in (
            "",
            "localhost:3000",
            "http://",
            "http://localhost:0",
            "http://localhost:65536",
            "http://localhost:port",
            "http://local host",
            "http://localhost/path",
            "http://localhost?x",
            "http://user:secret@localhost",
            "http://[::1",
            "tcp://localhost",
            "unix:relative.sock",
            "unix:/",
            "unix:/" + "a" * 107,
            "unix:/a\0b",
            "hello-world:1",
            "http_status:",
            "http_status:99",
            "http_status:101",
            "http_status:299x",
            "http_status:799",
            "ssh://localhost:22",
            "ws://localhost:80",
        ):
            error = self.assertRaises(InvalidSettings, parse_service, service, PLAIN)
            self.assertNotIn("secret", str(error))

    @settings(deadline=None, max_examples=300)
    @given(st.sampled_from(["", *(f"{kind}:" for kind in KINDS), "http://", "https://"]), st.text(max_size=40))
    def test_any_text_is_taken_or_refused(self, kind: str, text: str) -> None:
        """Whatever a rule holds becomes an origin or `InvalidSettings`, and an origin's text is read as the same."""
        try:
            origin = parse_service(kind + text, PLAIN)
        except InvalidSettings:
            return
        self.assertEqual(parse_service(origin.text, PLAIN).text, origin.text)

    def test_every_kind_says_how_it_is_reached(self) -> None:
        """Access is an endpoint with the rule's time-out and TLS where the scheme says so, or a built-in site."""
        samples = {
            "http": ("http://localhost:1", False),
            "https": ("https://localhost:1", True),
            "tcp": ("tcp://10.0.0.1:1", False),
            "unix": ("unix:/a", False),
            "unix+tls": ("unix+tls:/a", True),
            "hello-world": ("hello-world", None),
            "hello_world": ("hello_world", None),
            "http_status": ("http_status:404", None),
        }
        self.assertEqual(set(samples), set(KINDS))
        for service, is_tls in samples.values():
            access = parse_service(service, PLAIN).access(MemoryReactorClock())
            if is_tls is None:
                self.assertIsInstance(access, BuiltIn)
            else:
                assert isinstance(access, Dial)
                self.assertEqual((access.tls, access.timeout), (is_tls, 3.0))

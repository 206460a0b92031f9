"""Tests of `warp_dns.serve.assembly`."""

import dns.message
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from tests.dns.helpers import edns_option, question, zone_of
from warp_dns.errors import InvalidSettings
from warp_dns.serve.assembly import make_responder
from warp_dns.serve.metrics import Counters
from warp_dns.serve.responder import Responder
from warp_dns.settings import PlacesSettings, RateLimitSettings, Secrets, ServerSettings

SECRETS = Secrets([bytes(16)], [("key.example", "hmac-sha256", bytes(32))])


class MakeResponderTests(SynchronousTestCase):
    """A responder from settings."""

    def make(self, settings: ServerSettings, secrets: Secrets = SECRETS, workers: int = 1) -> Responder:
        """Return a responder that serves a zone."""
        responder = make_responder(settings, secrets, Counters(), SettableWallClock(1_000_000.0), workers=workers)
        responder.serve(zone_of("app 30 A 192.0.2.1"))
        return responder

    def answered(self, responder: Responder, queries: int) -> int:
        """Return how many of a stranger's queries get a whole answer over UDP."""
        asked = [responder.respond(question("app.example.org", "A"), "198.51.100.7") for _ in range(queries)]
        return sum(1 for made in asked if made is not None and not made[2] & 0x02)

    def test_the_rate_is_shared(self) -> None:
        """Each of several processes allows its part of the rate, rounded up; 0 is no limit."""
        limited = ServerSettings(rate_limit=RateLimitSettings(responses_per_second=10, slip=0, exempt=[]))
        alone, one_of_three = self.make(limited).limit, self.make(limited, workers=3).limit
        assert alone is not None
        assert one_of_three is not None
        self.assertEqual(self.answered(self.make(limited), 100), 10)
        self.assertEqual(self.answered(self.make(limited, workers=3), 100), 4)
        unlimited = self.make(ServerSettings(rate_limit=RateLimitSettings(responses_per_second=0)))
        self.assertIsNone(unlimited.limit)
        self.assertEqual(self.answered(unlimited, 100), 100)

    def test_cookies_need_a_secret(self) -> None:
        """Without secrets there are no cookies in replies."""
        asked = question("app.example.org", "A", use_edns=0, options=[edns_option(10, bytes(8))])
        for secrets, options in ((SECRETS, [10]), (Secrets([], []), [])):
            made = self.make(ServerSettings(), secrets).respond(asked, "198.51.100.7")
            assert made is not None
            self.assertEqual([int(option.otype) for option in dns.message.from_wire(made).options], options)

    def test_a_database_that_is_not_there(self) -> None:
        """What cannot be used is refused with its key."""
        with self.assertRaisesRegex(InvalidSettings, "places.database"):
            self.make(ServerSettings(places=PlacesSettings(database="/nowhere.mmdb")))

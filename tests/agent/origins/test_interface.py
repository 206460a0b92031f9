"""Tests of `warp_twisted.agent.origins.interface`: what an `originRequest` may hold."""

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.origins.interface import DEFAULT_CONNECT_TIMEOUT, MAX_CONNECT_TIMEOUT, OriginRequest


class OriginRequestTests(SynchronousTestCase):
    """Defaults and bounds."""

    def test_defaults(self) -> None:
        """Without any key, an origin is verified and has ten seconds to answer."""
        request = msgspec.convert({}, OriginRequest)
        self.assertEqual((request.connect_timeout, request.no_tls_verify), (DEFAULT_CONNECT_TIMEOUT, False))
        self.assertEqual((request.ca, request.server_name), (None, None))

    def test_bounds(self) -> None:
        """Time-outs are above 0 and bounded, and there are no other keys."""
        self.assertEqual(
            msgspec.convert({"connect_timeout": MAX_CONNECT_TIMEOUT}, OriginRequest).connect_timeout,
            MAX_CONNECT_TIMEOUT,
        )
        for bad in ({"connect_timeout": 0}, {"connect_timeout": MAX_CONNECT_TIMEOUT + 1}, {"timeout": 1}):
            self.assertRaises(msgspec.ValidationError, msgspec.convert, bad, OriginRequest)

    def test_equal_requests_are_one_origin(self) -> None:
        """Requests are values, so routes with the same text and request share an origin."""
        self.assertEqual(len({OriginRequest(ca="/a"), OriginRequest(ca="/a"), OriginRequest()}), 2)

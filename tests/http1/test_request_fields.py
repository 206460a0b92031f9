"""Tests of single request fields: which are read, passed on or dropped, and what their values say."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.http1 import refusals
from warp_twisted.http1.body import CHUNKED
from warp_twisted.http1.refusals import MessageRefused, Refusal
from warp_twisted.http1.request_fields import (
    check_loop,
    expects_continue,
    framing,
    hop_by_hop,
    max_forwards,
    may_differ,
    sort_fields,
)


class RequestFieldsTests(SynchronousTestCase):
    """One function after the other."""

    def assert_refused(self, refusal: Refusal, function: object, *arguments: object) -> None:
        """Assert that a function refuses its arguments, and why."""
        error = self.assertRaises(MessageRefused, function, *arguments)
        self.assertEqual(error.refusal, refusal)

    def test_sort(self) -> None:
        """Fields with a meaning are found by lower-case name, all others kept; the edge's own are dropped."""
        lines = [b"HOST: a", b"X-A: 1", b"Accept: b", b"Proxy: c", b"X-Forwarded-For: d", b"X_Real_IP: e", b"X_Own: f"]
        found, kept = sort_fields(lines)
        self.assertEqual(found, {"host": [b" a"], "accept": [b" b"]})
        self.assertEqual(kept, [b"X-A: 1", b"Accept: b", b"X_Own: f"])
        for name in (b"Content_Length", b"Content.Length", b"Transfer~Encoding"):
            self.assert_refused(refusals.SHADOW_FIELD, sort_fields, [name + b": 5"])
        self.assertEqual(sort_fields([b"X.Forwarded.For: a", b"X~Real~IP: b", b"My.Own: c"]), ({}, [b"My.Own: c"]))

    def test_may_differ(self) -> None:
        """Values may differ unseen only where they mean nothing here; Accept is noted by the reader itself."""
        for name in (b"cookie", b"referer", b"x-a", b"accept"):
            self.assertTrue(may_differ(name), name)
        for name in (b"host", b"content-length", b"via", b"user-agent", b"x-forwarded-for", b"x-request-id", b"x_a"):
            self.assertFalse(may_differ(name), name)

    def test_framing(self) -> None:
        """One length or the coding chunked, never both, never twice."""
        self.assertEqual(framing({}, 1), (0, b""))
        self.assertEqual(framing({"content-length": [b" 007"]}, 1), (7, b"Content-Length: 7\r\n"))
        self.assertEqual(framing({"transfer-encoding": [b" Chunked"]}, 1), (CHUNKED, b"Transfer-Encoding: chunked\r\n"))
        both = {"content-length": [b"5"], "transfer-encoding": [b"chunked"]}
        self.assert_refused(refusals.LENGTH_AND_CODING, framing, both, 1)
        self.assert_refused(refusals.CODING_TOO_EARLY, framing, {"transfer-encoding": [b"chunked"]}, 0)
        self.assert_refused(refusals.BAD_CODING, framing, {"transfer-encoding": [b"gzip, chunked"]}, 1)
        self.assert_refused(refusals.LENGTH_REPEATED, framing, {"content-length": [b"5", b"5"]}, 1)

    def test_expectation(self) -> None:
        """100-continue is the one expectation there is."""
        self.assertTrue(expects_continue([b" 100-Continue"]))
        self.assert_refused(refusals.BAD_EXPECTATION, expects_continue, [b"200-ok"])

    def test_loop(self) -> None:
        """The edge's own name in Via counts, over all Via fields; other proxies do not."""
        check_loop([b"1.1 warp, 1.1 other", b"1.1 warp", b" 1.1 warp"], b"warp")
        self.assert_refused(refusals.LOOP, check_loop, [b"1.1 warp, 1.1 warp", b"1.1 warp, 1.1 warp"], b"warp")

    def test_max_forwards(self) -> None:
        """A number of at most nine digits, once."""
        self.assertEqual(max_forwards([b" 12 "]), 12)
        for values in ([b"-1"], [b""], [b"1", b"1"], [b"1234567890"]):
            self.assert_refused(refusals.BAD_MAX_FORWARDS, max_forwards, values)

    def test_hop_by_hop(self) -> None:
        """An upgrade and TE: trailers are asked for in our own name; other codings are not."""
        self.assertEqual(hop_by_hop({}, b"websocket"), b"Connection: Upgrade\r\nUpgrade: websocket\r\n")
        self.assertEqual(hop_by_hop({"te": [b"gzip, Trailers"]}, b""), b"Connection: TE\r\nTE: trailers\r\n")
        self.assertEqual(hop_by_hop({"te": [b"gzip"]}, b""), b"")

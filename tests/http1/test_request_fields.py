"""Tests of single request fields: which are read, passed on or dropped, and what their values say."""

from time import process_time

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.http1 import refusals
from warp_twisted.http1.body import CHUNKED
from warp_twisted.http1.refusals import MessageRefused, Refusal
from warp_twisted.http1.request_fields import (
    FieldRules,
    expects_continue,
    framing,
    hop_by_hop,
    hops_line,
    max_forwards,
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
        found, kept = FieldRules().sort(lines)
        self.assertEqual(found, {"host": [b" a"], "accept": [b" b"]})
        self.assertEqual(kept, [b"X-A: 1", b"Accept: b", b"X_Own: f"])
        for name in (b"Content_Length", b"Content.Length", b"Transfer~Encoding"):
            self.assert_refused(refusals.SHADOW_FIELD, FieldRules().sort, [name + b": 5"])
        self.assertEqual(
            FieldRules().sort([b"X.Forwarded.For: a", b"X~Real~IP: b", b"My.Own: c"]), ({}, [b"My.Own: c"])
        )

    def test_may_differ(self) -> None:
        """Values may differ unseen only where they mean nothing here; Accept is noted by the reader itself."""
        for name in (b"cookie", b"referer", b"x-a", b"accept"):
            self.assertTrue(FieldRules().may_differ(name), name)
        for name in (
            b"host",
            b"content-length",
            b"warp-hops",
            b"user-agent",
            b"x-forwarded-for",
            b"x-request-id",
            b"x_a",
        ):
            self.assertFalse(FieldRules().may_differ(name), name)

    def kept(self, rules: FieldRules, *names: bytes) -> list[bytes]:
        """Return the names of the fields that are passed on."""
        _, lines = rules.sort([name + b": 1" for name in names])
        kept = [line.partition(b":")[0] for line in lines]
        for name in names:
            self.assertEqual(name not in kept, rules.is_dropped(name.lower()), name)
        return kept

    def test_strip(self) -> None:
        """Names and prefixes are dropped in any case, and so are twins; what only begins or ends alike is kept."""
        rules = FieldRules(["Client-IP", "X-Original-*", "SM_USER"])
        dropped = (b"client-ip", b"CLIENT_IP", b"Client.IP", b"X-Original-URL", b"x_original_url", b"SM-User")
        kept = (b"Client-IPs", b"X-Client-IP", b"X-Original", b"X-Originals", b"SMUser")
        self.assertEqual(self.kept(rules, *dropped, *kept), list(kept))
        self.assertEqual(self.kept(FieldRules(), *dropped), list(dropped))

    def test_default(self) -> None:
        """What origins believe is dropped with `default`, alone or beside others; what visitors use is kept."""
        believed = (
            b"CF-Connecting-IP", b"True-Client-IP", b"X-Client-IP", b"X-Cluster-Client-IP", b"Fastly-Client-IP",
            b"Client-IP", b"Forwarded-For", b"X-Original-URL", b"X-Original-Host", b"X-Rewrite-URL", b"X-Scheme",
            b"X-SSL-Client-Cert", b"X-SSL-Client-Verify", b"Client-Cert", b"Cf-Access-Jwt-Assertion", b"Remote-User",
            b"X-Envoy-External-Address", b"X-Azure-ClientIP", b"X-Auth-Request-Email", b"X-Remote-User", b"REMOTE_USER",
            b"X-Amzn-Oidc-Identity", b"X-Goog-Authenticated-User-Email", b"OIDC_CLAIM_sub", b"X-WEBAUTH-USER",
            b"X-MS-CLIENT-PRINCIPAL-NAME", b"X-Middleware-Subrequest", b"X-Accel-Mapping", b"$WSRA", b"X-Forwarded",
            b"Tailscale-User-Login", b"X-Real-Host", b"WL-Proxy-SSL", b"Akamai-Client-IP", b"X-authentik-username",
        )  # fmt: skip
        used = (
            b"Cookie", b"Authorization", b"Origin", b"traceparent", b"X-Amzn-Trace-Id", b"CDN-Loop", b"X-CSRF-Token",
            b"X-Requested-With", b"X-API-Key", b"X-Goog-Upload-Command", b"X-Amz-Date", b"X-HTTP-Method-Override",
            b"Content-Type", b"Sec-WebSocket-Key", b"Idempotency-Key", b"If-Match", b"Save-Data", b"X-Auth-Token",
            b"Apollo-Require-Preflight", b"HX-Request", b"X-Client-Version", b"Grpc-Timeout", b"Last-Event-ID",
        )  # fmt: skip
        for rules in (FieldRules(["default"]), FieldRules(["X-My-*", "default"])):
            self.assertEqual(self.kept(rules, *believed, *used), list(used))
        self.assertEqual(self.kept(FieldRules(), *believed), list(believed))

    def test_exceptions(self) -> None:
        """With a `!` names and prefixes pass, wherever in the list they stand; the edge's own are no exceptions."""
        for strip in (
            ["default", "!CF-*", "!Client-IP", "!Remote-Fruit"],
            ["!Remote-Fruit", "!Client-IP", "!CF-*", "default"],
        ):
            rules = FieldRules(strip)
            kept = (b"CF-Connecting-IP", b"cf_ray", b"Client-IP", b"Remote-Fruit")
            self.assertEqual(self.kept(rules, *kept, b"Remote-User", b"X-Client-IP"), list(kept))
        rules = FieldRules(["Cookie", "!X-*", "!Co*"], ["X-Client-IP"])
        self.assertEqual(self.kept(rules, b"Cookie", b"X-Forwarded-For", b"X-Real-IP", b"X-Client-IP"), [b"Cookie"])
        for strip in (["!X-Real-IP"], ["!X-Forwarded-For"], ["!Forwarded"], ["!X-Forwarded-*"], ["!X_Client_IP"]):
            self.assertRaises(ValueError, FieldRules, strip, ["X-Client-IP"])

    def test_fields_that_are_read(self) -> None:
        """One whose value is noted is noted still; those of framing cannot be dropped, nor by a prefix."""
        lines = [b"User-Agent: a", b"Accept: b", b"Warp-Hops: 1", b"Cookie: d", b"Host: e", b"Content-Length: 5"]
        found, kept = FieldRules(["user-agent", "accept", "cookie", "Co*", "Ho*"]).sort(lines)
        self.assertEqual(set(found), {"user-agent", "accept", "warp-hops", "host", "content-length"})
        self.assertEqual(kept, [])
        for name in ("Host", "content_length", "Transfer-Encoding", "Connection", "Upgrade", "!Host"):
            error = self.assertRaises(ValueError, FieldRules, [name])
            self.assertIn("the edge does not write itself", str(error))
        self.assert_refused(refusals.SHADOW_FIELD, FieldRules(["Co*"]).sort, [b"Content_Length: 5"])

    def test_patterns(self) -> None:
        """What is no field name, or would drop nearly everything, is refused with what was expected."""
        for pattern in ("", "*", "X*", "!", "X Y", "X-*-IP", "X-A:", "a" * 129, "Ä-*", "X\r\nY", "!default", "X-A**"):
            if pattern != "!default":
                error = self.assertRaises(ValueError, FieldRules, [pattern])
                self.assertIn("such as X-Original-*, got", str(error))
        self.assertEqual(self.kept(FieldRules(["!default"]), b"Default"), [b"Default"])

    def test_many_rules(self) -> None:
        """As many rules and fields as are allowed are sorted in a fraction of what an event may take."""
        rules = FieldRules([f"X-Very-Long-Prefix-{number}-*" for number in range(200)])
        lines = [b"X_Very_Long_Prefix_%d: 1" % number for number in range(100)]
        began = process_time()
        for _ in range(10):
            self.assertEqual(len(rules.sort(lines)[1]), 100)
        self.assertLess((process_time() - began) / 10, 0.005)

    def test_dropped_values_may_differ(self) -> None:
        """A field that is dropped whatever it says may differ from head to head; one with a meaning may not."""
        rules = FieldRules(["CF-*", "Client-IP", "!CF-Ray"])
        for name in (b"cf-connecting-ip", b"client-ip", b"cf-ray", b"cookie"):
            self.assertTrue(rules.may_differ(name), name)
        for name in (b"warp-hops", b"host", b"x-forwarded-for", b"client_ip", b"x-real-ip"):
            self.assertFalse(rules.may_differ(name), name)

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
        """Each edge counts itself; what is no number counts nothing."""
        self.assertEqual(hops_line([]), b"Warp-Hops: 1\r\n")
        self.assertEqual(hops_line([b" 3 ", b"2", b"-9", b"123456"]), b"Warp-Hops: 4\r\n")
        self.assert_refused(refusals.LOOP, hops_line, [b"4"])

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

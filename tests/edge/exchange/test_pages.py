"""Tests of the edge's own answers."""

import json
from html.parser import HTMLParser

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge import refusals as edge_refusals
from warp_twisted.edge.exchange.pages import render, response
from warp_twisted.edge.refusals import NO_TUNNEL, OPENINGS, UNKNOWN_HOSTNAME
from warp_twisted.http1 import refusals as http1_refusals
from warp_twisted.http1.refusals import METHOD_NOT_ALLOWED, Refusal
from warp_twisted.wire.preamble import OpeningCode


class RenderTests(SynchronousTestCase):
    """The three forms and which is chosen."""

    def kind(self, accept: bytes) -> bytes:
        """Return the content type chosen for an Accept."""
        return render(UNKNOWN_HOSTNAME, b"id-1", accept)[0].partition(b";")[0]

    def test_chosen_by_accept(self) -> None:
        """Quality decides, then order; without a preference it is text."""
        for accept, kind in (
            (b"", b"text/plain"),
            (b"*/*", b"text/plain"),
            (b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", b"text/html"),
            (b"application/json", b"application/json"),
            (b"Application/JSON, text/html", b"application/json"),
            (b"application/json;q=0.5, text/html;q=0.6", b"text/html"),
            (b"application/json;charset=utf-8;q=0.9, text/html;q=0.6", b"application/json"),
            (b"application/problem+json", b"application/json"),
            (b"text/html;q=0", b"text/plain"),
            (b"image/png", b"text/plain"),
            (b"text/html;q=x", b"text/html"),
            (b";;;,,,=\xff", b"text/plain"),
        ):
            self.assertEqual(self.kind(accept), kind, accept)

    def test_html(self) -> None:
        """The page says status, sentence, reason and id, and closes what it opens."""
        content_type, body = render(NO_TUNNEL, b"id-1", b"text/html")
        self.assertEqual(content_type, b"text/html; charset=utf-8")
        for part in (b"<title>503 Service Unavailable</title>", NO_TUNNEL.sentence.encode(), b"no-tunnel", b"id-1"):
            self.assertIn(part, body)
        HTMLParser().feed(body.decode())
        self.assertLess(len(body), 1500)

    def test_json(self) -> None:
        """Programs get the same facts."""
        self.assertEqual(
            json.loads(render(NO_TUNNEL, b"id-1", b"application/json")[1]),
            {
                "status": 503,
                "title": "Service Unavailable",
                "reason": "no-tunnel",
                "detail": NO_TUNNEL.sentence,
                "request_id": "id-1",
            },
        )

    def test_text(self) -> None:
        """Terminals get three lines."""
        self.assertEqual(
            render(UNKNOWN_HOSTNAME, b"id-1", b"")[1],
            b"404 Not Found: " + UNKNOWN_HOSTNAME.sentence.encode() + b"\nreason: unknown-hostname\nrequest: id-1\n",
        )


class ResponseTests(SynchronousTestCase):
    """Whole responses."""

    def answer(self, refusal: Refusal, *, has_body: bool = True) -> tuple[bytes, bytes]:
        """Return head and body."""
        data = response(refusal, b"id-1", b"", b"a date", connection=b"Connection: close\r\n", has_body=has_body)
        head, _, body = data.partition(b"\r\n\r\n")
        return head, body

    def test_whole(self) -> None:
        """The head frames the body and forbids storing it."""
        head, body = self.answer(UNKNOWN_HOSTNAME)
        self.assertEqual(
            head,
            b"HTTP/1.1 404 Not Found\r\nDate: a date\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: %d\r\nCache-Control: no-store\r\nConnection: close\r\nX-Request-Id: id-1" % len(body),
        )

    def test_head_request(self) -> None:
        """HEAD gets the length but no body."""
        head, body = self.answer(UNKNOWN_HOSTNAME, has_body=False)
        self.assertNotIn(b"Content-Length: 0", head)
        self.assertEqual(body, b"")

    def test_extra_fields(self) -> None:
        """503 says when to come back, 405 what is allowed (RFC 9110 §15.5.6)."""
        self.assertIn(b"\r\nRetry-After: 5\r\n", self.answer(NO_TUNNEL)[0])
        self.assertIn(b"\r\nAllow: GET, ", self.answer(METHOD_NOT_ALLOWED)[0])


class RefusalListTests(SynchronousTestCase):
    """The closed lists of refusals."""

    def test_slugs_are_unique(self) -> None:
        """No two refusals share a slug, as slugs label a metric."""
        every = [
            value
            for module in (http1_refusals, edge_refusals)
            for name, value in vars(module).items()
            if isinstance(value, Refusal) and name.isupper()
        ]
        self.assertEqual(len({refusal.slug for refusal in every}), len(every))
        for refusal in every:
            self.assertRegex(refusal.slug, r"^[a-z0-9.-]+$")
            self.assertTrue(refusal.sentence.endswith("."))
            self.assertNotRegex(refusal.sentence, "[<>&]")

    def test_every_opening_has_an_answer(self) -> None:
        """Whatever an agent answers but success, there is a page for it."""
        self.assertEqual(set(OPENINGS), set(OpeningCode) - {OpeningCode.OPENED})

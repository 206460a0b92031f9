"""
The answers that the edge gives by itself: one status, one sentence, one request id, as HTML, JSON or text.

Which of the three is chosen by Accept; browsers get HTML. Nothing that the visitor sent is repeated but the id,
which is ours.
"""

import re
from http import HTTPStatus

import msgspec

from warp_twisted.http1.refusals import Refusal

RETRY_SECONDS = 5  # said with 503 and 429: an agent's tunnels are back within that
_KINDS = {
    b"text/html": b"text/html",
    b"application/xhtml+xml": b"text/html",
    b"application/json": b"application/json",
    b"application/problem+json": b"application/json",
    b"text/plain": b"text/plain",
    b"text/*": b"text/plain",
    b"application/*": b"application/json",
    b"*/*": b"text/plain",
}
_QUALITY = re.compile(rb"q\s*=\s*([01](?:\.[0-9]{0,3})?)")
_HTML = b"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>%d %b</title>
<style>
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:16vh auto;padding:0 1.5rem}
h1{font-size:1.4rem;font-weight:600;margin:0}
h1 span{color:#c2410c;font-variant-numeric:tabular-nums;margin-right:.4em}
p{margin:.6rem 0 2rem}
footer{font-size:.8rem;opacity:.65;border-top:1px solid currentcolor;padding-top:.6rem}
code{font-family:ui-monospace,monospace}
</style>
<h1><span>%d</span>%b</h1>
<p>%b</p>
<footer>%b &middot; request <code>%b</code></footer>
</html>
"""


class _Problem(msgspec.Struct):
    """The JSON form."""

    status: int
    title: str
    reason: str
    detail: str
    request_id: str


def reason_phrase(status: int) -> str:
    """Return the phrase that goes with a status."""
    return HTTPStatus(status).phrase


def render(refusal: Refusal, request_id: bytes, accept: bytes) -> tuple[bytes, bytes]:
    """
    Return a page's content type and body.

    :param accept: the visitor's Accept, possibly empty.
    """
    phrase = reason_phrase(refusal.status)
    preferred = _preferred(accept)
    if preferred == b"application/json":
        problem = _Problem(refusal.status, phrase, refusal.slug, refusal.sentence, request_id.decode("ascii"))
        return preferred, msgspec.json.encode(problem) + b"\n"
    if preferred == b"text/html":
        words = phrase.encode()
        page = _HTML % (
            refusal.status, words, refusal.status, words, refusal.sentence.encode(), refusal.slug.encode(), request_id
        )  # fmt: skip
        return b"text/html; charset=utf-8", page
    text = f"{refusal.status} {phrase}: {refusal.sentence}\nreason: {refusal.slug}\nrequest: {request_id.decode()}\n"
    return b"text/plain; charset=utf-8", text.encode()


def response(
    refusal: Refusal,
    request_id: bytes,
    accept: bytes,
    date: bytes,
    *,
    connection: bytes,
    has_body: bool,
    retry_seconds: int = RETRY_SECONDS,
    lines: bytes = b"",
) -> bytes:
    """
    Return a whole response.

    :param date: for the Date field.
    :param connection: the Connection line with its CR LF, or empty.
    :param has_body: False in answer to HEAD; the length is stated all the same.
    :param retry_seconds: after which it makes sense to ask again, said with 503 and 429.
    :param lines: further field lines, each with its CR LF.
    """
    content_type, body = render(refusal, request_id, accept)
    extra = lines
    if refusal.status in (429, 503):
        extra += b"Retry-After: %d\r\n" % retry_seconds
    elif refusal.status == 405:
        extra += b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
    return b"".join(
        (
            b"HTTP/1.1 %d %b\r\n" % (refusal.status, reason_phrase(refusal.status).encode()),
            b"Date: %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n" % (date, content_type, len(body)),
            b"Cache-Control: no-store\r\n%b%bX-Request-Id: %b\r\n\r\n" % (extra, connection, request_id),
            body if has_body else b"",
        )
    )


def _preferred(accept: bytes) -> bytes:
    """Choose by quality, then by order; `*/*` and no Accept at all mean text, as terminals send it."""
    best, best_quality = b"text/plain", 0.0
    for part in accept.lower().split(b",")[:32]:
        name, *parameters = (piece.strip() for piece in part.split(b";"))
        kind = _KINDS.get(name)
        quality = _quality(parameters)
        if kind is not None and quality > best_quality:
            best, best_quality = kind, quality
    return best


def _quality(parameters: list[bytes]) -> float:
    for parameter in parameters:
        match = _QUALITY.fullmatch(parameter)
        if match is not None:
            return float(match[1])
    return 1.0

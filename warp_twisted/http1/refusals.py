"""
Why a message is refused: every reason this room knows, each with its status and its sentence.

The list is closed, so it can label a metric. For requests the status goes to the visitor as it stands; a
response that is refused always becomes 502, and the slug tells the operator why.
"""

from dataclasses import dataclass

from warp_twisted.errors import WarpError


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    One reason to refuse.

    :param status: the HTTP status that a visitor is answered with.
    :param slug: the reason's stable name, in logs and as a metric label.
    :param sentence: what a person reads; it never quotes what the visitor sent.
    """

    status: int
    slug: str
    sentence: str


class MessageRefused(WarpError):
    """The HTTP message is malformed or can be read in two ways."""

    def __init__(self, refusal: Refusal):
        super().__init__(refusal.sentence)
        self.refusal = refusal


BAD_REQUEST_LINE = Refusal(400, "request-line", "The request line is not method, target and version by single spaces.")
BAD_METHOD = Refusal(501, "method", "The method is not one this server passes on.")
METHOD_NOT_ALLOWED = Refusal(405, "method-not-allowed", "CONNECT and TRACE are not served here.")
BAD_VERSION = Refusal(505, "version", "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
BAD_TARGET = Refusal(400, "target", "The request target is not a path, an absolute http URI or '*' for OPTIONS.")
TARGET_TOO_LONG = Refusal(414, "target-too-long", "The request target is longer than this server reads.")
MISDIRECTED = Refusal(421, "misdirected", "The scheme of the request target is not that of this connection.")
HEAD_TOO_LARGE = Refusal(431, "head-too-large", "The header section is longer than this server reads.")
TOO_MANY_FIELDS = Refusal(431, "too-many-fields", "The request has more header fields than this server reads.")
BAD_LINE_END = Refusal(400, "line-end", "Lines must end with CR LF, and no other control bytes are allowed.")
BAD_FIELD = Refusal(400, "field", "A header line is not a name, a colon and a value.")
BAD_HOST = Refusal(400, "host", "The Host field is not a valid host with an optional port.")
HOST_MISSING = Refusal(400, "host-missing", "The request has no Host field.")
HOST_REPEATED = Refusal(400, "host-repeated", "The request has more than one Host field.")
HOST_MISMATCH = Refusal(400, "host-mismatch", "The Host field and the request target name different hosts.")
BAD_LENGTH = Refusal(400, "content-length", "Content-Length is not one plain decimal number.")
LENGTH_REPEATED = Refusal(400, "content-length-repeated", "Content-Length is given more than once.")
LENGTH_AND_CODING = Refusal(400, "content-length-and-coding", "Content-Length and Transfer-Encoding are both given.")
BAD_CODING = Refusal(400, "transfer-encoding", "Transfer-Encoding is not exactly one 'chunked'.")
CODING_TOO_EARLY = Refusal(400, "transfer-encoding-in-1.0", "HTTP/1.0 has no Transfer-Encoding.")
BAD_CONNECTION = Refusal(400, "connection", "The Connection field is malformed or names a field that must stay.")
SHADOW_FIELD = Refusal(400, "shadow-field", "A field name differs from a framing field only by an underscore.")
BAD_FORWARDED = Refusal(400, "x-forwarded-for", "X-Forwarded-For does not say for whom the proxy asks.")
BAD_EXPECTATION = Refusal(417, "expect", "Only the expectation 100-continue can be met.")
BAD_MAX_FORWARDS = Refusal(400, "max-forwards", "Max-Forwards is not one plain decimal number.")
LOOP = Refusal(508, "loop", "The request has passed this server too often: its origin seems to lead back here.")
BAD_CHUNK = Refusal(400, "chunk", "The chunked body is malformed.")
BAD_EXTENSION = Refusal(400, "chunk-extension", "A chunk extension is malformed or too long.")
BAD_TRAILER = Refusal(400, "trailer", "The trailer section is malformed.")
TRAILERS_TOO_LARGE = Refusal(431, "trailers-too-large", "The trailer section is longer than this server reads.")
BODY_TOO_LARGE = Refusal(413, "body-too-large", "The body is larger than this server passes on.")

BAD_STATUS_LINE = Refusal(502, "status-line", "The origin's answer does not begin with a valid status line.")
LENGTHS_DIFFER = Refusal(502, "content-lengths-differ", "The origin gave lengths of its answer that differ.")
UNEXPECTED_BODY = Refusal(502, "unexpected-body", "The origin announced a body where its status allows none.")
UNEXPECTED_UPGRADE = Refusal(502, "unexpected-upgrade", "The origin switched to a protocol nobody asked for.")
TOO_MANY_INTERIM = Refusal(502, "too-many-interim", "The origin sent more interim responses than are passed on.")

"""What the tests of this room share: readers with usual settings, and small builders of messages."""

from warp_twisted.http1.forwarding import Forwarding
from warp_twisted.http1.limits import HeadLimits, ResponseRules
from warp_twisted.http1.refusals import MessageRefused, Refusal
from warp_twisted.http1.request import RequestHead, RequestReader
from warp_twisted.http1.response import ResponseHead, ResponseReader

LIMITS = HeadLimits(head_bytes=2048, header_count=20, target_bytes=512)
RULES = ResponseRules(head_bytes=2048, header_count=20)
VISITOR = Forwarding("192.0.2.7", "http")


def request_reader(limits: HeadLimits = LIMITS, forwarding: Forwarding = VISITOR) -> RequestReader:
    """Return a reader for a visitor on plain HTTP."""
    return RequestReader(limits, forwarding)


def request(*lines: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: app.example") -> bytes:
    """Return a request head with a Host line first, unless `host` is empty."""
    return b"\r\n".join([line, *([host] if host else []), *lines, b"", b""])


def read_request(data: bytes) -> RequestHead:
    """Read a head that must be complete."""
    head = request_reader().read(data)
    assert head is not None
    return head


def read_response(data: bytes) -> ResponseHead:
    """Read a head that must be complete."""
    head = ResponseReader(RULES).read(data)
    assert head is not None
    return head


def refusal_of_request(data: bytes) -> Refusal:
    """Return why a request head is refused, read whole; and check that byte by byte gives a refusal, too."""
    try:
        head = request_reader().read(data)
    except MessageRefused as error:
        _refused_bytewise(data)
        return error.refusal
    raise AssertionError(f"{data!r} was read as {head!r}")


def _refused_bytewise(data: bytes) -> None:
    reader = request_reader()
    for end in range(1, len(data) + 1):
        try:
            if reader.read(data[:end]) is not None:
                raise AssertionError(f"{data[:end]!r} was accepted byte by byte")
        except MessageRefused:
            return
    raise AssertionError(f"{data!r} is waited on for ever")


def refusal_of_response(data: bytes) -> Refusal:
    """Return why a response head is refused."""
    try:
        head = ResponseReader(RULES).read(data)
    except MessageRefused as error:
        return error.refusal
    raise AssertionError(f"{data!r} was read as {head!r}")

"""
The request of an HTTP probe, and what its answer says: bytes in, a verdict out.

Pure. Nothing is followed and little is kept: the head, and of the body what is searched for a text, 64 KiB at most. An
answer that an edge would refuse to pass on is a failure here, too.
"""

from warp_twisted.agent.health.settings import BODY_BYTES, Health
from warp_twisted.http1.body import BodyReader, make_reader
from warp_twisted.http1.limits import BodyLimits, ResponseRules
from warp_twisted.http1.refusals import MessageRefused
from warp_twisted.http1.response import ResponseReader, status_has_no_body

GOOD = ""
_HEAD = ResponseRules()
_BODY = BodyLimits()
_INTERIM = 8  # heads of status 1xx before the answer
_CHUNKS = 256  # that one read may begin: some 0.3 ms


def request_bytes(health: Health, host: str) -> bytes:
    """
    Return the request of a probe.

    :param host: what it says in Host.
    """
    target = health.path or "/"
    return (
        f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: warp-agent (health)\r\nAccept: */*\r\n"
        "Connection: close\r\n\r\n"
    ).encode("ascii")


class Answer:
    """
    Reads the answer to one probe.

    :ivar verdict: None while more must come; `GOOD`, or what is wrong.
    """

    __slots__ = ("_body", "_found", "_held", "_interim", "_reader", "_statuses", "_wanted", "verdict")

    def __init__(self, health: Health) -> None:
        self._statuses = health.statuses
        self._wanted = health.body
        self._reader = ResponseReader(_HEAD)
        self._held = b""
        self._interim = 0
        self._body: BodyReader | None = None
        self._found = bytearray()
        self.verdict: str | None = None

    def receive(self, data: bytes) -> None:
        """Take bytes that arrived."""
        if self.verdict is not None:
            return
        try:
            if self._body is None:
                data = self._read_heads(self._held + data)
            if self._body is not None and self.verdict is None:
                self._read_body(self._body, data)
        except MessageRefused:
            self.verdict = "its answer is not valid HTTP"

    def ended(self) -> None:
        """The origin has closed the connection."""
        if self.verdict is not None:
            return
        if self._body is None:
            self.verdict = "it closed the connection without a whole answer"
        else:
            self.verdict = self._without_text()

    def _read_heads(self, data: bytes) -> bytes:
        """Read heads until that of the answer; return what follows it."""
        self._held = data
        while data:
            head = self._reader.read(data)
            if head is None:
                self._held = data
                return b""
            data = data[head.size :]
            if head.status >= 200 or head.status == 101:
                self._judge(head.status, head.length)
                self._held = b""
                return data
            self._interim += 1
            if self._interim > _INTERIM:
                self.verdict = "it does not come to an answer"
                return b""
        self._held = b""
        return b""

    def _judge(self, status: int, length: int) -> None:
        if status not in self._statuses:
            self.verdict = f"it answers {status}"
            return
        body = make_reader(0 if status_has_no_body(status) else min(length, BODY_BYTES), _BODY)  # not read beyond
        if not self._wanted:
            self.verdict = GOOD
        elif body.complete:
            self.verdict = self._without_text()
        else:
            self._body = body

    def _read_body(self, body: BodyReader, data: bytes) -> None:
        payload, rest = body.receive(data, _CHUNKS)
        searched = max(0, len(self._found) - len(self._wanted) + 1)
        self._found += payload[: BODY_BYTES - len(self._found)]
        if self._found.find(self._wanted, searched) >= 0:
            self.verdict = GOOD
        elif rest and not body.complete:
            self.verdict = "its answer is cut into too many chunks"
        elif body.complete or len(self._found) >= BODY_BYTES:
            self.verdict = self._without_text()

    def _without_text(self) -> str:
        text = self._wanted.decode("utf-8", "replace")
        return f"{text!r} is not in its answer"

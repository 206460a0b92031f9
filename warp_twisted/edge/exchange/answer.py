"""
What a visitor is answered: the origin's response, or a page of the edge's own.

An `Answer` takes the origin's bytes as they come, reads them as strictly as requests are read, and writes to the
visitor at once what may be passed on; what arrived whole goes out in one write. The framing is rebuilt for the
visitor: a body without a length is chunked for HTTP/1.1 and ends with the connection for HTTP/1.0. Of a body in small
chunks a few are read at once; the others wait for a turn, without credit for the origin. Whether to try again, and what
becomes of the stream, is `exchange`'s.
"""

from collections.abc import Callable, Sequence

from warp_twisted.edge.exchange.interfaces import Visitor
from warp_twisted.edge.exchange.pages import RETRY_SECONDS
from warp_twisted.edge.exchange.pages import response as error_response
from warp_twisted.edge.routes.pool import OriginStream
from warp_twisted.http1.body import BodyReader, UntilCloseReader, chunks_at_once, encode_piece, make_reader
from warp_twisted.http1.refusals import TOO_MANY_INTERIM, UNEXPECTED_UPGRADE, MessageRefused, Refusal
from warp_twisted.http1.request import RequestHead
from warp_twisted.http1.response import ResponseHead
from warp_twisted.policy.changes import Changes, changed

SWITCHING_PROTOCOLS = 101


class Answer:
    """
    The answer to one request.

    Attributes that most answers never change have their first value in the class, so they cost nothing.

    :param request: the head that is answered.
    :ivar status: of the response head that was written, 0 before; interim responses do not count.
    :ivar interim_count: 1xx responses that came.
    :ivar has_arrived: whether a byte of the origin has come.
    :ivar keeps: whether the visitor was told that the connection stays.
    :ivar may_keep: whether the connection may stay after an answer of the edge's own.
    :ivar retry_seconds: said with a refusal that passes.
    :ivar refusal_lines: field lines that go with a refusal.
    :ivar changes: of the origin's fields, by the policy.
    :ivar map_back: returns status line and fields as the visitor gets them, where the origin was asked under another
        name (`rewritten_host`).
    :ivar own_lines: of the edge's own, that go with the origin's answer.
    :ivar is_reusable: whether the origin takes another request on the stream, once the answer is complete.
    :ivar waiting_bytes: of the body, which have come and wait for a turn.
    """

    status = 0
    bytes_out = 0
    interim_count = 0
    has_arrived = False
    keeps = True
    may_keep = True
    is_reusable = False
    retry_seconds = RETRY_SECONDS
    refusal_lines = b""
    changes: Sequence[Changes] = ()
    map_back: Callable[[bytes], bytes] | None = None
    own_lines = b""
    _partial = b""
    _reader: BodyReader | None = None
    waiting_bytes = 0
    _waiting: list[bytes]
    _rechunks = False
    _owed = 0

    def __init__(self, visitor: Visitor, request: RequestHead, request_id: bytes) -> None:
        self._visitor = visitor
        self._visitors = visitor.visitors
        self._request = request
        self._request_id = request_id

    # The origin's response.

    def receive(self, data: bytes, origin: OriginStream, *, is_request_read: bool) -> bool:
        """
        Pass on what the origin sent.

        :param data: empty to go on with what waits for a turn.
        :param is_request_read: whether the visitor has sent its whole request.
        :returns: whether the answer is complete, or (status 101) the connection is no longer HTTP.
        :raises MessageRefused: if it is not valid; nothing of the piece was written.
        """
        reader = self._reader
        if reader is None:
            is_complete = self._receive_head(data, origin, is_request_read)
            origin.stream.consumed(len(data) - self.waiting_bytes)
            return is_complete
        if self.waiting_bytes:
            if data:
                self._keep(data)
                return False
            data = b"".join(self._waiting)
            self._waiting.clear()
            self.waiting_bytes = 0
        payload, rest = reader.receive(data, chunks_at_once(len(data)))
        if self._rechunks:
            payload = encode_piece(payload, reader)
        if payload:
            self.write(payload)
        if reader.complete:
            if rest:
                self.is_reusable = False
            origin.stream.consumed(self._owed + len(data))
            return True
        read = len(data)
        if rest:
            self._keep(rest)
            read -= len(rest)
        if self._visitor.is_clogged:
            self._owed += read
        else:
            origin.stream.consumed(read)
            self._visitor.wait(self._visitors.timeouts.origin_stall)
        return False

    def _keep(self, data: bytes) -> None:
        """Keep bytes of the body for another turn."""
        if self.waiting_bytes:
            self._waiting.append(data)
        else:
            self._waiting = [data]
        self.waiting_bytes += len(data)

    def _receive_head(self, data: bytes, origin: OriginStream, is_request_read: bool) -> bool:
        self.has_arrived = True
        if self._partial:
            data = self._partial + data
            self._partial = b""
        read = origin.reader.read
        head = read(data)
        while head is not None and head.status < 200:
            data = data[head.size :]
            if head.status == SWITCHING_PROTOCOLS:
                self._switch(head, data)
                return True
            self._pass_interim(head)
            if not data:
                return False
            head = read(data)
        if head is None:
            self._partial = data
            return False
        return self._respond(head, data[head.size :], is_request_read)

    def _pass_interim(self, head: ResponseHead) -> None:
        """Pass a 1xx response on; HTTP/1.0 visitors would take it for the answer."""
        self.interim_count += 1
        if self.interim_count > self._visitors.limits.interim_responses:
            raise MessageRefused(TOO_MANY_INTERIM)
        if self._request.fields.minor:
            self.write(head.start + b"\r\n")

    def _switch(self, head: ResponseHead, data: bytes) -> None:
        """Pass on the 101 that the visitor asked for, and no other."""
        wanted = self._request.fields.upgrade
        if not wanted or head.upgrade != wanted:
            raise MessageRefused(UNEXPECTED_UPGRADE)
        self.status = SWITCHING_PROTOCOLS
        start = head.start if self.map_back is None else self.map_back(head.start)
        self.write(
            b"%bConnection: Upgrade\r\nUpgrade: %b\r\n%bX-Request-Id: %b\r\n\r\n%b"
            % (start, wanted, self.own_lines, self._request_id, data)
        )

    def _respond(self, head: ResponseHead, data: bytes, is_request_read: bool) -> bool:
        """Pass the response head on, with what has come of the body."""
        request = self._request
        fields = request.fields
        length = 0 if request.method == b"HEAD" else head.length
        # Some origins answer HEAD with a body, which may come after the stream was lent to the next visitor.
        # And one that answers before it has the request leaves us in doubt which bytes it had heard of when it spoke.
        self.is_reusable = head.persistent and length == head.length and is_request_read
        if length == len(data):
            payload, is_complete = data, True
        else:
            reader = self._reader = make_reader(length, self._visitors.limits.response_body)
            payload, rest = reader.receive(data, chunks_at_once(len(data)))
            is_complete = reader.complete
            if rest and not is_complete:
                self._keep(rest)
            elif rest or isinstance(reader, UntilCloseReader):
                self.is_reusable = False
            if length < 0 and fields.minor:
                self._rechunks = True
                payload = encode_piece(payload, reader)
        framing = b"Transfer-Encoding: chunked\r\n" if self._rechunks else head.framing
        self.keeps = keeps = (
            fields.persistent
            and not self._visitors.is_draining
            and (length >= 0 or fields.minor == 1)
            and (is_request_read or not is_complete)
        )
        if not keeps or not fields.minor:
            framing += self._connection_line()
        if not head.has_date:
            framing += b"Date: %b\r\n" % self._visitors.date()
        if self.own_lines:
            framing += self.own_lines
        self.status = head.status
        start = head.start
        if self.map_back is not None:
            start = self.map_back(start)
        if self.changes:
            start = self._changed(start)
        self.write(b"%b%bX-Request-Id: %b\r\n\r\n%b" % (start, framing, self._request_id, payload))
        if not is_complete and not self._visitor.is_clogged:
            self._visitor.wait(self._visitors.timeouts.origin_stall)
        return is_complete

    def _changed(self, start: bytes) -> bytes:
        """Return a status line and fields with what the policy changes of them."""
        line_end = start.index(b"\r\n") + 2
        return start[:line_end] + changed(start[line_end:], self.changes)

    def end(self) -> bool:
        """
        Take the orderly end of the origin's connection.

        :returns: whether that completes the answer.
        """
        reader = self._reader
        if not isinstance(reader, UntilCloseReader):
            return False
        reader.complete = True
        if self._rechunks:
            self.write(encode_piece(b"", reader))
        return True

    def drained(self, origin: OriginStream) -> None:
        """The visitor's transport took everything; so credit goes back to the origin."""
        owed, self._owed = self._owed, 0
        if owed:
            origin.stream.consumed(owed)
            self._visitor.wait(self._visitors.timeouts.origin_stall)

    # The edge's own.

    def refuse(self, refusal: Refusal, *, is_request_read: bool) -> None:
        """Answer with a page; nothing may have been written but interim responses."""
        request = self._request
        self.status = refusal.status
        self._decide(is_request_read)
        page = error_response(
            refusal,
            self._request_id,
            request.accept,
            self._visitors.date(),
            connection=self._connection_line(),
            has_body=request.method != b"HEAD",
            retry_seconds=self.retry_seconds,
            lines=self.refusal_lines,
        )
        self.write(page)

    def state_options(self, *, is_request_read: bool) -> None:
        """Answer OPTIONS that may go no further (RFC 9110 §7.6.2)."""
        self.status = 200
        self._decide(is_request_read)
        self.write(
            b"HTTP/1.1 200 OK\r\nDate: %b\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
            b"Content-Length: 0\r\n%bX-Request-Id: %b\r\n\r\n"
            % (self._visitors.date(), self._connection_line(), self._request_id)
        )

    def state_keys(self, content: bytes) -> None:
        """Answer GET or HEAD for the keys that assertions are verified with."""
        self._state(content, b"application/json", b"max-age=300")

    def state_challenge(self, content: bytes) -> None:
        """Answer GET or HEAD of an authority that asks whether a hostname is ours (RFC 8555 §8.3)."""
        self._state(content, b"application/octet-stream", b"no-store")

    def _state(self, content: bytes, kind: bytes, caching: bytes) -> None:
        self.status = 200
        self._decide(is_request_read=True)
        self.write(
            b"HTTP/1.1 200 OK\r\nDate: %b\r\nContent-Type: %b\r\nCache-Control: %b\r\n"
            b"Content-Length: %d\r\n%bX-Request-Id: %b\r\n\r\n%b"
            % (
                self._visitors.date(), kind, caching, len(content), self._connection_line(), self._request_id,
                b"" if self._request.method == b"HEAD" else content,
            )
        )  # fmt: skip

    def _decide(self, is_request_read: bool) -> None:
        self.keeps = (
            self.may_keep and self._request.fields.persistent and is_request_read and not self._visitors.is_draining
        )

    def _connection_line(self) -> bytes:
        if not self.keeps:
            return b"Connection: close\r\n"
        return b"" if self._request.fields.minor else b"Connection: keep-alive\r\n"

    def write(self, data: bytes) -> None:
        """Send bytes to the visitor and count them."""
        self.bytes_out += len(data)
        self._visitor.write(data)

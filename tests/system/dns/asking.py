"""A UDP client and a TCP client that tests drive by awaiting."""

from typing import Any

from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.protocol import DatagramProtocol, Protocol

_LENGTH_BYTES = 2


class UdpClient(DatagramProtocol):
    """Sends datagrams, and keeps the replies."""

    noisy = False

    def __init__(self) -> None:
        self.replies: list[bytes] = []
        self._waiting: dict[bytes, Deferred[bytes]] = {}

    def ask(self, query: bytes, address: tuple[str, int]) -> Deferred[bytes]:
        """Send a query; fires with the reply of its id."""
        waiting = self._waiting[query[:2]] = Deferred()
        assert self.transport is not None
        self.transport.write(query, address)
        return waiting

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Take a reply."""
        self.replies.append(datagram)
        waiting = self._waiting.pop(datagram[:2], None)
        if waiting is not None:
            waiting.callback(datagram)


class TcpClient(Protocol):
    """A connection whose messages are a queue; `gone` fires at its end."""

    transport: Any

    def __init__(self) -> None:
        self.messages: DeferredQueue[bytes] = DeferredQueue()
        self.gone: Deferred[None] = Deferred()
        self.received_bytes = 0
        self._unread = b""

    def send(self, *messages: bytes) -> None:
        """Send messages in one write."""
        self.transport.write(b"".join(len(m).to_bytes(_LENGTH_BYTES, "big") + m for m in messages))

    def dataReceived(self, data: bytes) -> None:
        """Cut the stream into messages."""
        self.received_bytes += len(data)
        self._unread += data
        while len(self._unread) >= _LENGTH_BYTES:
            end = _LENGTH_BYTES + int.from_bytes(self._unread[:_LENGTH_BYTES], "big")
            if len(self._unread) < end:
                return
            self.messages.put(self._unread[_LENGTH_BYTES:end])
            self._unread = self._unread[end:]

    def connectionLost(self, reason: object = None) -> None:
        """Tell the test."""
        self.gone.callback(None)

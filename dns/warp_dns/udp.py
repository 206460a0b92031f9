"""
DNS over UDP: one socket on the reactor, drained many datagrams at a time.

The reactor's own UDP port makes a method call, a tuple and a log context for each datagram; here the loop from
recvfrom to sendto is all there is, and a reply that is cached whole leaves without another call. What the bytes mean
is decided in `responder`.
"""

import socket
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from warp_dns.errors import ListenFailed
from warp_dns.metrics import Counters
from warp_dns.responder import Responder

BATCH = 128  # datagrams a turn: at 5 µs each the reactor's other work waits well under a millisecond
RECEIVE_BYTES = 4096  # no query is larger; what is cut off is malformed then
BUFFER_BYTES = 4 << 20  # of the socket: at 200,000 queries a second some 50 ms of them

_IP_MTU_DISCOVER, _IP_PMTUDISC_OMIT = 10, 5  # Linux: do not believe ICMP about path MTU (RFC 9715 §3.1)


@implementer(IReadDescriptor)
class UdpPort:
    """A bound UDP socket that answers."""

    _log = Logger()

    def __init__(self, reactor: Any, sock: socket.socket, responder: Responder, counters: Counters) -> None:
        self._reactor = reactor
        self._socket = sock
        self._responder = responder
        self._counters = counters

    @property
    def address(self) -> tuple[str, int]:
        """The address that is bound."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    def start(self) -> None:
        """Begin to answer."""
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Stop answering and close the socket."""
        self._reactor.removeReader(self)
        self._socket.close()

    def fileno(self) -> int:
        """Return the socket's descriptor, for the reactor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """Name this reader in the reactor's own messages."""
        return "warp_dns.udp"

    def connectionLost(self, reason: object) -> None:
        """The reactor is stopping."""
        self._socket.close()

    def doRead(self) -> None:
        """Answer what has arrived, up to `BATCH` datagrams."""
        receive, send = self._socket.recvfrom, self._socket.sendto
        replies, respond = self._responder.replies, self._responder.respond
        hits = 0
        for _ in range(BATCH):
            try:
                data, peer = receive(RECEIVE_BYTES)
            except OSError:  # nothing left; or ICMP told of an earlier reply that nobody wanted
                break
            cached = replies.get(data[2:])
            if cached is not None:
                hits += 1
                cached.count[0] += 1
                reply = data[:2] + cached.reply
            else:
                try:
                    made = respond(data)
                except Exception:
                    self._log.failure("a query of {length} bytes made the server fail", length=len(data))
                    continue
                if made is None:
                    continue
                reply = made
            try:
                send(reply, peer)
            except OSError:
                self._counters.send_failures[0] += 1
        self._counters.hits[0] += hits


def bind_udp(host: str, port: int, *, share: bool = False) -> socket.socket:
    """
    Bind a UDP socket.

    :param share: let other processes bind the same address and share its queries (SO_REUSEPORT).
    :raises ListenFailed: naming the address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        if share:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        elif hasattr(socket, "SO_INCOMING_CPU"):  # Linux
            sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_OMIT)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise ListenFailed(f"cannot serve DNS on UDP {host} port {port}: {error.strerror}") from error
    return sock

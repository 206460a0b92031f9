"""
DNS over UDP: one socket on the reactor, drained many datagrams at a time.

The reactor's own UDP port makes a method call, a tuple and a log context for each datagram; here the loop from
recvfrom to sendto is all there is, and a reply that is cached whole leaves without another call. What the bytes mean
is decided in `responder`.
"""

import socket
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from warp_base.reactor import Reactor
from warp_dns.errors import ListenFailed
from warp_dns.serve.metrics import Counters
from warp_dns.serve.querylog import QueryLog
from warp_dns.serve.responder import Responder

BATCH = 128  # datagrams a turn: at 5 µs each the reactor's other work waits well under a millisecond
BATCH_SECONDS = 0.001  # a turn, when answers have to be made: random names cost 30 µs each, signatures 150
BURST_SECONDS = 0.002  # that may be owed to others before the socket rests
RECEIVE_BYTES = 4096  # no query is larger; what is cut off is malformed then
BUFFER_BYTES = 4 << 20  # of the socket: at 200,000 queries a second some 50 ms of them

_IP_PKTINFO = 8  # Linux; the socket module has no name for it before Python 3.14
_ANCILLARY_BYTES = 64
_IP_MTU_DISCOVER, _IP_PMTUDISC_OMIT = 10, 5  # Linux: do not believe ICMP about path MTU (RFC 9715 §3.1)


Received = tuple[Any, ...]  # what the system returned: the datagram first, the peer's address last


@implementer(IReadDescriptor)
class UdpPort:
    """
    A socket bound to one address, which answers.

    :param share: how much of the reactor's time it may take over time, more than 0 and up to 1. Beyond that it rests,
        and queries wait in the system's buffer.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        sock: socket.socket,
        responder: Responder,
        counters: Counters,
        query_log: QueryLog,
        share: float = 1.0,
    ) -> None:
        self._others = 1 / share - 1  # seconds of others for each of ours
        self._owed = 0.0  # seconds to others
        self._owed_at = 0.0
        self._resting: IDelayedCall | None = None
        self._reactor = reactor
        self._socket = sock
        self._responder = responder
        self._counters = counters
        self._query_log = query_log
        self._receive: Callable[[], Received] = partial(sock.recvfrom, RECEIVE_BYTES)
        self._send: Callable[[bytes, Received], object] | None = None  # other than by `sendto`

    def start(self) -> None:
        """Begin to answer."""
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Answer what has arrived, and close the socket: another process may answer from now on, not to that."""
        if self._resting is None:
            self.doRead()
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        self._reactor.removeReader(self)
        self._socket.close()

    def fileno(self) -> int:
        """Return the socket's descriptor, for the reactor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """Name this reader in the reactor's own messages."""
        return "warp_dns.serve.udp"

    def connectionLost(self, reason: object) -> None:
        """The reactor is stopping."""

    def doRead(self) -> None:
        """Answer what has arrived; whatever goes wrong, the socket stays open."""
        began = perf_counter()
        try:
            self._drain(began + BATCH_SECONDS)
        except Exception:
            self._log.failure("reading queries failed")
        if self._others:
            now = perf_counter()
            self._owed = max(0.0, self._owed - (began - self._owed_at)) + (now - began) * self._others
            self._owed_at = now
            if self._owed > BURST_SECONDS:
                self._reactor.removeReader(self)
                self._resting = self._reactor.callLater(self._owed, self._go_on)

    def _go_on(self) -> None:
        self._resting = None
        self._reactor.addReader(self)

    def _drain(self, ends_at: float) -> None:
        """Answer up to `BATCH` datagrams, and begin no costly answer after an instant of `perf_counter`."""
        receive, send_to, send = self._receive, self._socket.sendto, self._send
        replies, limit = self._responder.replies.by_query, self._responder.limit
        others = queries = 0  # other replies than whole ones that were kept
        is_late = False
        for queries in range(1, BATCH + 1):  # counts what was received
            try:
                received = receive()
            except OSError:  # nothing left; or an ICMP error about an earlier reply
                queries -= 1
                break
            data, host = received[0], received[-1][0]
            kept = replies.get(data[2:])
            reply: bytes | None
            if kept is None or kept.whole is None or not kept.validity.holds:
                others += 1
                reply = self._respond(data, host)
                is_late = perf_counter() > ends_at
            elif limit is not None and limit.is_over(host, kept.counted_as) and not limit.is_exempt(host):
                others += 1
                reply = self._responder.limited(data)
            else:
                kept.count[0] += 1
                reply = data[:2] + kept.whole
            if reply is not None:
                try:
                    if send is None:
                        send_to(reply, received[-1])
                    else:
                        send(reply, received)
                except OSError:
                    self._counters.send_failures[0] += 1
            if is_late:
                break
        self._counters.hits[0] += queries - others
        if queries and self._query_log.is_due(queries):
            self._query_log.write("udp", host, data, reply)

    def _respond(self, data: bytes, host: str) -> bytes | None:
        try:
            return self._responder.respond(data, host)
        except Exception:
            self._log.failure("a query of {length} bytes made the server fail", length=len(data))
            return None


class WildcardUdpPort(UdpPort):
    """
    A socket bound to every address of the machine.

    A reply must come from the address that was asked, which the system tells with each datagram and has to be told
    again with each reply (RFC 3542 §6.2, and IP_PKTINFO of Linux). That costs a microsecond or two, so servers list
    their addresses where they can.
    """

    def __init__(
        self,
        reactor: Reactor,
        sock: socket.socket,
        responder: Responder,
        counters: Counters,
        query_log: QueryLog,
        share: float = 1.0,
    ) -> None:
        super().__init__(reactor, sock, responder, counters, query_log, share)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        self._receive = partial(sock.recvmsg, RECEIVE_BYTES, _ANCILLARY_BYTES)
        self._send = self._send_from_asked

    def _send_from_asked(self, reply: bytes, received: Received) -> None:
        self._socket.sendmsg([reply], _asked_address(received[1]), 0, received[-1])


def _asked_address(ancillary: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """Return the control message that sends a reply from the address that was asked."""
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            return [(level, kind, bytes(4) + data[4:8] + bytes(4))]  # in_pktinfo: any interface, ipi_spec_dst
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            is_link_local = data[:2] == b"\xfe\x80"
            return [(level, kind, data if is_link_local else data[:16] + bytes(4))]
    return []


def udp_port(
    reactor: Reactor,
    sock: socket.socket,
    responder: Responder,
    counters: Counters,
    query_log: QueryLog,
    share: float = 1.0,
) -> UdpPort:
    """Return what answers on a bound socket."""
    is_wildcard = sock.getsockname()[0] in ("0.0.0.0", "::")  # noqa: S104  # the operator's choice
    kind = WildcardUdpPort if is_wildcard else UdpPort
    return kind(reactor, sock, responder, counters, query_log, share)


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

"""
Telling secondaries that a zone has changed (RFC 1996), so that they come for the difference at once.

One message at a time goes to each secondary, sent again with growing waits until it is acknowledged. A zone may
change many times a second: changes that come while a message is under way, or too soon after the last one, are told
by one message afterwards.
"""

import os
from collections.abc import Sequence
from typing import Any

import dns.exception
import dns.message
import dns.tsig
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger

from warp_base.reactor import Reactor
from warp_dns.errors import ListenFailed
from warp_dns.message import names
from warp_dns.message.records import SOA, RRset
from warp_dns.message.wire import HEADER_BYTES, MessageBuffer, question_bytes

FIRST_WAIT_SECONDS = 1.0
MAX_ACKNOWLEDGEMENT_BYTES = 1232  # question and signature; what is larger takes milliseconds to read, and is none
ATTEMPTS = 5  # RFC 1996 §3.6 suggests 60 s and 5; SOA refresh finds what these miss
PAUSE_SECONDS = 0.1  # between two messages to one secondary

_HEADER = b"\x24\x00\0\1\0\1\0\0\0\0"  # opcode NOTIFY with AA, one question, one answer


class Notifier(DatagramProtocol):
    """Tells one secondary about one zone."""

    noisy = False
    _log = Logger()

    def __init__(self, reactor: Reactor, apex: bytes, host: str, port: int, key: dns.tsig.Key | None = None) -> None:
        self._reactor = reactor
        self._apex = apex
        self.host = host
        self._peer = (host, port)
        self._key = key
        self._port: Any = None
        self._soa: RRset | None = None  # what to tell next
        self._id = b""
        self._request_mac = b""
        self._attempt = 0
        self._timer: Any = None

    def start(self, local_hosts: Sequence[str]) -> None:
        """
        Open a socket, at the first of our addresses of the secondary's family: the one it knows us by.

        :raises ListenFailed: naming the address.
        """
        is_ipv6 = ":" in self._peer[0]
        local = next((host for host in local_hosts if (":" in host) == is_ipv6), "::" if is_ipv6 else "")
        try:
            self._port = self._reactor.listenUDP(0, self, local, 8192)
        except CannotListenError as error:
            raise ListenFailed(f"cannot send notices from {local}: {error.socketError}") from error

    def stop(self) -> Any:
        """Close the socket; returns a Deferred, or None."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._soa = None
        return self._port.stopListening() if self._port is not None else None

    def tell(self, soa: RRset) -> None:
        """Notify the secondary that the zone is at this SOA."""
        self._soa = soa
        if self._timer is None or not self._timer.active():
            self._begin()

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Take an acknowledgement, if it is one and is signed as the message was."""
        if not self._id or addr[:2] != self._peer or datagram[:2] != self._id:
            return
        if not HEADER_BYTES <= len(datagram) <= MAX_ACKNOWLEDGEMENT_BYTES:
            return
        if not datagram[2] & 0x80 or datagram[2] >> 3 & 15 != 4 or not self._is_signed(datagram):
            return
        rcode = datagram[3] & 15
        if rcode:
            self._log.warn(
                "{host} does not take our notice of {zone}: rcode {rcode}",
                host=self._peer[0],
                zone=names.to_text(self._apex),
                rcode=rcode,
            )
        self._id = b""
        self._timer.cancel()
        self._timer = self._reactor.callLater(PAUSE_SECONDS, self._begin)

    def connectionRefused(self) -> None:
        """Nothing listens there yet; the next attempt may succeed."""

    def _begin(self) -> None:
        if self._soa is None:
            return
        message = self._message(self._soa)
        self._soa = None
        self._attempt = 0
        self._send(message)

    def _send(self, message: bytes) -> None:
        if self._attempt and self._soa is not None:
            self._begin()  # announce the later serial instead of repeating this one
            return
        if self._attempt == ATTEMPTS:
            self._id = b""
            self._log.warn(
                "{host} does not answer our notices of {zone}", host=self._peer[0], zone=names.to_text(self._apex)
            )
            return
        self._port.write(message, self._peer)
        self._timer = self._reactor.callLater(FIRST_WAIT_SECONDS * 2**self._attempt, self._send, message)
        self._attempt += 1

    def _message(self, soa: RRset) -> bytes:
        self._id = os.urandom(2)
        buffer = MessageBuffer(self._id + _HEADER + question_bytes(self._apex, SOA, 1))
        buffer.offset = len(buffer.data)
        buffer.names[self._apex] = HEADER_BYTES
        buffer.put_rrset(soa, self._apex)
        wire = bytes(buffer.data)
        if self._key is None:
            return wire
        message = dns.message.from_wire(wire)
        message.use_tsig(self._key)
        signed = message.to_wire()
        self._request_mac = message.mac or b""
        return signed

    def _is_signed(self, datagram: bytes) -> bool:
        if self._key is None:
            return True
        try:
            reply = dns.message.from_wire(datagram, keyring={self._key.name: self._key}, request_mac=self._request_mac)
        except (dns.exception.DNSException, ValueError):
            return False
        return reply.had_tsig

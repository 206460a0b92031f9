"""
The PROXY protocol, versions 1 and 2: the header in which a proxy says whom it speaks for, before the first byte of a
connection (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt).

Sans-IO: bytes in, a `Spoken` out. Whether the proxy may speak for others is decided by who reads the header at all.
"""

from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

import msgspec

V1_PREFIX = b"PROXY "
V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
MAX_V1 = 107  # octets with CR LF (section 2.1)
MAX_V2_REST = 4_096  # octets after the first 16; 216 hold every address there is, the rest are extensions
_V2_HEAD = 16
_LOCAL, _PROXY = 0x20, 0x21  # version 2 with the command
_TCP4, _TCP6 = 0x11, 0x21


class ProxyProtocolError(ValueError):
    """What came is no header of the PROXY protocol; the text says why."""


class Spoken(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a proxy said.

    :ivar address: of the visitor, in canonical text; None if the proxy speaks for itself (LOCAL, UNKNOWN): it is a
        health check, and the connection's own address holds.
    :ivar port: of the visitor, or None.
    """

    address: str | None = None
    port: int | None = None


class ProxyHeader:
    """
    Reads one header, however its bytes are cut.

    :ivar rest: what came after the header, once `feed` has returned it.
    """

    __slots__ = ("_buffer", "rest")

    def __init__(self) -> None:
        self._buffer = b""
        self.rest = b""

    def feed(self, data: bytes) -> Spoken | None:
        """
        Take bytes.

        :returns: what the proxy said, or None while the header is not complete.
        :raises ProxyProtocolError: at the first byte that no header can have; close the connection.
        """
        buffer = self._buffer = self._buffer + data
        if buffer.startswith(V2_SIGNATURE[: len(buffer)]):
            return self._read_v2(buffer)
        if buffer.startswith(V1_PREFIX[: len(buffer)]):
            return self._read_v1(buffer)
        raise ProxyProtocolError("the connection does not begin with a header of the PROXY protocol")

    def _read_v1(self, buffer: bytes) -> Spoken | None:
        end = buffer.find(b"\r\n", 0, MAX_V1)
        if end < 0:
            if len(buffer) >= MAX_V1:
                raise ProxyProtocolError(f"a header of version 1 has no CR LF within {MAX_V1} octets")
            return None
        self.rest = buffer[end + 2 :]
        try:
            words = buffer[:end].decode("ascii").split(" ")
        except UnicodeDecodeError:
            raise ProxyProtocolError("a header of version 1 holds octets beyond ASCII") from None
        if words[1] == "UNKNOWN":
            return Spoken()
        family = {"TCP4": AF_INET, "TCP6": AF_INET6}.get(words[1])
        if family is None or len(words) != 6:
            raise ProxyProtocolError("a header of version 1 has not the six words of `PROXY TCP4 from to port port`")
        source, _ = _canonical(family, words[2]), _canonical(family, words[3])
        port, _ = _port(words[4]), _port(words[5])
        return Spoken(address=source, port=port)

    def _read_v2(self, buffer: bytes) -> Spoken | None:
        if len(buffer) < _V2_HEAD:
            return None
        command, family = buffer[12], buffer[13]
        length = int.from_bytes(buffer[14:16])
        if command not in (_LOCAL, _PROXY):
            raise ProxyProtocolError(f"a header of version 2 has the command 0x{command:02x}")
        if length > MAX_V2_REST:
            raise ProxyProtocolError(f"a header of version 2 is longer than {MAX_V2_REST} octets")
        if len(buffer) < _V2_HEAD + length:
            return None
        body, self.rest = buffer[_V2_HEAD : _V2_HEAD + length], buffer[_V2_HEAD + length :]
        if command == _LOCAL:
            return Spoken()
        if family == _TCP4 and length >= 12:
            return Spoken(address=inet_ntop(AF_INET, body[:4]), port=int.from_bytes(body[8:10]))
        if family == _TCP6 and length >= 36:
            return Spoken(address=inet_ntop(AF_INET6, body[:16]), port=int.from_bytes(body[32:34]))
        raise ProxyProtocolError("a header of version 2 says neither TCP over IPv4 nor TCP over IPv6")


def _canonical(family: int, text: str) -> str:
    try:
        return inet_ntop(family, inet_pton(family, text))
    except (OSError, ValueError):
        raise ProxyProtocolError("a header of version 1 holds something else than addresses of its family") from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65_535):
        raise ProxyProtocolError("a header of version 1 holds a port that is none")
    return int(text)

"""
The cookie by which a visitor keeps to its share and agent: written, read, and taken out of a request.

It carries the visitor's draw, not its share: so it says where the visitor belongs under any weights. Of the agent it
carries a number, so that nobody reads the agent's name. Base64url of 42 bytes, big endian:

====  =========================================================================
1     number of the key that signed it
4     when it was set, in minutes since the epoch
8     the draw
8     the agent's number; 0: none
21    keyed BLAKE2b (RFC 7693 §2.9) of these, of the hostname and of the cookie's name
====  =========================================================================

A cookie of another hostname, or with a wrong signature, is as good as none. It proves nothing about a visitor, and
decides nothing but which of the tunnels of a split it is served by.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b
from hmac import compare_digest
from struct import Struct

import msgspec

LENGTH = 56  # characters
MAX_REMEMBERED = 10_000  # cookies, some 3 MB
_BODY = Struct(">BIQQ")
_SIGNATURE_BYTES = 21
_DECODED = _BODY.size + _SIGNATURE_BYTES
_MAX_READ = 4  # of cookies with the name, in one request
_SPACE, _SEMICOLON, _RETURN = b" ;\r"
_COLON = len(b"Cookie:")
_FIELD = b"cookie:"  # a field with a space before its colon is refused


class Kept(msgspec.Struct, frozen=True):
    """
    What a cookie says.

    :param agent: its number; see `agent_number`.
    :param set_at: seconds since the epoch.
    :param is_current: whether the newest key signed it.
    """

    draw: int
    agent: int
    set_at: float
    is_current: bool


class Reading(msgspec.Struct, frozen=True):
    """What was read of a value before, and for which hostname and name."""

    hostname: str
    name: bytes
    kept: Kept


class CookieKeys:
    """
    The keys that cookies are signed with.

    :param keys: number (0 to 255) and secret, the newest first: it signs, and the others still verify.
    """

    def __init__(self, keys: Sequence[tuple[int, bytes]]) -> None:
        self._keys = dict(keys)
        self._newest = keys[0][0]
        self._read: dict[bytes, Reading] = {}

    def written(self, hostname: str, name: bytes, draw: int, agent: int, now: float) -> bytes:
        """
        Return a cookie's value.

        :param now: seconds since the epoch.
        """
        body = _BODY.pack(self._newest, int(now / 60) & 0xFFFFFFFF, draw, agent)
        return urlsafe_b64encode(body + _signature(self._keys[self._newest], hostname, name, body))

    def read(self, hostname: str, name: bytes, value: bytes) -> Kept | None:
        """
        Return what a cookie says; None if it is not one of ours for the hostname.

        What is good is remembered, as a visitor sends it with each request.
        """
        before = self._read.get(value)
        if before is not None and before.hostname == hostname and before.name == name:
            return before.kept
        kept = self._verified(hostname, name, value)
        if kept is not None:
            if len(self._read) >= MAX_REMEMBERED:
                self._read.clear()
            self._read[value] = Reading(hostname, name, kept)
        return kept

    def _verified(self, hostname: str, name: bytes, value: bytes) -> Kept | None:
        if len(value) != LENGTH:
            return None
        try:
            decoded = urlsafe_b64decode(value)
        except ValueError:
            return None
        if len(decoded) != _DECODED:  # base64's decoder passes over what is not of its alphabet
            return None
        body = decoded[: _BODY.size]
        number, minutes, draw, agent = _BODY.unpack(body)
        secret = self._keys.get(number)
        if secret is None or not compare_digest(_signature(secret, hostname, name, body), decoded[_BODY.size :]):
            return None
        return Kept(draw, agent, minutes * 60.0, number == self._newest)


def _signature(secret: bytes, hostname: str, name: bytes, body: bytes) -> bytes:
    # The body has one length and a hostname has no zero byte, so no two inputs are the same bytes.
    return blake2b(
        b"%b%b\0%b" % (body, hostname.encode("ascii"), name), key=secret, digest_size=_SIGNATURE_BYTES
    ).digest()


def agent_number(agent: str) -> int:
    """Return an agent's number in cookies, 1 to 2**64 - 1."""
    return int.from_bytes(blake2b(agent.encode(), digest_size=8, person=b"warp-agent").digest()) or 1


def address_draw(hostname: str, network: str) -> int:
    """
    Return the draw of a visitor that is known by its address, the same at every edge.

    No secret goes into it: who chooses among addresses may choose a share, and gains nothing by that.

    :param network: what counts as one visitor.
    """
    return int.from_bytes(blake2b(f"{hostname}\0{network}".encode(), digest_size=8, person=b"warp-visitor").digest())


def take_cookies(lines: bytes, name: bytes, usual: bytes) -> tuple[Sequence[bytes], bytes]:
    """
    Take the cookies of one name out of a request.

    :param lines: a section of field lines, each with its CR LF.
    :param usual: the name as `usual_form` returns it.
    :returns: their values, at most four of them, and the lines without any of them.
    """
    first = lines.find(name)
    at = first - 1
    if at > 0 and lines.startswith(usual, at):
        # As nearly all requests have it: one cookie of ours, spelt as edges and browsers do.
        value = at + len(usual)
        end = value + LENGTH
        start = lines.rfind(b"\n", 0, at) + 1
        if end < len(lines) and lines.startswith(b"Cookie: ", start) and lines.find(name, end) < 0:
            if lines[end] == _SEMICOLON:
                if lines[end + 1] == _SPACE and (lines[at - 1] == _SEMICOLON or at == start + _COLON):
                    return (lines[value:end],), lines[: at + 1] + lines[end + 2 :]
            elif lines[end] == _RETURN:
                if lines[at - 1] == _SEMICOLON:
                    return (lines[value:end],), lines[: at - 1] + lines[end:]
                if at == start + _COLON:
                    return (lines[value:end],), lines[:start] + lines[end + 2 :]
    return _take_each(lines, name, first) if first >= 0 else ((), lines)


def usual_form(name: bytes) -> bytes:
    """Return how a cookie's name stands in a field as edges and browsers write it."""
    return b" %b=" % name


def _take_each(lines: bytes, name: bytes, at: int) -> tuple[Sequence[bytes], bytes]:
    """Do so wherever the name is in the lines, and however it is spelt."""
    found: list[bytes] = []
    while at >= 0:
        start = lines.rfind(b"\n", 0, at) + 1
        end = lines.find(b"\n", at) + 1
        colon = start + len(_FIELD)
        if lines[start:colon].lower() == _FIELD:
            kept = _without(lines[colon : end - 2], name, found)
            lines = b"%b%b%b" % (lines[:start], lines[start:colon] + kept + b"\r\n" if kept else b"", lines[end:])
            end = start + (colon - start + len(kept) + 2 if kept else 0)
        at = lines.find(name, end)
    return found[:_MAX_READ], lines


def _without(value: bytes, name: bytes, found: list[bytes]) -> bytes:
    """Return the value of a Cookie field without the cookies of a name, whose values are added to `found`."""
    kept: list[bytes] = []
    for pair in value.split(b";"):
        key, _, text = pair.partition(b"=")
        if key.strip(b" \t") == name:
            found.append(text.strip(b" \t"))
        elif pair:
            kept.append(pair)
    return b";".join(kept)

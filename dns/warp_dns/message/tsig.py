"""
Transaction signatures (RFC 8945): verifying queries, and signing replies.

dnspython does the digests; this module decides which keys exist, how long a secret must be, and which error a bad
signature is answered with. Pure: time is an argument.
"""

import base64
import binascii
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tsig
from dns.rdtypes.ANY.TSIG import TSIG as TsigData

from warp_dns.errors import InvalidSettings, KeyLeftOut
from warp_dns.message import names
from warp_dns.message.records import TSIG

BADSIG, BADKEY, BADTIME = 16, 17, 18  # RFC 8945 §3: TSIG error codes, not header codes
FUDGE_SECONDS = 300  # RFC 8945 §10

# Secret sizes: at least the digest's (RFC 8945 §8), at most the hash's block, beyond which HMAC hashes it down.
_SECRET_BYTES = {
    "hmac-sha1": (20, 64),
    "hmac-sha224": (28, 64),
    "hmac-sha256": (32, 64),
    "hmac-sha384": (48, 128),
    "hmac-sha512": (64, 128),
}


class BadSignature(Exception):
    """
    A signed query whose signature does not hold.

    :ivar error: the TSIG error code to answer with; the header's is NOTAUTH.
    """

    def __init__(self, error: int, signature: "Signature | None" = None) -> None:
        super().__init__(error)
        self.error = error
        self.signature = signature


class Unreadable(Exception):
    """The TSIG record is malformed: FORMERR."""


@dataclass(slots=True)
class Signature:
    """
    A query's signature, and with it the state of signing the messages that answer it.

    :ivar key_name: folded wire format.
    """

    key_name: bytes
    original_id: int
    _owner: dns.name.Name
    _data: TsigData
    _key: dns.tsig.Key | None
    _mac: bytes
    _context: object = field(default=None, repr=False)

    @property
    def size(self) -> int:
        """How many bytes `sign` adds, at most."""
        mac = dns.tsig.mac_sizes.get(self._data.algorithm, 64) if self._key else 0
        owner, algorithm = names.wire_of(self._owner), names.wire_of(self._data.algorithm)
        return len(owner) + 10 + len(algorithm) + 16 + mac + 6

    def sign(self, reply: bytes, now: int, *, error: int = 0, is_one_of_several: bool = False) -> bytes:
        """
        Return a reply with its TSIG record.

        :param is_one_of_several: a message of a transfer; each signature covers the one before (RFC 8945 §5.3.1).
        """
        other = now.to_bytes(6, "big") if error == BADTIME else b""
        time = self._data.time_signed if error == BADTIME else now
        template = TsigData(
            dns.rdataclass.ANY,
            dns.rdatatype.TSIG,
            self._data.algorithm,
            time,
            FUDGE_SECONDS,
            b"",
            self.original_id,
            error,
            other,
        )
        if self._key is None or error in (BADSIG, BADKEY):
            signed = template  # RFC 8945 §5.3.2: such an error is not signed
        else:
            signed, self._context = dns.tsig.sign(
                reply, self._key, template, time, self._mac, self._context, is_one_of_several
            )
        rdata = signed.to_wire() or b""
        count = int.from_bytes(reply[10:12], "big") + 1
        record = names.wire_of(self._owner) + b"\0\xfa\0\xff\0\0\0\0" + len(rdata).to_bytes(2, "big") + rdata
        return reply[:10] + count.to_bytes(2, "big") + reply[12:] + record


class KeyRing:
    """The keys that this server knows."""

    def __init__(self, keys: Iterable[tuple[str, str, bytes]] = (), left_out: Iterable[str] = ()) -> None:
        """
        Take the keys: name, algorithm and secret of each.

        :param left_out: names of keys whose secrets could not be read: nobody can sign with them now.
        :raises InvalidSettings: for an algorithm that is unknown or broken, or a secret of the wrong length.
        """
        self._keys: dict[dns.name.Name, dns.tsig.Key] = {}
        for index, (name, algorithm, secret) in enumerate(keys):
            path = f"keys[{index}]"
            if algorithm.lower() not in _SECRET_BYTES:
                known = ", ".join(_SECRET_BYTES)
                raise InvalidSettings(f"{path}.algorithm: expected one of {known}, got {algorithm!r}")
            try:
                check_secret(algorithm, secret)
            except InvalidSettings as error:
                raise InvalidSettings(f"{path}.secret_file: {error}") from error
            try:
                key = dns.tsig.Key(dns.name.from_text(name), secret, dns.name.from_text(algorithm.lower()))
            except dns.exception.DNSException as error:
                raise InvalidSettings(f"{path}.name: expected a name, got {name!r} ({error})") from error
            if key.name in self._keys:
                raise InvalidSettings(f"{path}.name: {name!r} is given twice")
            self._keys[key.name] = key
        self._left_out = frozenset(dns.name.from_text(name) for name in left_out)

    def verify(self, data: bytes, tsig_at: int, now: int) -> Signature:
        """
        Check a query's signature.

        :param tsig_at: where its TSIG record begins; the record is the message's last.
        :raises BadSignature: with the error to answer with.
        :raises Unreadable: if the record makes no sense.
        """
        if not names.is_bounded(data, tsig_at):
            raise Unreadable
        try:
            owner, used = dns.name.from_wire(data, tsig_at)
            at = tsig_at + used
            if data[at : at + 8] != b"\0\xfa\0\xff\0\0\0\0":
                raise Unreadable  # RFC 8945 §4.2: class ANY, TTL 0
            if int.from_bytes(data[at + 8 : at + 10], "big") != len(data) - at - 10:
                raise Unreadable
            rdata = dns.rdata.from_wire(dns.rdataclass.ANY, dns.rdatatype.TSIG, data, at + 10, len(data) - at - 10)
        except (dns.exception.DNSException, ValueError, IndexError) as error:
            raise Unreadable from error
        if not isinstance(rdata, TsigData):
            raise Unreadable
        key = self._keys.get(owner)
        folded = names.wire_of(owner).lower()
        if key is None or key.algorithm != rdata.algorithm:
            raise BadSignature(BADKEY, Signature(folded, rdata.original_id, owner, rdata, None, b""))
        signature = Signature(folded, rdata.original_id, owner, rdata, key, rdata.mac)
        try:
            dns.tsig.validate(data, key, owner, rdata, now, b"", tsig_at)
        except dns.tsig.BadTime as error:
            raise BadSignature(BADTIME, signature) from error
        except (dns.exception.DNSException, ValueError) as error:
            raise BadSignature(BADSIG, signature) from error
        return signature

    def key(self, name: str) -> dns.tsig.Key:
        """
        Return a key for signing a query of our own.

        :raises InvalidSettings: if there is none of that name.
        :raises KeyLeftOut: if there is one, and its secret could not be read.
        """
        with suppress(dns.exception.DNSException):
            if dns.name.from_text(name) in self._left_out:
                raise KeyLeftOut
        try:
            return self._keys[dns.name.from_text(name)]
        except (KeyError, dns.exception.DNSException) as error:
            known = ", ".join(each.to_text(omit_final_dot=True) for each in self._keys) or "none"
            raise InvalidSettings(f"there is no key {name!r} in keys; known: {known}") from error

    def __len__(self) -> int:
        return len(self._keys)


def check_secret(algorithm: str, secret: bytes) -> None:
    """
    Look at the length of a secret; an algorithm that is not known is not judged.

    :raises InvalidSettings: if it is too short for the algorithm, or too long.
    """
    least, most = _SECRET_BYTES.get(algorithm.lower(), (0, len(secret)))
    if not least <= len(secret) <= most:
        raise InvalidSettings(f"expected a secret of {least} to {most} bytes for {algorithm}, got {len(secret)}")


def parse_secret(text: str) -> bytes:
    """
    Read a secret in base64.

    :raises InvalidSettings: if it is something else; the text is not repeated.
    """
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error as error:
        raise InvalidSettings("a TSIG secret is written in base64") from error


__all__ = [
    "BADKEY",
    "BADSIG",
    "BADTIME",
    "TSIG",
    "BadSignature",
    "KeyRing",
    "Signature",
    "Unreadable",
    "check_secret",
    "parse_secret",
]

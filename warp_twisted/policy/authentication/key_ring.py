"""
The keys that one edge signs assertions with, over time: which is used, which are published, and when the next is made.

Pure. A key is published before it signs and after, so that no origin meets a token whose key it cannot find:

    made, published ── AHEAD ──> signs ── LIFETIME ──> its successor signs ── AFTER ──> gone

The first key of an edge signs at once: nobody has a key set without it yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from warp_twisted.policy.authentication.assertion import SigningKey, new_signing_key

LIFETIME_SECONDS = 30 * 86_400.0
AHEAD_SECONDS = 86_400.0
AFTER_SECONDS = 86_400.0


class _Kept(msgspec.Struct, frozen=True):
    pem: str
    made_at: float


class _File(msgspec.Struct, frozen=True):
    keys: list[_Kept]


@dataclass(frozen=True, slots=True)
class RingKey:
    """
    One key.

    :ivar made_at: seconds since the epoch.
    """

    pem: bytes
    made_at: float
    key: SigningKey

    def __repr__(self) -> str:
        return f"RingKey({self.key.key_id!r}, {self.made_at})"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """
    The keys of one edge.

    :ivar keys: the oldest first.
    """

    keys: Sequence[RingKey] = ()

    def renewed(self, wall: float) -> "KeyRing":
        """
        Return the ring as it is to be now; this one, if nothing is due.

        What seems to be made in the future was made while the clock was wrong: it is taken to be made now.

        :param wall: seconds since the epoch.
        """
        keys = [RingKey(each.pem, min(each.made_at, wall), each.key) for each in self.keys]
        while len(keys) > 1 and keys[1].made_at + AHEAD_SECONDS + AFTER_SECONDS <= wall:
            del keys[0]
        if not keys or keys[-1].made_at + LIFETIME_SECONDS <= wall:
            pem = new_signing_key()
            keys.append(RingKey(pem, wall, SigningKey(pem)))
        return self if keys == list(self.keys) else KeyRing(tuple(keys))

    def signing(self, wall: float) -> SigningKey:
        """
        Return the key to sign with.

        :raises IndexError: there is none; see `renewed`.
        """
        known = [each for each in self.keys if each.made_at + AHEAD_SECONDS <= wall]
        return (known[-1] if known else self.keys[0]).key

    @property
    def public(self) -> tuple[dict[str, str], ...]:
        """The public halves, as members of a JWK set."""
        return tuple({name: str(value) for name, value in each.key.public.items()} for each in self.keys)

    def encoded(self) -> bytes:
        """Return the text of the file that keeps the ring; it is secret."""
        return msgspec.json.encode(_File([_Kept(each.pem.decode("ascii"), each.made_at) for each in self.keys]))


def read_key_ring(text: bytes) -> KeyRing:
    """
    Read what `KeyRing.encoded` wrote.

    :raises ValueError: it is something else.
    """
    kept = msgspec.json.decode(text, type=_File).keys
    keys = [RingKey(each.pem.encode("ascii"), each.made_at, SigningKey(each.pem.encode("ascii"))) for each in kept]
    return KeyRing(tuple(keys))

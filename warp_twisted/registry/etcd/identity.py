"""
Which registry an etcd holds, and whether it is the one that an edge may follow. Pure.

A registry has an identity, a random word that its first edge, or `warp registry copy`, writes. An etcd that lost its
data, that is another one, or that holds half a copy would otherwise look like a fleet in which nobody was ever
enrolled or revoked. So it is not followed, and the edge serves on by what it knew.
"""

from dataclasses import dataclass

import msgspec

from warp_twisted.registry.errors import BadValue, StoreBroken

ABOUT = "about"  # the key; it is not mirrored
MAX_ABOUT_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """
    What a registry says of itself.

    :ivar registry: its identity.
    :ivar is_complete: whether no copy is under way that has not come to its end.
    """

    registry: str
    is_complete: bool = True


def encode_about(about: About) -> bytes:
    """Write it down as the key holds it."""
    return msgspec.json.encode(about)


def decode_about(text: bytes) -> About:
    """
    Read what the key holds.

    :raises BadValue: if that is something else.
    """
    try:
        return _DECODER.decode(text[: MAX_ABOUT_BYTES + 1])
    except msgspec.DecodeError as error:
        raise BadValue(f"{ABOUT}: {error}") from error


def check_about(about: About | None, known: str, *, is_empty: bool, copy: str) -> None:
    """
    Refuse to follow what an etcd holds.

    :param about: what it says of itself; None: nothing.
    :param known: the identity of the registry that this edge knows; empty: it knows none.
    :param is_empty: whether the etcd holds nothing.
    :param copy: where this edge keeps what it knows, for the message.
    :raises StoreBroken: saying why, and what to do.
    """
    if about is not None and not about.is_complete:
        raise StoreBroken(
            "etcd holds half a copy of a registry; run `warp registry copy` again, with --replace, to its end"
        )
    if not known or (about is not None and about.registry == known):
        return
    if is_empty:
        raise StoreBroken(
            "etcd holds nothing, and this edge has followed a registry there; restore that from its backup or with"
            f" `warp registry copy`, or, to begin anew, stop the edge and remove {copy}"
        )
    raise StoreBroken(
        "etcd holds another registry than the one that this edge has followed; restore that from its backup or with"
        f" `warp registry copy`, or, to follow what is there now, stop the edge and remove {copy}"
    )


_DECODER = msgspec.json.Decoder(About)

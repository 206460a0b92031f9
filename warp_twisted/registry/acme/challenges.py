"""
What is published to prove to a certificate authority that a name is ours (RFC 8555 §8), as frozen values.

Each edge tells what it was asked to publish, all of it in one value, as long as it runs: a challenge is of use for
minutes, so that nothing of it lasts. Pure; when a challenge ends is decided in `edge.acme.challenges`.
"""

import re
from dataclasses import dataclass
from typing import Literal

from warp_twisted.errors import InvalidName, WarpError
from warp_twisted.names import parse_hostname

CHALLENGES = "warp/challenges/"
MAX_CHALLENGES = 200  # of one edge: an order has 100 names at most where authorities are strict
MAX_AT_NAME = 20  # values of one name: a certificate for a name and its wildcard has two
PREFIX = "_acme-challenge."
MAX_TOKEN = 128  # characters; RFC 8555 §8.3 wants 22 at least, Let's Encrypt has 43

_is_digest = re.compile(r"[A-Za-z0-9_-]{43}\Z").match  # SHA-256 in base64url, as all values of dns-01 are (§8.4)
_is_token = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_TOKEN}}}\Z").match


class InvalidChallenge(WarpError, ValueError):
    """What is to be published is no challenge of ACME, or not of this zone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """
    One challenge.

    :param name: for dns-01 the owner of the TXT record, for http-01 the hostname; in normal form.
    :param token: for http-01, the last part of the path.
    :param value: what the TXT record holds, or the body of the answer.
    """

    kind: Literal["dns-01", "http-01"]
    name: str
    value: str
    token: str = ""

    def __repr__(self) -> str:
        return f"Challenge(kind={self.kind!r}, name={self.name!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeChallenges:
    """All challenges that one edge was asked to publish."""

    edge: str
    challenges: tuple[Challenge, ...] = ()

    @property
    def key(self) -> str:
        """Where this value is stored."""
        return CHALLENGES + self.edge


def dns_challenge(name: str, value: str, zone: str) -> Challenge:
    """
    Return a challenge of kind dns-01.

    :param name: `_acme-challenge.` before the zone or a hostname below it; case and a trailing dot do not matter.
    :raises InvalidChallenge: if it is of another form, or outside the zone.
    """
    folded = name.lower().removesuffix(".")
    rest = folded.removeprefix(PREFIX)
    if rest == folded or not (rest == zone or rest.endswith(f".{zone}")):
        raise InvalidChallenge(f"name: expected {PREFIX}{zone}, or {PREFIX} before a hostname below it")
    if not _is_digest(value):
        raise InvalidChallenge("value: expected a digest of 43 characters in base64url, as ACME's dns-01 has it")
    return Challenge(kind="dns-01", name=_hostname(folded, "name"), value=value)


def http_challenge(hostname: str, token: str, value: str) -> Challenge:
    """
    Return a challenge of kind http-01.

    :param value: the key authorization: the token, a dot, and the thumbprint of the account's key.
    :raises InvalidChallenge: if it is of another form.
    """
    first, dot, thumbprint = value.partition(".")
    if not _is_token(token):
        raise InvalidChallenge(f"token: expected 1 to {MAX_TOKEN} characters of base64url")
    if not (dot and first == token and _is_digest(thumbprint)):
        raise InvalidChallenge("key_authorization: expected the token, a dot, and the thumbprint of the account's key")
    return Challenge(kind="http-01", name=_hostname(hostname, "hostname"), token=token, value=value)


def is_in_form(challenge: Challenge) -> bool:
    """Whether a challenge that another edge tells of is one, and in normal form; its zone is not asked for."""
    try:
        if challenge.kind == "http-01":
            return http_challenge(challenge.name, challenge.token, challenge.value) == challenge
        zone = challenge.name.removeprefix(PREFIX)
        return dns_challenge(challenge.name, challenge.value, zone) == challenge
    except InvalidChallenge:
        return False


def _hostname(text: str, key: str) -> str:
    try:
        return parse_hostname(text)
    except InvalidName as error:
        raise InvalidChallenge(f"{key}: {error}") from error

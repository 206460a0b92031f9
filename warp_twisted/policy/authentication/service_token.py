"""
Service tokens: a name and a secret in two fields, for programs. `warp service-token create` makes them.

Pure: the registry keeps a hash of each secret; the secret has 256 random bits, so that a plain SHA-256 is enough.
"""

from collections.abc import Callable
from hashlib import sha256
from hmac import compare_digest

import msgspec

from warp_twisted.policy.facts import Facts
from warp_twisted.policy.interfaces import ABSENT, Answer, Identity, Outcome

KIND = "service_token"
# As Cloudflare Access names them, for programs that moved over, and in our own name.
PAIRS = (
    (b"warp-client-id", b"warp-client-secret"),
    (b"cf-access-client-id", b"cf-access-client-secret"),
)
SECRETS = tuple(secret for _, secret in PAIRS)  # which no origin sees where a policy reads service tokens
MAX_SECRET = 256
_MALFORMED = Answer(Outcome.REFUSED, reason="a field of the pair is missing, or there is more than one")
_UNKNOWN = Answer(Outcome.REFUSED, reason="unknown, revoked or ended token, or a wrong secret")
_NOT_HERE = Answer(Outcome.REFUSED, reason="a token that this rule does not name")


class KnownToken(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is known of a service token.

    :ivar digest: SHA-256 of its secret.
    :ivar ends_at: seconds since the epoch; None if it does not end.
    """

    token_id: str
    name: str
    digest: bytes
    ends_at: float | None = None

    def __repr__(self) -> str:
        return f"KnownToken({self.token_id!r}, {self.name!r})"


class ServiceTokenCheck:
    """
    One rule's service tokens.

    :param find: returns a token that is neither unknown nor revoked, by its id.
    :param names: of the tokens that may come; None for all.
    """

    kind = KIND
    challenge = None
    carriers = tuple(field for pair in PAIRS for field in pair)
    authorities: tuple[bytes, ...] = ()

    def __init__(self, find: Callable[[str], KnownToken | None], names: frozenset[str] | None = None) -> None:
        self._find = find
        self._names = names

    def look(self, facts: Facts, now: float, wall: float) -> Answer:
        """Look for a pair of fields and compare it."""
        for id_field, secret_field in PAIRS:
            ids, secrets = facts.field(id_field), facts.field(secret_field)
            if ids.all or secrets.all:
                if not (ids.is_plain and secrets.is_plain and len(ids.all) == len(secrets.all) == 1):
                    return _MALFORMED
                return self._compared(ids.all[0], secrets.all[0], wall)
        return ABSENT

    def _compared(self, token_id: bytes, secret: bytes, wall: float) -> Answer:
        if len(token_id) > MAX_SECRET or len(secret) > MAX_SECRET:
            return _UNKNOWN
        known = self._find(token_id.decode("latin-1"))
        is_right = compare_digest(sha256(secret).digest(), known.digest if known is not None else bytes(32))
        if known is None or not is_right or (known.ends_at is not None and known.ends_at <= wall):
            return _UNKNOWN
        if self._names is not None and known.name not in self._names:
            return _NOT_HERE
        return Answer(Outcome.PROVEN, Identity(KIND, known.name))

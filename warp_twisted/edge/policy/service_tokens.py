"""
Service tokens in the registry: made, listed and revoked by operators, found by the policy's checks.

The registry keeps a hash of each secret. What is revoked through any edge is unknown to all of them as soon as their
mirrors hear of it, and so to the next request. What has expired stays in the list for a while, as the reason why a
program is not let in any more, and is forgotten when others are made.
"""

import re
import secrets
from collections.abc import Sequence
from hashlib import sha256
from itertools import islice

from twisted.logger import Logger

from warp_base.wall_clock import WallClock
from warp_twisted.edge.errors import EdgeError, TokenNotFound
from warp_twisted.policy.authentication.service_token import KnownToken
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import SERVICE_TOKENS, ServiceToken, encode
from warp_twisted.registry.store import Delete, Expect, Put, Store

MAX_TOKENS = 10_000
EXPIRED_SECONDS = 30 * 86400.0  # for which an expired token is listed, unless there is no room
MAX_FORGOTTEN = 100  # expired tokens, with each that is made
ID_BYTES = 8
SECRET_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class ServiceTokens:
    """The service tokens of a fleet."""

    _log = Logger()

    def __init__(self, store: Store, mirror: Mirror, wall: WallClock) -> None:
        self._store = store
        self._mirror = mirror
        self._wall = wall

    def find(self, token: str) -> KnownToken | None:
        """Return what is known of a token; None if it is unknown or revoked."""
        kept = self._mirror.service_tokens.get(token)
        if kept is None:
            return None
        return KnownToken(
            token_id=kept.id, name=kept.name, digest=bytes.fromhex(kept.secret_sha256), ends_at=kept.expires_at
        )

    def all(self) -> Sequence[ServiceToken]:
        """Return them all."""
        return list(self._mirror.service_tokens.values())

    async def create(self, name: str, ttl_seconds: float) -> tuple[ServiceToken, str]:
        """
        Make a token, and forget some that have expired.

        :returns: what is kept of it, and its secret, which is not kept.
        :raises ValueError: if the name cannot be used.
        :raises EdgeError: if there are too many.
        :raises RegistryError: if the registry cannot be written.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"name: expected at most 63 letters, digits, '.', '_' and '-', beginning with one of the first two,"
                f" got {name!r}"
            )
        now, known = self._wall.now(), self._mirror.service_tokens
        is_full = len(known) >= MAX_TOKENS
        before = now if is_full else now - EXPIRED_SECONDS
        expired = list(islice((each for each in known.values() if each.expires_at <= before), MAX_FORGOTTEN))
        if is_full and not expired:
            raise EdgeError(f"there are {MAX_TOKENS} service tokens, which is most; revoke those that are not used")
        secret = secrets.token_hex(SECRET_BYTES)
        token = ServiceToken(
            id=secrets.token_hex(ID_BYTES),
            name=name,
            secret_sha256=sha256(secret.encode()).hexdigest(),
            created_at=now,
            expires_at=now + ttl_seconds,
        )
        forgotten = [Delete(each.key) for each in expired]
        await self._store.transact([Expect(token.key, 0)], [Put(token.key, encode(token)), *forgotten])
        self._log.info("service token {token} for {name} was made", token=token.id, name=name)
        return token, secret

    async def revoke(self, token: str) -> None:
        """
        Let nobody prove anything with a token any more.

        :raises TokenNotFound: if there is none with this id.
        :raises RegistryError: if the registry is away.
        """
        if await self._store.get(SERVICE_TOKENS + token) is None:
            raise TokenNotFound(f"there is no service token {token!r}; warp service-token list shows the ids")
        await self._store.insist([Delete(SERVICE_TOKENS + token)])
        self._log.info("service token {token} was revoked", token=token)

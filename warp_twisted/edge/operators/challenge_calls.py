"""
The calls of the admin interface about ACME's challenges: `/v1/challenges`.

Their bodies are those of `acme.door`. They are for whoever orders certificates for names of this zone, or for hostnames
that lead here: Warp's own process, or another client of ACME by a hook. What is published is decided by
`edge.acme.challenges`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from twisted.web.http import Request

from warp_base.answer_stream import Pieces
from warp_twisted.acme.door import Challenge as Wish
from warp_twisted.acme.door import DnsChallenge
from warp_twisted.edge.operators.bodies import read_body
from warp_twisted.edge.operators.json_pieces import json_list
from warp_twisted.registry.acme.challenges import Challenge, dns_challenge, http_challenge

Call = tuple[str, str, Callable[..., Any]]


class Publishing(Protocol):
    """Where challenges are published; see `edge.acme.challenges`."""

    async def add(self, challenge: Challenge, lease_seconds: float) -> None:
        """Publish a challenge, or give it another lease."""

    async def remove(self, challenge: Challenge) -> bool:
        """Publish a challenge no more."""

    def listed(self) -> Iterator[tuple[str, Challenge]]:
        """Yield every challenge of the fleet, with the edge that was asked for it."""


class ChallengeCalls:
    """
    The calls of one edge.

    :param zone: outside of it nothing of kind dns-01 is published.
    """

    def __init__(self, challenges: Publishing, zone: str) -> None:
        self._challenges = challenges
        self._zone = zone

    def calls(self) -> Sequence[Call]:
        """Return method, path and function of each."""
        return (
            ("GET", "/v1/challenges", lambda request: self._listed()),
            ("POST", "/v1/challenges", self._add),
            ("DELETE", "/v1/challenges", self._remove),
        )

    def _listed(self) -> Pieces:
        return json_list(self._challenges.listed(), _described)

    async def _add(self, request: Request) -> object:
        wish = read_body(request, Wish)
        challenge = self._read(wish)
        await self._challenges.add(challenge, wish.lease_seconds)
        return {"kind": challenge.kind, "name": challenge.name, "lease_seconds": wish.lease_seconds}

    async def _remove(self, request: Request) -> object:
        return {"was_published": await self._challenges.remove(self._read(read_body(request, Wish)))}

    def _read(self, wish: Wish) -> Challenge:
        if isinstance(wish, DnsChallenge):
            return dns_challenge(wish.name, wish.value, self._zone)
        return http_challenge(wish.hostname, wish.token, wish.key_authorization)


def _described(listed: tuple[str, Challenge]) -> dict[str, object]:
    edge, challenge = listed
    return {"edge": edge, "kind": challenge.kind, "name": challenge.name, "value": challenge.value}

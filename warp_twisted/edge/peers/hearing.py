"""
What one other edge has told: which live values it stands behind, and what follows from each message.

An edge speaks of itself only: values with another edge's name end its link, and so does more than one edge may have.
Pure: messages in, changes out.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from warp_twisted.edge.errors import BadPeerMessage
from warp_twisted.edge.peers.messages import Complete, Greeting, PeerMessage, Told
from warp_twisted.edge.peers.notices import Renewal
from warp_twisted.errors import WarpError
from warp_twisted.names import HostnamePattern, check_labels
from warp_twisted.registry.acme.challenges import CHALLENGES, MAX_CHALLENGES, EdgeChallenges, is_in_form
from warp_twisted.registry.ban_records import KeptBan
from warp_twisted.registry.edge_records import EDGE_POLICIES
from warp_twisted.registry.model import EDGES, TUNNELS, Revocation, Tunnel, Value

MAX_VALUES = 100_000  # `limits.tunnels` is 10,000 by default
MAX_ADDRESSES = 32
MAX_EDGES = 1000  # of a fleet: so many at most may an edge say that it reaches
MAX_ROUTES = 1000
MAX_ID_CHARACTERS = 255
_KEY_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """
    What follows from a message.

    :param values: live values by key; None: there is none any more.
    :param is_complete: whether the snapshot is whole with it.
    """

    values: dict[str, Value | None] = field(default_factory=dict)
    revocations: Iterable[Revocation] = ()
    bans: Iterable[KeptBan] = ()
    lifted: Iterable[str] = ()
    renewals: Iterable[Renewal] = ()
    policy_version: int = 0
    is_complete: bool = False


class Hearing:
    """
    What an edge tells on one connection.

    :param edge: the edge that was proven to speak.
    :param before: keys that it told on a connection before this one and that are still believed; those that are not in
        the snapshot go with its end.
    :ivar keys: of all that is believed of it.
    :ivar greeting: what it said first.
    """

    def __init__(self, edge: str, before: Iterable[str] = ()) -> None:
        self._edge = edge
        self._entries = {EDGES + edge, EDGE_POLICIES + edge, CHALLENGES + edge}
        self.keys = set(before)
        self._unconfirmed = set(self.keys)
        self.greeting: Greeting | None = None
        self._is_complete = False

    @property
    def tunnels(self) -> int:
        """How many tunnels it has."""
        return len(self.keys) - len(self.keys & self._entries)

    def take(self, message: PeerMessage) -> Heard:
        """
        Take the next message.

        :raises BadPeerMessage: if the edge may not say that, or not now.
        """
        if isinstance(message, Greeting):
            if self.greeting is not None:
                raise BadPeerMessage("a second greeting")
            self.greeting = message
            return Heard()
        if self.greeting is None:
            raise BadPeerMessage("something was told before the greeting")
        if isinstance(message, Complete):
            return self._complete()
        values = self._values(message)
        self._unconfirmed -= values.keys()
        for key, value in values.items():
            (self.keys.discard if value is None else self.keys.add)(key)
        if len(self.keys) > MAX_VALUES:
            raise BadPeerMessage(f"more than {MAX_VALUES} values of one edge")
        return Heard(
            values=values,
            revocations=message.revocations,
            bans=message.bans,
            lifted=message.lifted,
            renewals=message.renewals,
            policy_version=message.policy_version,
        )

    def _complete(self) -> Heard:
        if self._is_complete:
            raise BadPeerMessage("a second end of the snapshot")
        if EDGES + self._edge not in self.keys - self._unconfirmed:
            raise BadPeerMessage("a snapshot that does not say who the edge is")
        self._is_complete = True
        gone, self._unconfirmed = self._unconfirmed, set()
        self.keys -= gone
        return Heard(values=dict.fromkeys(gone), is_complete=True)

    def _values(self, told: Told) -> dict[str, Value | None]:
        values: dict[str, Value | None] = {}
        if told.edge is not None:
            if told.edge.name != self._edge or not 1 <= len(told.edge.addresses) <= MAX_ADDRESSES:
                raise BadPeerMessage("an edge's entry that is not its own, or has no address or too many")
            if len(told.edge.relays_to) > MAX_EDGES:
                raise BadPeerMessage(f"an edge that says that it reaches more than {MAX_EDGES} others")
            values[told.edge.key] = told.edge
        if told.edge_policy is not None:
            if told.edge_policy.edge != self._edge:
                raise BadPeerMessage("the policy of another edge")
            values[told.edge_policy.key] = told.edge_policy
        if told.challenges is not None:
            _check_challenges(told.challenges, self._edge)
            values[told.challenges.key] = told.challenges
        for tunnel in told.tunnels:
            _check_tunnel(tunnel, self._edge)
            values[tunnel.key] = tunnel
        for key in told.gone:
            if not key.startswith(f"{TUNNELS}{self._edge}/"):
                raise BadPeerMessage("the end of what is not its own")
            values[key] = None
        for renewal in told.renewals:
            if not 1 <= len(renewal.agent) <= MAX_ID_CHARACTERS or not _KEY_SHA256.fullmatch(renewal.key_sha256):
                raise BadPeerMessage("a renewal without an agent or a key")
        return values


def _check_challenges(told: EdgeChallenges, edge: str) -> None:
    """Refuse challenges that an edge cannot have been asked to publish."""
    if told.edge != edge or len(told.challenges) > MAX_CHALLENGES:
        raise BadPeerMessage("challenges of another edge, or too many")
    if not all(is_in_form(challenge) for challenge in told.challenges):
        raise BadPeerMessage("a challenge that is none of ACME")


def _check_tunnel(tunnel: Tunnel, edge: str) -> None:
    """Refuse a tunnel that an edge cannot have."""
    if tunnel.edge != edge:
        raise BadPeerMessage("a tunnel of another edge")
    if not (1 <= len(tunnel.id) <= MAX_ID_CHARACTERS and 1 <= len(tunnel.agent) <= MAX_ID_CHARACTERS):
        raise BadPeerMessage("a tunnel without an id or an agent, or with one that is too long")
    if max(len(tunnel.hostnames), len(tunnel.routes)) > MAX_ROUTES:
        raise BadPeerMessage(f"a tunnel with more than {MAX_ROUTES} hostnames or routes")
    names = set(tunnel.hostnames)
    try:
        check_labels(tunnel.labels)
        for hostname in names:
            if HostnamePattern.parse(hostname).text != hostname:
                raise BadPeerMessage(f"a hostname that is not in normal form: {hostname[:300]!r}")
    except WarpError as error:
        raise BadPeerMessage(f"a tunnel that cannot be: {error}") from error
    if any(route.hostname not in names for route in tunnel.routes):
        raise BadPeerMessage("a route of a hostname that its tunnel does not have")

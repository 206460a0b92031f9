"""
What the registry knows, as frozen values, and how each is written down.

A value lives under a key that starts with its kind's prefix and ends with its id; the text is JSON. Nothing
here reads a clock or a store: instants are seconds since the epoch, handed in. Unknown fields in stored text
are ignored, so that a newer edge may add one while an older edge still runs beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from warp_twisted.errors import InvalidName
from warp_twisted.names import Hostname, HostnamePattern
from warp_twisted.registry.acme.challenges import CHALLENGES, EdgeChallenges
from warp_twisted.registry.acme.records import ACCOUNT, CERTIFICATES, ORDERS, AcmeAccount, AcmeOrder, OrderedCertificate
from warp_twisted.registry.ban_records import BANS, KeptBan
from warp_twisted.registry.edge_records import EDGE_POLICIES, EDGE_RECORDS, EdgePolicy, EdgeRecord, OfferedRoute
from warp_twisted.registry.errors import BadValue
from warp_twisted.registry.route_records import GUARDED, ROUTE_KEYS, SHIFTS, Guarded, RouteKey, Shift

EDGES = "warp/edges/"
TUNNELS = "warp/tunnels/"
AGENTS = "warp/agents/"
TOKENS = "warp/tokens/"
REVOCATIONS = "warp/revocations/"
NAMES = "warp/names/"  # hostname handed out → the agent it was handed to
OWNERS = "warp/owners/"  # hostname or pattern → the group of agents that it belongs to
SERVICE_TOKENS = "warp/service-tokens/"
POLICY = "warp/policy/"  # the one record under it says which version is in force
POLICY_VERSIONS = "warp/policy-versions/"  # number → what is known of a version; its text is not under ROOT
CURRENT_POLICY = POLICY + "current"
ROOT = "warp/"
NUMBERING = "dns/numbering/"  # zone → which edge numbers it: changes every second, so it is in no mirror and no copy
# What an edge says of itself while it runs. Each has one writer, so it is told from edge to edge and stored nowhere.
LIVE = (EDGES, TUNNELS, EDGE_POLICIES, CHALLENGES)

MAX_POLICY_BYTES = 512 << 10
MAX_SERVED_BY = 32  # agents that are kept with the owner of a hostname

PolicyNumber = Annotated[int, msgspec.Meta(ge=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """
    A node that faces the internet, under a lease of its own.

    :param name: a DNS label; the edge's hostname is `name` under the zone.
    :param http_port: this and the other ports as visitors and agents see them; None: the edge does not offer that.
    :param https_names: hostnames and `*.` patterns for which it has a certificate; `*` covers one label here.
    :param coordinates: where it is, as latitude and longitude in degrees; None: it does not say.
    :param assertion_keys: public halves of the keys that it tells origins with who visitors are (RFC 7517).
    :param relays_to: edges that it reaches now, and through which it serves what they serve.
    """

    name: str
    addresses: tuple[str, ...]
    http_port: int | None = None
    https_port: int | None = None
    tunnel_port: int | None = None
    https_names: tuple[str, ...] = ()
    weight: int = 10
    coordinates: tuple[float, float] | None = None
    draining: bool = False
    started_at: float = 0.0
    assertion_keys: tuple[Mapping[str, str], ...] = ()
    relays_to: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Where this value is stored."""
        return EDGES + self.name

    def has_certificate(self, hostname: str) -> bool:
        """Whether a visitor of a hostname (or `*.` pattern) is shown a certificate for it here."""
        return hostname in self.https_names or "*." + hostname.partition(".")[2] in self.https_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnel:
    """
    One live tunnel, under a lease that ends with it.

    :param slot: which of the agent's tunnels this is; a newer one of the same agent and slot replaces it.
    :param hostnames: what it serves, without repeats.
    :param draining: it takes nothing new, so nothing is published for it.
    :param failing: of its hostnames those whose origins are not healthy, by the agent's probes.
    :param routes: what other edges need to relay requests to it.
    """

    id: str
    agent: str
    slot: int
    edge: str
    hostnames: tuple[Hostname, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    draining: bool = False
    registered_at: float = 0.0
    address: str = ""
    failing: tuple[Hostname, ...] = ()
    routes: tuple[OfferedRoute, ...] = ()

    @property
    def key(self) -> str:
        """Where this value is stored."""
        return f"{TUNNELS}{self.edge}/{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """
    An enrolled agent.

    :param hostnames: the patterns its certificates allow, in normal form.
    :param labels: set by its join token; they win over what the agent says of itself.
    :param token: id of the join token that let it in.
    :param group: of the agents that it shares hostnames with; empty: it enrolled before there were groups.
    :param expires_at: when its newest certificate ends; 0: not known.
    :param key_sha256: of the public key of its newest certificate (`ca.returning`); empty: not known.
    :param policy: whether it may ask edges for a policy of its own, which narrows who reaches its hostnames.
    """

    id: str
    hostnames: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    token: str = ""
    enrolled_at: float = 0.0
    expires_at: float = 0.0
    key_sha256: str = ""
    group: str = ""
    policy: bool = True

    @property
    def key(self) -> str:
        """Where this value is stored."""
        return AGENTS + self.id

    @property
    def patterns(self) -> tuple[HostnamePattern, ...]:
        """The hostnames it may serve."""
        return tuple(HostnamePattern.parse(text) for text in self.hostnames)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinToken:
    """
    What is kept of a join token: never its secret, only the secret's hash.

    :param secret_sha256: hexadecimal; the secret has 256 random bits, so a fast hash is enough.
    :param uses_left: how many agents it may still let in.
    :param share: the word for the group of agents that it lets in; empty: those that it lets in are a group.
    :param policy: whether they may ask for a policy of their own.
    """

    id: str
    secret_sha256: str
    hostnames: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    uses_left: int = 1
    created_at: float = 0.0
    expires_at: float = 0.0
    share: str = ""
    policy: bool = True

    @property
    def key(self) -> str:
        """Where this value is stored."""
        return TOKENS + self.id

    @property
    def group(self) -> str:
        """The group of the agents that it lets in."""
        return self.share or self.id

    def __repr__(self) -> str:
        return f"JoinToken(id={self.id!r}, hostnames={self.hostnames!r}, uses_left={self.uses_left})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """An agent that must not come back: its tunnels are cut, its certificates are refused."""

    agent: str
    revoked_at: float = 0.0
    reason: str = ""

    @property
    def key(self) -> str:
        """Where this value is stored."""
        return REVOCATIONS + self.agent


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenName:
    """A hostname that an edge made up for an agent, kept so that the agent finds it again."""

    hostname: Hostname
    agent: str

    @property
    def key(self) -> str:
        """Where this value is stored."""
        return NAMES + self.hostname


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """
    The group of agents that a hostname belongs to.

    :param hostname: in normal form, or a `*.` pattern that is served as one.
    :param group: a share word, or the id of a join token.
    :param since: since when it is theirs.
    :param is_exact: whether a certificate of the group names it, rather than a pattern that covers it.
    :param agents: who has served it: first who took it, then those that came last, `MAX_SERVED_BY` at most.
    :param is_inherited: whether it was taken by an agent that enrolled before there were groups.
    :param away_since: since when nobody serves it, as far as was noticed; 0: somebody does.
    """

    hostname: str
    group: str
    since: float = 0.0
    is_exact: bool = False
    agents: tuple[str, ...] = ()
    is_inherited: bool = False
    away_since: float = 0.0

    @property
    def key(self) -> str:
        """Where this value is stored."""
        return OWNERS + self.hostname


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceToken:
    """
    What is kept of a service token, by which a program proves who it is to the policy: never its secret.

    :param name: by which rules know it; several may share one, so that a secret can be changed without a gap.
    :param secret_sha256: hexadecimal, as of `JoinToken`.
    """

    id: str
    name: str
    secret_sha256: str
    created_at: float = 0.0
    expires_at: float = 0.0

    @property
    def key(self) -> str:
        """Where this value is stored."""
        return SERVICE_TOKENS + self.id

    def __repr__(self) -> str:
        return f"ServiceToken(id={self.id!r}, name={self.name!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVersion:
    """
    One version of the fleet's policy: who put it there, and how its text is recognised (`registry.policy_versions`).

    :param number: from 1; each is one larger than the version that it replaced.
    :param sha256: of the text, hexadecimal.
    :param author: the unix user who applied it; empty: not known.
    :param restores: the version whose text it has again; 0: it came with a text of its own.
    """

    number: PolicyNumber
    sha256: str
    size_bytes: Annotated[int, msgspec.Meta(ge=0, le=MAX_POLICY_BYTES)]
    applied_at: float = 0.0
    author: str = ""
    message: str = ""
    restores: int = 0

    @property
    def key(self) -> str:
        """Where this value is stored."""
        return f"{POLICY_VERSIONS}{self.number:010}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentPolicy:
    """Which version of the policy the edges of the fleet are to have in force."""

    number: PolicyNumber

    @property
    def key(self) -> str:
        """Where this value is stored."""
        return CURRENT_POLICY


Value = (
    Edge
    | EdgeRecord
    | Tunnel
    | Agent
    | JoinToken
    | Revocation
    | GivenName
    | Owner
    | ServiceToken
    | PolicyVersion
    | CurrentPolicy
    | RouteKey
    | Shift
    | Guarded
    | EdgePolicy
    | EdgeChallenges
    | AcmeAccount
    | AcmeOrder
    | OrderedCertificate
    | KeptBan
)

_KINDS: dict[str, type[Value]] = {
    EDGES: Edge,
    EDGE_RECORDS: EdgeRecord,
    TUNNELS: Tunnel,
    AGENTS: Agent,
    TOKENS: JoinToken,
    REVOCATIONS: Revocation,
    NAMES: GivenName,
    OWNERS: Owner,
    SERVICE_TOKENS: ServiceToken,
    ROUTE_KEYS: RouteKey,
    SHIFTS: Shift,
    GUARDED: Guarded,
    BANS: KeptBan,
    POLICY: CurrentPolicy,
    POLICY_VERSIONS: PolicyVersion,
    EDGE_POLICIES: EdgePolicy,
    CHALLENGES: EdgeChallenges,
    ACCOUNT: AcmeAccount,
    ORDERS: AcmeOrder,
    CERTIFICATES: OrderedCertificate,
}
_ENCODER = msgspec.json.Encoder()
_DECODERS = {prefix: msgspec.json.Decoder(kind) for prefix, kind in _KINDS.items()}


def encode(value: Value) -> bytes:
    """Write a value down as the JSON text that its key holds."""
    return _ENCODER.encode(value)


def decode(key: str, text: bytes) -> Value:
    """
    Read the value that a key holds.

    :raises BadValue: if the key is of no known kind, or the text does not fit the key.
    """
    prefix = key[: key.find("/", len(ROOT)) + 1]
    decoder = _DECODERS.get(prefix)
    if decoder is None:
        raise BadValue(f"{key}: no known kind of value")
    try:
        value = decoder.decode(text)
        if isinstance(value, Agent):
            _ = value.patterns
    except (msgspec.DecodeError, InvalidName) as error:
        raise BadValue(f"{key}: {error}") from error
    if value.key != key:
        raise BadValue(f"{key}: the value belongs under {value.key}")
    return value


def is_live(key: str) -> bool:
    """Whether a key is of what an edge says of itself as long as it runs."""
    return key.startswith(LIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One value that came (`before` is None), changed, or went (`after` is None)."""

    key: str
    before: Value | None
    after: Value | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything the registry knew at one revision, by id (edges by name)."""

    revision: int = 0
    edges: Mapping[str, Edge] = field(default_factory=dict)
    tunnels: Mapping[str, Tunnel] = field(default_factory=dict)
    agents: Mapping[str, Agent] = field(default_factory=dict)
    tokens: Mapping[str, JoinToken] = field(default_factory=dict)
    revocations: Mapping[str, Revocation] = field(default_factory=dict)

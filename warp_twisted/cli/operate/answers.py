"""
What an edge's admin interface answers, as far as the command shows it.

Unknown fields are ignored, so that a newer edge may say more. The answers are made by `edge.operators.operations`.
"""

from typing import TypeVar

import msgspec

from warp_twisted.cli.errors import EdgeRefused
from warp_twisted.cli.operate.origin_answers import Ejected, Queue


class Token(msgspec.Struct, frozen=True):
    """A join token, without its secret."""

    id: str
    hostnames: list[str]
    uses_left: int
    expires_at: float
    labels: dict[str, str] = {}
    group: str = ""
    created_at: float = 0.0


class NewToken(Token, frozen=True):
    """A join token that was made just now, with the text to hand out."""

    token: str = ""

    def __repr__(self) -> str:
        return f"NewToken(id={self.id!r}, token=****)"


class ServiceToken(msgspec.Struct, frozen=True):
    """A service token, without its secret."""

    id: str
    name: str
    created_at: float
    expires_at: float


class NewServiceToken(ServiceToken, frozen=True):
    """A service token that was made just now, with its secret."""

    secret: str = ""

    def __repr__(self) -> str:
        return f"NewServiceToken(id={self.id!r}, secret=****)"


class Agent(msgspec.Struct, frozen=True):
    """An enrolled agent, or one that was revoked."""

    id: str
    hostnames: list[str] = []
    labels: dict[str, str] = {}
    token: str = ""
    group: str = ""
    enrolled_at: float = 0.0
    tunnels: int = 0
    revoked_at: float = 0.0
    reason: str = ""


class Revoked(msgspec.Struct, frozen=True):
    """
    The answer to a revocation.

    :ivar was_known: whether the edge knew the agent before.
    :ivar not_kept: why the revocation would end with the edge now; empty if it would not.
    """

    was_known: bool = True
    not_kept: str = ""


class ShiftMade(msgspec.Struct, frozen=True):
    """A share that gets another part than the policy gives it; parts are 0 to 1."""

    hostname: str
    selector: str
    start: float
    target: float
    part: float = 0.0
    began_at: float = 0.0
    over_seconds: float = 0.0
    author: str = ""


class SplitShare(msgspec.Struct, frozen=True):
    """A share of a split hostname."""

    selector: str
    part: float
    tier: int = 0
    requests: int = 0
    errors: int = 0
    healthy: int = 0
    tunnels: int = 0


class Unhealthy(msgspec.Struct, frozen=True):
    """An agent's origin that its probes find not healthy."""

    agent: str
    reason: str = ""
    selector: str = ""


class SplitGuard(msgspec.Struct, frozen=True):
    """What the guard of a share has found: `better`, `worse` or `undecided`, and what came of it."""

    selector: str
    verdict: str
    reason: str = ""
    action: str = ""
    edge: str = ""


class SplitMirror(msgspec.Struct, frozen=True):
    """
    The shadow that gets copies of a hostname's requests.

    :ivar copies: that were to be made; `answered`: by the shadow, of these `errors` with 500 and above.
    :ivar unanswered: why the others have no answer, with how many each.
    """

    selector: str
    percent: float
    tunnels: int = 0
    healthy: int = 0
    copies: int = 0
    answered: int = 0
    errors: int = 0
    unanswered: dict[str, int] = {}


class SplitHostname(msgspec.Struct, frozen=True):
    """A hostname, or pattern, whose requests are split among its tunnels."""

    hostname: str
    shares: list[SplitShare]
    sticky: str = ""
    testers: str = ""
    unhealthy: list[Unhealthy] = []
    unmatched: int = 0
    shift: ShiftMade | None = None
    guard: SplitGuard | None = None
    mirror: SplitMirror | None = None
    ejected: list[Ejected] = []


class Banned(msgspec.Struct, frozen=True):
    """A network that is turned away when it connects."""

    network: str
    seconds_left: float = 0.0
    reason: str = ""


class BanMade(msgspec.Struct, frozen=True):
    """The answer to a ban: the network that it is of, and why it ends with the edge, if it does."""

    network: str
    not_kept: str = ""


class BanEnded(msgspec.Struct, frozen=True):
    """The answer to the end of a ban: whether there was one."""

    was_banned: bool


class PolicyVersion(msgspec.Struct, frozen=True):
    """
    A version of the fleet's policy; number 0: there is none.

    :ivar restores: the version whose text it has again; 0: none.
    """

    number: int
    sha256: str = ""
    size_bytes: int = 0
    applied_at: float = 0.0
    author: str = ""
    message: str = ""
    restores: int = 0


class PolicyText(PolicyVersion, frozen=True):
    """A version with its text."""

    text: str = ""


class PolicyApplied(msgspec.Struct, frozen=True):
    """
    What came of a policy that was applied, or only judged.

    :ivar version: the one in force now.
    :ivar replaced: the one that was; 0: none.
    :ivar in_force: whether it is on the edge that answers.
    :ivar error: why not.
    :ivar file: that this edge follows instead.
    """

    changed: bool
    version: int
    replaced: int
    restores: int = 0
    rules: int = 0
    in_force: bool = False
    error: str = ""
    file: str | None = None


class OwnedHostname(msgspec.Struct, frozen=True):
    """
    A hostname and the group that it belongs to.

    :ivar away_since: since when nobody serves it; 0: not noticed yet, or it is served.
    :ivar served_by: the agents that serve it through the edge that answers.
    """

    hostname: str
    group: str
    since: float = 0.0
    away_since: float = 0.0
    served_by: list[str] = []


class Released(msgspec.Struct, frozen=True):
    """The answer to a release: whose the hostname was."""

    group: str


class Shared(msgspec.Struct, frozen=True):
    """The answer to a share word for an agent's group: whether it is new."""

    group: str
    changed: bool


class EdgePolicy(msgspec.Struct, frozen=True):
    """Which policy an edge has in force; see `registry.model.EdgePolicy`."""

    file: bool = False
    version: int = 0
    error: str = ""


class Edge(msgspec.Struct, frozen=True):
    """An edge of the fleet; `policy` is None of one whose release does not say."""

    name: str
    addresses: list[str]
    http_port: int | None = None
    https_port: int | None = None
    tunnel_port: int | None = None
    draining: bool = False
    policy: EdgePolicy | None = None


class Peer(msgspec.Struct, frozen=True):
    """Another edge, and the link of the edge that answers with it."""

    edge: str
    alive: bool = False
    draining: bool = False
    seconds: float = 0.0
    tunnels: int = 0
    addresses: list[str] = []
    round_trip_seconds: float | None = None
    software: str = ""
    region: str = ""
    problem: str = ""


class Tunnel(msgspec.Struct, frozen=True):
    """A tunnel; what only its own edge knows is None for tunnels of others."""

    id: str
    agent: str
    edge: str
    slot: int = 0
    hostnames: list[str] = []
    labels: dict[str, str] = {}
    draining: bool = False
    registered_at: float = 0.0
    address: str = ""
    streams: int | None = None
    round_trip_seconds: float | None = None
    clock_difference_seconds: float | None = None


class Route(msgspec.Struct, frozen=True):
    """
    A hostname and path, and how many tunnels may serve it.

    :ivar services: agent → what it leads to there.
    :ivar unhealthy: agent → why its origin is not well.
    :ivar failing: of these agents those whose probes say so.
    """

    hostname: str
    path: str = ""
    url: str = ""
    group: str = ""
    tunnels: int = 0
    services: dict[str, str] = {}
    unhealthy: dict[str, str] = {}
    failing: list[str] = []


class EdgeState(msgspec.Struct, frozen=True):
    """
    The edge that answers.

    :ivar visitors: their connections; while the edge drains, each has a request under way.
    """

    name: str
    zone: str
    ready: bool
    parts: dict[str, bool] = {}
    version: str = ""
    draining: bool = False
    tunnels: int = 0
    streams: int = 0
    visitors: int = 0


class RegistryState(msgspec.Struct, frozen=True):
    """The registry, as the edge that answers sees it."""

    current: bool
    writable: bool = True
    problem: str = ""


class DnsState(msgspec.Struct, frozen=True):
    """What DNS publishes."""

    unlisted: int = 0


class PolicyState(msgspec.Struct, frozen=True):
    """
    How the edge that answers stands to its policy.

    :ivar file: that it follows; None: the fleet's policy.
    :ivar wanted: the version of that which is to be in force.
    :ivar version: the one that is.
    :ivar closed: whether nobody is let through meanwhile.
    """

    file: str | None = None
    wanted: int = 0
    version: int = 0
    error: str = ""
    closed: bool = False


class Status(msgspec.Struct, frozen=True):
    """Everything that an edge says of itself and of the fleet."""

    edge: EdgeState
    registry: RegistryState
    edges: list[Edge]
    tunnels: list[Tunnel]
    routes: list[Route]
    agents: list[Agent]
    dns: DnsState = DnsState()
    splits: list[SplitHostname] = []
    ejected: list[Ejected] = []
    queues: list[Queue] = []
    peers: list[Peer] = []
    policy: PolicyState = PolicyState()


T = TypeVar("T")


def read(answer: object, kind: type[T]) -> T:
    """
    Take an answer as what it should be.

    :raises EdgeRefused: if the edge is of a version that answers something else.
    """
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as error:
        raise EdgeRefused(f"the edge answers in a way that this warp does not know ({error}); update it") from error

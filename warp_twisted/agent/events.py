"""
What happens to an agent, as values: for the live view of `warp up`, its plain lines and its JSON.

The agent hands each to one observer. Nothing here is needed for the agent to work.
"""

from collections.abc import Callable

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Something happened; as JSON, the key `event` says what."""


class Enrolled(Event, frozen=True, tag="enrolled"):
    """The agent got its first certificate."""

    agent_id: str
    hostnames: list[str]


class Delayed(Event, frozen=True, tag="delayed"):
    """The agent has no identity yet and tries again to get one."""

    reason: str
    retry_seconds: float


class Dialing(Event, frozen=True, tag="dialing"):
    """The agent has its identity and begins to dial edges."""

    agent_id: str


class TunnelUp(Event, frozen=True, tag="tunnel_up"):
    """An edge accepted a tunnel."""

    tunnel: int
    edge: str
    address: str


class TunnelDown(Event, frozen=True, tag="tunnel_down"):
    """A tunnel ended or did not come about; without `retry_seconds` it is not tried again."""

    tunnel: int
    address: str
    reason: str
    retry_seconds: float | None


class Published(Event, frozen=True, tag="published"):
    """
    The hostnames under which visitors reach the origins now; URL → service of the first rule that has it.

    :ivar plain_urls: those without TLS, where the hostname has one with TLS in `urls` too.
    :ivar zone: of the fleet, and `name_servers`: its name servers and at which `host:port` each answers; both are empty
        if the edge did not say.
    """

    urls: dict[str, str]
    plain_urls: dict[str, str] = {}
    zone: str = ""
    name_servers: dict[str, list[str]] = {}


class Protected(Event, frozen=True, tag="protected"):
    """
    What edges enforce for hostnames because the agent asks for it: hostname → each thing in a few words.

    Nothing is served before it is told.
    """

    hostnames: dict[str, list[str]]


class NameUnanswered(Event, frozen=True, tag="name_unanswered"):
    """
    A name server does not answer a hostname that is published.

    :ivar server: its name, and `address`: its `host:port`.
    :ivar answer: what it says instead: `NXDOMAIN`, or why nothing was heard.
    """

    hostname: str
    server: str
    address: str
    answer: str


class Shared(Event, frozen=True, tag="shared"):
    """
    Hostnames that other agents serve as well; hostname → how many others, as far as the edge that said so knows.

    :ivar group: of all these agents.
    """

    group: str
    hostnames: dict[str, int]


class OriginChanged(Event, frozen=True, tag="origin"):
    """An origin began or ceased to answer."""

    origin: str
    healthy: bool
    detail: str


class CertificateRenewed(Event, frozen=True, tag="certificate_renewed"):
    """The agent's certificate was renewed; `valid_until` is seconds since the epoch."""

    valid_until: float


class ClockSuspected(Event, frozen=True, tag="clock_suspected"):
    """This machine's clock seems to be wrong, in a sentence; an empty one: it does not any more."""

    suspicion: str


class Reloaded(Event, frozen=True, tag="reloaded"):
    """The settings were read again; `needs_restart` are the keys whose change waits for a restart."""

    routes: int
    needs_restart: list[str]


class ReloadRefused(Event, frozen=True, tag="reload_refused"):
    """New settings were not taken; the old ones stay."""

    reason: str


class Refused(Event, frozen=True, tag="refused"):
    """The agent was revoked."""

    reason: str


class Draining(Event, frozen=True, tag="draining"):
    """The agent takes nothing new and finishes what is under way."""

    streams: int
    deadline_seconds: float


class Stopped(Event, frozen=True, tag="stopped"):
    """The agent has stopped."""


Observer = Callable[[Event], None]

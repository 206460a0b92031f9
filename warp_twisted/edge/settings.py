"""
edge.yaml as values: which keys exist, their bounds and their defaults.

This module decides nothing about the running edge; `edge.node` is handed one `EdgeSettings` and compares a
newer one with it. `needs_restart` says which keys cannot change while the edge runs.
"""

from ipaddress import ip_address
from typing import Annotated, Literal

import msgspec

from warp_base.host_port import split_host_port
from warp_dns.settings import NotifySettings, ServerSettings, TransferSettings
from warp_twisted.configuration import read_file
from warp_twisted.edge.acme.settings import AcmeSettings
from warp_twisted.edge.stores.settings import RegistrySettings
from warp_twisted.errors import InvalidName
from warp_twisted.http1.forwarding import parse_statements
from warp_twisted.http1.request_fields import DEFAULT, FieldRules
from warp_twisted.names import parse_hostname
from warp_twisted.policy.sources.prefixes import parse_prefix

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400)]
Latitude = Annotated[float, msgspec.Meta(ge=-90, le=90)]
Longitude = Annotated[float, msgspec.Meta(ge=-180, le=180)]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Label = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z",
        description="one DNS label of lower-case letters, digits and inner hyphens",
    ),
]


def _check_addresses(addresses: tuple[str, ...]) -> None:
    for index, address in enumerate(addresses):
        try:
            ip_address(address)
        except ValueError as error:
            raise ValueError(f"addresses[{index}]: expected an IPv4 or IPv6 address, got {address!r}") from error


class EdgeIdentity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who this edge is, and at which public addresses and ports visitors and agents find it."""

    name: Label
    addresses: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1, max_length=16)]
    weight: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 10
    region: str = ""  # one of dns.places.regions
    coordinates: tuple[Latitude, Longitude] | None = None
    http_port: Port | None = None  # public ports, where they differ from those listened on (NAT)
    https_port: Port | None = None
    tunnel_port: Port | None = None
    # `address:port` at which other edges find it, where that is not the tunnel listener at `addresses`
    peer_addresses: Annotated[tuple[Text, ...], msgspec.Meta(max_length=16)] = ()

    def __post_init__(self) -> None:
        _check_addresses(self.addresses)
        if self.region and self.coordinates is not None:
            raise ValueError("coordinates: not beside region, which has its own")
        for index, text in enumerate(self.peer_addresses):
            try:
                host, port = split_host_port(text)
                ip_address(host)
            except ValueError as error:
                raise ValueError(f"peer_addresses[{index}]: expected address:port, got {text!r}") from error
            if not port:
                raise ValueError(f"peer_addresses[{index}]: expected address:port, got {text!r}")


class Listen(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Twisted endpoint strings; an empty list or null switches a listener off."""

    http: tuple[Text, ...] | None = ("tcp:80",)
    https: tuple[Text, ...] | None = ("tcp:443",)
    tunnel: tuple[Text, ...] | None = ("tcp:7844",)
    dns: tuple[Text, ...] | None = ()
    admin: Text | None = "/run/warp-edge/admin.sock"
    records: Text | None = None  # unix socket with what DNS publishes, for warp-dns beside this edge
    metrics: Text | None = None


class CertificateAuthority(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The root that agents trust and this edge's own intermediate, which issues certificates."""

    root: Text
    certificate: Text
    key: Text
    agent_lifetime: Annotated[float, msgspec.Meta(ge=4, le=31 * 86400)] = 86400
    agent_absence: Annotated[float, msgspec.Meta(ge=0, le=3650 * 86400)] = 90 * 86400  # 0: nobody returns
    edge_lifetime: Annotated[float, msgspec.Meta(ge=60, le=90 * 86400)] = 7 * 86400


class Nameserver(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One name server of the zone: its label under the zone, and where it is."""

    name: Label
    addresses: tuple[Text, ...]

    def __post_init__(self) -> None:
        _check_addresses(self.addresses)


class Dns(ServerSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    What is published in the zone, and how the server in the edge's process answers; the latter as in dns.yaml.

    :ivar nameservers: empty means one `ns1` at this edge's addresses.
    """

    ttl: Annotated[int, msgspec.Meta(ge=0, le=86400)] = 5
    negative_ttl: Annotated[int, msgspec.Meta(ge=0, le=86400)] = 10  # of "there is no such name", RFC 2308
    nameservers: Annotated[tuple[Nameserver, ...], msgspec.Meta(max_length=13)] = ()
    grace: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 15  # seconds; 0: a name goes with its last tunnel
    https_records: bool = True
    browse: Literal["all", "labels", "none"] = "all"  # what strangers may learn of applications
    master_file: Text | None = None  # records beside the live ones, RFC 1035 §5
    challenge_keys: Annotated[tuple[Text, ...], msgspec.Meta(max_length=100)] = ()  # of `keys`: who may publish them
    transfer: TransferSettings = TransferSettings()
    notify: list[NotifySettings] = []


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every table, buffer and rate of the edge has its bound here."""

    head_bytes: Annotated[int, msgspec.Meta(ge=1024, le=1 << 20)] = 16384
    header_count: Annotated[int, msgspec.Meta(ge=8, le=10000)] = 100
    target_bytes: Annotated[int, msgspec.Meta(ge=256, le=1 << 19)] = 8192
    body_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0  # of one request; 0 sets no bound
    connections: Count = 20000
    connections_per_address: Count = 1000
    unread_bytes: Annotated[int, msgspec.Meta(ge=1 << 20)] = 512 << 20  # of answers and requests, in all
    body_bytes_per_second: Annotated[int, msgspec.Meta(ge=0)] = 240  # of a visitor's body, on average; 0: no bound
    requests_per_second: Annotated[float, msgspec.Meta(ge=0)] = 0.0  # per address; 0: no bound
    request_burst: Count = 100
    visitor_handshakes_per_second: Annotated[float, msgspec.Meta(ge=0)] = 100.0  # per address; 0: no bound
    visitor_handshake_burst: Count = 500
    tunnels: Count = 10000
    tunnels_per_agent: Count = 64  # an agent keeps at most 32, and while it moves, each of them twice
    handshakes: Count = 1000  # TLS connections on the tunnel port that are no tunnel yet
    streams_per_tunnel: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 1024
    routes_per_tunnel: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    names_per_agent: Count = 1000  # hostnames that one agent may take, those that it serves no more included
    idle_streams_per_route: Annotated[int, msgspec.Meta(ge=0)] = 256
    queued_requests: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 100  # per route, for a place at an origin
    enrollments_per_second: Annotated[float, msgspec.Meta(gt=0)] = 1.0  # per address
    enrollment_burst: Count = 10


UpgradeProtocol = Annotated[
    str, msgspec.Meta(pattern=r"^(?![hH]2[cC]?$)[!#$%&'*+.^_`|~0-9A-Za-z-]+(/[0-9.]+)?$", max_length=64)
]


class Responses(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    What is taken from origins.

    :param bare_lf: whether the lines of a response's head may end with LF alone.
    """

    head_bytes: Annotated[int, msgspec.Meta(ge=1024, le=1 << 20)] = 65536
    header_count: Annotated[int, msgspec.Meta(ge=8, le=10000)] = 1000
    bare_lf: bool = False


class Forwarding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    Which fields of visitors' requests origins never see, and which the edge sets beside X-Forwarded-*.

    :param proxy_protocol: proxies in front of the edge, that begin each connection with a PROXY header.
    :param x_forwarded_for: HTTP proxies in front of the edge, that say in each request for whom they ask.
    :param x_forwarded_proto: whether those say, too, how the visitor came.
    """

    strip: Annotated[tuple[Text, ...], msgspec.Meta(max_length=200)] = (DEFAULT,)
    set: Annotated[tuple[Text, ...], msgspec.Meta(max_length=20)] = ()
    proxy_protocol: Annotated[tuple[Text, ...], msgspec.Meta(max_length=1000)] = ()
    x_forwarded_for: Annotated[tuple[Text, ...], msgspec.Meta(max_length=1000)] = ()
    x_forwarded_proto: bool = False

    def __post_init__(self) -> None:
        for key, prefixes in (("proxy_protocol", self.proxy_protocol), ("x_forwarded_for", self.x_forwarded_for)):
            for index, prefix in enumerate(prefixes):
                try:
                    parse_prefix(prefix)
                except ValueError as error:
                    raise ValueError(f"{key}[{index}]: {error}") from error
        if self.x_forwarded_proto and not self.x_forwarded_for:
            raise ValueError("x_forwarded_proto: nobody is believed before x_forwarded_for names the proxies")
        for key, values in (("set", self.set), ("strip", self.strip)):
            for index, value in enumerate(values):
                try:
                    if key == "set":
                        parse_statements([value])
                    else:
                        FieldRules([value], self.set)
                except ValueError as error:
                    raise ValueError(f"{key}[{index}]: {error}") from error


class Names(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """To whom hostnames belong: how long a group of agents keeps one that it does not serve, in seconds."""

    hold: Annotated[float, msgspec.Meta(ge=0, le=3650 * 86400)] = 7 * 86400


PING_SECONDS = 30.0  # as rathole and frp; each costs the edge a tenth of a millisecond
PING_SHARE = 0.75  # of a silence that is shorter


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every wait of the edge, in seconds."""

    header: Seconds = 10
    idle: Seconds = 75
    visitor_stall: Seconds = 60
    origin_connect: Seconds = 10
    origin_response: Seconds = 60
    origin_stall: Seconds = 3600
    queued: Seconds = 10  # for a place at an origin that takes only so many requests at once
    upgraded: Seconds = 3600
    half_closed: Seconds = 60
    idle_stream: Seconds = 55
    suspicion: Annotated[float, msgspec.Meta(ge=0.5, le=3600)] = 2  # a tunnel that is silent although it was asked
    ping: Annotated[float, msgspec.Meta(ge=1, le=3600)] | None = None  # of both ends of a tunnel; agents are told
    silence: Annotated[float, msgspec.Meta(ge=2, le=86400)] = 40
    drain: Seconds = 30
    drain_alone: Seconds = 5  # where no other edge takes what comes: visitors wait, or are refused, for as long
    hello: Seconds = 10  # from a tunnel's TCP accept to its hello
    lease: Annotated[float, msgspec.Meta(ge=3, le=3600)] = 30
    settle: Annotated[float, msgspec.Meta(ge=0, le=300)] = 5

    @property
    def ping_seconds(self) -> float:
        """When a silent tunnel is asked for a sign of life: early enough for an answer before it is given up."""
        return min(PING_SECONDS, PING_SHARE * self.silence) if self.ping is None else self.ping

    def __post_init__(self) -> None:
        if self.ping is not None and self.silence <= self.ping:
            raise ValueError(f"silence: expected more than ping, which is {self.ping:g} s, got {self.silence:g}")


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the edge writes its log, and where the access log goes: `-` is standard output, null is nowhere."""

    format: Literal["json", "text"] = "json"
    level: Literal["debug", "info", "warn", "error"] = "info"
    access: Text | None = "-"


class EdgeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole of edge.yaml."""

    zone: Text
    edge: EdgeIdentity
    ca: CertificateAuthority
    listen: Listen = Listen()
    state: Text = "/var/lib/warp-edge"
    registry: RegistrySettings | None = None  # a file in `state`
    certificates: Text | None = "/etc/warp/certificates"
    acme: AcmeSettings | None = None  # orders certificates that `certificates` does not hold
    policy: Text | None = None  # a file; without it every request is allowed
    firewall_bans: Text | None = None  # the socket of the helper that puts bans into the firewall
    policy_files: Text = "/etc/warp/policy"  # where the files are that a policy names
    dns: Dns = Dns()
    forwarding: Forwarding = Forwarding()
    responses: Responses = Responses()
    # Protocols (RFC 9110 §7.8), such as tcp for Docker's API: after the switch nothing is read of what passes.
    upgrades: Annotated[tuple[UpgradeProtocol, ...], msgspec.Meta(max_length=20)] = ("websocket",)
    names: Names = Names()
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    log: Log = Log()

    def __post_init__(self) -> None:
        known_keys = [key.name for key in self.dns.keys]
        for index, name in enumerate(self.dns.challenge_keys):
            if name not in known_keys:
                raise ValueError(f"dns.challenge_keys[{index}]: there is no key {name!r} in dns.keys")
        try:
            normal = parse_hostname(self.zone)
        except InvalidName as error:
            raise ValueError(f"zone: {error}") from error
        if normal != self.zone:
            raise ValueError(f"zone: expected {normal!r}, got {self.zone!r}")
        regions = self.dns.places.regions
        if self.edge.region and self.edge.region not in regions:
            known = ", ".join(regions) or "none"
            raise ValueError(f"edge.region: no region {self.edge.region!r} in dns.places.regions; known: {known}")

    @property
    def hostname(self) -> str:
        """This edge's own name."""
        return f"{self.edge.name}.{self.zone}"

    @property
    def coordinates(self) -> tuple[float, float] | None:
        """Where this edge is, if it says so: its own coordinates, or those of its region."""
        region = self.dns.places.regions.get(self.edge.region)
        return self.edge.coordinates if region is None else region.coordinates

    @property
    def nameservers(self) -> dict[str, list[str]]:
        """Label → addresses of the zone's name servers; without any in the settings, this edge is `ns1`."""
        named = {server.name: list(server.addresses) for server in self.dns.nameservers}
        return named or {"ns1": list(self.edge.addresses)}


class CurrentSettings:
    """
    The settings as they are now: parts of the edge hold this and call it; a reload replaces what it returns.

    :ivar value: replaced as a whole, never altered.
    """

    __slots__ = ("value",)

    def __init__(self, value: EdgeSettings) -> None:
        self.value = value

    def __call__(self) -> EdgeSettings:
        """Return the settings of this moment."""
        return self.value


# What is read once at start. Everything else is applied by a reload.
_FIXED = ("zone", "edge", "ca", "listen", "state", "registry")
_RELOADED_DNS = ("negative_ttl", "master_file", "transfer", "notify")
_FIXED_DNS = tuple(name for name in Dns.__struct_fields__ if name not in _RELOADED_DNS)


def read_edge_settings(path: str) -> EdgeSettings:
    """
    Read edge.yaml.

    :raises InvalidSettings: naming the file, the key's path and what was expected.
    """
    return read_file(path, EdgeSettings)


def needs_restart(running: EdgeSettings, wanted: EdgeSettings) -> list[str]:
    """Name the sections that differ and that only a restart applies, such as `listen`, and of `dns` the keys."""
    return [
        *(["acme"] if (running.acme is None) != (wanted.acme is None) else ()),
        *(name for name in _FIXED if getattr(running, name) != getattr(wanted, name)),
        *(f"dns.{name}" for name in _FIXED_DNS if getattr(running.dns, name) != getattr(wanted.dns, name)),
    ]


def merge_reloaded(running: EdgeSettings, wanted: EdgeSettings) -> EdgeSettings:
    """Return the wanted settings with the sections that need a restart left as they run."""
    fixed = {name: getattr(running, name) for name in _FIXED}
    if (running.acme is None) != (wanted.acme is None):
        fixed["acme"] = running.acme
    dns = msgspec.structs.replace(wanted.dns, **{name: getattr(running.dns, name) for name in _FIXED_DNS})
    return msgspec.structs.replace(wanted, dns=dns, **fixed)

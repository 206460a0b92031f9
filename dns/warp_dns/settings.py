"""
What an operator may set, as values: the shape of `dns.yaml`, and of what the edge passes in its own process.

Unknown keys are refused by msgspec with the key's path. Meaning is checked where a value is used: names and records
in `master` and `live`, networks in `limits`, `places` and `transfer`, keys in `tsig`. Nothing is read from files here.
"""

from typing import Annotated

import msgspec

Seconds = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Degrees = Annotated[float, msgspec.Meta(ge=-180, le=180)]


class TransferSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which clients may transfer a zone: from these networks, with one of these TSIG keys; both if both are given."""

    networks: list[str] = []
    keys: list[str] = []


class NotifySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A secondary that is told of each change (RFC 1996), signed when a key is named."""

    address: str
    key: str = ""


class ZoneSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    One zone.

    SOA and NS come either from `primary`, `hostmaster` and `nameservers`, or from the master file; not from both.

    :ivar name: the apex, with or without the trailing dot.
    :ivar primary: the SOA's MNAME; the first of `nameservers` when left out.
    :ivar hostmaster: the SOA's RNAME as a name; `hostmaster` beneath the apex when left out.
    :ivar nameservers: NS targets and their addresses; no addresses when they are published elsewhere.
    :ivar ttl: of the records made from these settings.
    :ivar negative_ttl: how long resolvers may believe that a name does not exist (RFC 2308).
    :ivar master_file: records beside the live ones, or the whole zone (RFC 1035 §5).
    :ivar serial_file: where a live zone's serial outlives a restart; without it serials start from the clock.
    :ivar follow: an edge's socket of published records, for live records (`twistd warp-dns` only).
    :ivar follow_serials: whether that edge also says what is transferred, and at which serial: it is one of a fleet.
    :ivar stale_seconds: how long live records are served after the edge that is followed went away.
    """

    name: str
    primary: str = ""
    hostmaster: str = ""
    nameservers: dict[str, list[str]] = {}
    ttl: Seconds = 300
    negative_ttl: Seconds = 10
    refresh: Seconds = 3600
    retry: Seconds = 600
    expire: Seconds = 1209600
    master_file: str = ""
    serial_file: str = ""
    follow: str = ""
    follow_serials: bool = False
    stale_seconds: Annotated[float, msgspec.Meta(gt=0)] = 3600.0
    transfer: TransferSettings = TransferSettings()
    notify: list[NotifySettings] = []


class KeySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A TSIG key (RFC 8945); the file holds the secret in base64 and nothing else."""

    name: str
    algorithm: str = "hmac-sha256"
    secret_file: str


class IdentitySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `version.bind` and `id.server` (RFC 4892) and NSID (RFC 5001) say; empty: REFUSED, and no NSID."""

    version: Annotated[str, msgspec.Meta(max_length=200)] = ""
    id: Annotated[str, msgspec.Meta(max_length=200)] = ""


class TcpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of DNS over TCP (RFC 7766 §6.2)."""

    idle_seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 10.0
    connections: Annotated[int, msgspec.Meta(ge=1)] = 1000
    connections_per_address: Annotated[int, msgspec.Meta(ge=1)] = 50
    transfers: Annotated[int, msgspec.Meta(ge=1)] = 20


class RateLimitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Response rate limiting over UDP; see `limits`.

    :ivar responses_per_second: of one kind and name to one network; 0: nothing is limited.
    :ivar all_per_second: of all kinds and names to one network; 0: no such limit.
    :ivar exempt: networks that are never limited; by default loopback, which cannot be forged from outside.
    """

    responses_per_second: Annotated[int, msgspec.Meta(ge=0)] = 500
    all_per_second: Annotated[int, msgspec.Meta(ge=0)] = 10000
    slip: Annotated[int, msgspec.Meta(ge=0, le=100)] = 2
    ipv4_prefix: int = 24
    ipv6_prefix: int = 56
    exempt: list[str] = msgspec.field(default_factory=lambda: ["127.0.0.0/8", "::1/128"])


class CookieSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    DNS cookies.

    :ivar secrets_file: one secret of 32 hexadecimal digits a line, the active one first; without a file a secret is
        made at each start. Servers that share an address share the file (RFC 9018).
    """

    enabled: bool = True
    secrets_file: str = ""


class RegionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named region: latitude and longitude, and its networks."""

    coordinates: tuple[Degrees, Degrees]
    networks: list[str] = []


class EdgeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Where an edge is, by region or by coordinates, its load, and whether it drains.

    :ivar load: 0 to 1; from 0.9 on the edge is named last.
    :ivar draining: not named while another edge is available.
    """

    region: str = ""
    coordinates: tuple[Degrees, Degrees] | None = None
    load: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    draining: bool = False


class PlacesSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Nearest edge first.

    :ivar database: a MaxMind-format file (City, or Country with `regions` named by country or continent code).
    :ivar regions: when there is no database, their networks tell where a client is.
    :ivar addresses: how many edges an answer names at most; 0: all, nearest first.
    """

    database: str = ""
    regions: dict[str, RegionSettings] = {}
    edges: dict[str, EdgeSettings] = {}
    addresses: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0


class QueryLogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One query in so many is logged; 0: none."""

    one_in: Annotated[int, msgspec.Meta(ge=0)] = 0


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for the whole server: the top of `dns.yaml`, and beneath `dns` in `edge.yaml`."""

    udp_bytes: Annotated[int, msgspec.Meta(ge=512, le=4096)] = 1232
    identity: IdentitySettings = IdentitySettings()
    tcp: TcpSettings = TcpSettings()
    rate_limit: RateLimitSettings = RateLimitSettings()
    cookies: CookieSettings = CookieSettings()
    keys: list[KeySettings] = []
    places: PlacesSettings = PlacesSettings()
    query_log: QueryLogSettings = QueryLogSettings()

    @property
    def server(self) -> "ServerSettings":
        """These settings without what a file has beside them."""
        return ServerSettings(**{name: getattr(self, name) for name in ServerSettings.__struct_fields__})


class Secrets(msgspec.Struct, frozen=True):
    """
    Cookie secrets, and the name, algorithm and secret of each TSIG key; never shown by `repr`.

    :ivar left_out: names of keys whose secrets could not be read.
    """

    cookies: list[bytes]
    keys: list[tuple[str, str, bytes]]
    left_out: list[str] = []

    def __repr__(self) -> str:
        return f"Secrets({len(self.cookies)} cookie secrets, {len(self.keys)} keys)"

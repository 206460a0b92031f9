"""
What an operator may set, as values: the shape of `dns.yaml`, and of what the edge passes in its own process.

Unknown keys are refused by msgspec with the key's path. Meaning is checked where a value is used: names and records
in `master` and `live`, addresses in `server`. Nothing is read from files here.
"""

from typing import Annotated

import msgspec

Seconds = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


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
    :ivar follow: an edge's admin socket, for live records (`twistd warp-dns` only).
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
    follow: str = ""


class IdentitySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What CHAOS names and NSID say; empty means REFUSED."""

    version: str = ""
    id: str = ""


class TcpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of DNS over TCP (RFC 7766 §6.2)."""

    idle_seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 10.0
    connections: Annotated[int, msgspec.Meta(ge=1)] = 1000
    connections_per_address: Annotated[int, msgspec.Meta(ge=1)] = 50


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for the whole server."""

    udp_bytes: Annotated[int, msgspec.Meta(ge=512, le=4096)] = 1232
    identity: IdentitySettings = IdentitySettings()
    tcp: TcpSettings = TcpSettings()

"""
Warp's authoritative DNS server.

In another program's process (the edge's, or a test's):

    from warp_dns import DnsServer, ServedZone, ServerSettings, ZoneSettings

    zone = ZoneSettings(name="warp.example", nameservers={"ns1.warp.example": ["192.0.2.1"]})
    server = DnsServer(reactor, [ServedZone(zone, source)], ServerSettings())   # source: a RecordSource, or None
    bound = server.start(["192.0.2.1:53", "[2001:db8::1]:53"])                  # [(host, port), …]; UDP and TCP
    server.is_ready; server.serial("warp.example"); server.counters.totals()
    registry.register(server.collector)                                         # Prometheus
    await server.stop()

`InvalidZone` and `InvalidSettings` are raised before anything is bound, `ListenFailed` when an address is taken.
A name server whose addresses the source publishes itself is listed without any: `{"edge1.warp.example": []}`.

As a program of its own: `twistd warp-dns --config dns.yaml` (module `tap`).

From the inside out: `message` (names, records, queries, bytes) and `zone` (a zone's data and what it answers) are pure
(no Twisted, no clock, no log); `serve` puts them on sockets, `program` is what twistd runs. This package never imports
warp_twisted.
"""

from warp_dns.errors import DnsError, InvalidRecord, InvalidSettings, InvalidZone, ListenFailed
from warp_dns.message.records import RecordLike
from warp_dns.serve.server import DnsServer
from warp_dns.serve.zones import ServedZone
from warp_dns.settings import (
    CookieSettings,
    EdgeSettings,
    IdentitySettings,
    KeySettings,
    NotifySettings,
    PlacesSettings,
    QueryLogSettings,
    RateLimitSettings,
    RegionSettings,
    ServerSettings,
    TcpSettings,
    TransferSettings,
    ZoneSettings,
)
from warp_dns.zone.source import FixedSource, Record, Records, RecordSource

__all__ = [
    "CookieSettings",
    "DnsError",
    "DnsServer",
    "EdgeSettings",
    "FixedSource",
    "IdentitySettings",
    "InvalidRecord",
    "InvalidSettings",
    "InvalidZone",
    "KeySettings",
    "ListenFailed",
    "NotifySettings",
    "PlacesSettings",
    "QueryLogSettings",
    "RateLimitSettings",
    "Record",
    "RecordLike",
    "RecordSource",
    "Records",
    "RegionSettings",
    "ServedZone",
    "ServerSettings",
    "TcpSettings",
    "TransferSettings",
    "ZoneSettings",
]

"""
A `Responder` from settings: which parts it has, and with what limits. Shared by the server and its workers.
"""

from collections.abc import Callable
from typing import Any

from warp_base.wall_clock import WallClock
from warp_dns.errors import DnsError, InvalidSettings, refuse
from warp_dns.message.cookies import CookieJar
from warp_dns.message.tsig import KeyRing
from warp_dns.serve.limits import ResponseRateLimit
from warp_dns.serve.maxmind import MaxMindTable
from warp_dns.serve.metrics import Counters
from warp_dns.serve.responder import Responder
from warp_dns.settings import PlacesSettings, Secrets, ServerSettings
from warp_dns.zone.places import Places


def make_responder(
    settings: ServerSettings,
    secrets: Secrets,
    counters: Counters,
    wall: WallClock,
    *,
    workers: int = 1,
    discard: Callable[[dict[Any, Any]], None] | None = None,
    leave_out: Callable[[DnsError], None] = refuse,
) -> Responder:
    """
    Return a responder without zones.

    :param workers: how many processes share the queries; each allows its part of the rate.
    :param discard: frees a large table in slices.
    :param leave_out: told of a database that cannot be read.
    :raises InvalidSettings: naming what is wrong.
    """
    rate = settings.rate_limit
    limit = None
    if rate.responses_per_second:
        limit = ResponseRateLimit(
            rate=-(-rate.responses_per_second // workers),
            all_rate=-(-rate.all_per_second // workers),
            slip=rate.slip,
            ipv4_prefix=rate.ipv4_prefix,
            ipv6_prefix=rate.ipv6_prefix,
            exempt=rate.exempt,
        )
    return Responder(
        counters,
        wall,
        identity=settings.identity,
        udp_bytes=settings.udp_bytes,
        limit=limit,
        cookies=CookieJar(secrets.cookies) if secrets.cookies else None,
        keys=KeyRing(secrets.keys),
        places=_places(settings.places, leave_out),
        idle_seconds=settings.tcp.idle_seconds,
        discard=discard,
    )


def _places(settings: PlacesSettings, leave_out: Callable[[DnsError], None]) -> Places:
    database = None
    if settings.database:
        regions = {name: region.coordinates for name, region in settings.regions.items()}
        try:
            database = MaxMindTable(settings.database, regions)
        except InvalidSettings as error:
            leave_out(error)
    return Places(settings, database)

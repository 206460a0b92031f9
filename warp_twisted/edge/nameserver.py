"""
The DNS server in the edge's own process: `warp_dns`, serving the zone that this edge publishes.

It translates edge.yaml and errors; what is answered is decided there.
"""

from pathlib import Path
from typing import Any

from warp_dns.errors import DnsError
from warp_dns.server import DnsServer, ServedZone
from warp_dns.settings import ZoneSettings
from warp_twisted.edge.presence import nameservers
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.errors import InvalidSettings
from warp_twisted.registry.publish import Publication


def make_nameserver(reactor: Any, settings: EdgeSettings, publication: Publication) -> DnsServer | None:
    """
    Make the server that the settings ask for, if they do; it does not listen yet.

    :raises InvalidSettings: if the zone's file is wrong.
    """
    if not settings.listen.dns:
        return None
    zone = settings.zone
    zone_settings = ZoneSettings(
        name=zone,
        nameservers={f"{name}.{zone}": addresses for name, addresses in nameservers(settings).items()},
        master_file=settings.dns.master_file or "",
        serial_file=str(Path(settings.state) / f"{zone}.serial"),
    )
    try:
        return DnsServer(reactor, [ServedZone(zone_settings, publication)])
    except DnsError as error:
        raise InvalidSettings(f"dns: {error}") from error


def start_nameserver(server: DnsServer, settings: EdgeSettings) -> tuple[tuple[str, int], ...]:
    """
    Let the server listen and answer.

    :returns: host and port of each address.
    :raises InvalidSettings: if it cannot have one of them.
    """
    try:
        return tuple(server.start(settings.listen.dns or ()))
    except DnsError as error:
        raise InvalidSettings(f"listen.dns: {error}") from error

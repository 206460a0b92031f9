"""
The DNS server in the edge's own process: `warp_dns`, serving the zone that this edge publishes.

It translates edge.yaml and errors; what is answered is decided there.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path

from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_base.own_address import why_not_own
from warp_base.reactor import Reactor
from warp_base.wall_clock import WallClock
from warp_dns.addresses import check_addresses, parse_address
from warp_dns.errors import DnsError
from warp_dns.serve.followed import clock_serial
from warp_dns.serve.serials import SerialFile
from warp_dns.serve.server import DnsServer
from warp_dns.serve.zones import ServedZone
from warp_dns.settings import EdgeSettings as EdgePlace
from warp_dns.settings import ZoneSettings
from warp_dns.zone.numbering import ZoneNumbering
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.errors import InvalidSettings
from warp_twisted.registry.edge_records import EdgeRecord
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Change, Edge
from warp_twisted.registry.published.publish import Publication


def make_nameserver(
    reactor: Reactor,
    wall: WallClock,
    settings: EdgeSettings,
    publication: Publication,
    *,
    is_shared: bool = False,
    numbering: ZoneNumbering | None = None,
) -> DnsServer | None:
    """
    Make the server that the settings ask for, if they do; it does not listen yet.

    An edge of a fleet has one even if it listens nowhere: it numbers the zone, or hears who does, for others.

    A master file that cannot be used keeps nobody from being served: it is said, and the zone answered with SERVFAIL.
    So is each name that is not there until the zone is resumed (`DnsServer.resume`): its names are not known yet.

    :param is_shared: another process of this edge may answer at the same addresses.
    :param numbering: of the zone, where several edges share a registry.
    :raises InvalidSettings: if the settings are wrong.
    """
    if not settings.listen.dns and numbering is None:
        return None
    server = _server(
        reactor,
        wall,
        settings,
        publication,
        _serial_file(settings),
        is_strict=False,
        is_shared=is_shared,
        numbering=numbering,
    )
    server.suspend(settings.zone)
    return server


def follow_edges(server: DnsServer, mirror: Mirror, own: str, named: Mapping[str, EdgePlace]) -> None:
    """
    Name the fleet's edges in the order of their distance, by what each says of itself, and without those that drain.

    One that this edge hears nothing of is left out at once, before its records go. While there is one edge, or none
    says where it is, the order is that of the records.

    :param own: this edge's name.
    :param named: `dns.places.edges` of edge.yaml, which wins over what edges say.
    """
    told = dict(named)

    def changed(changes: Sequence[Change]) -> None:
        nonlocal told
        if any(isinstance(change.after or change.before, Edge | EdgeRecord) for change in changes):
            dead = mirror.edge_records.keys() - mirror.edges.keys() - {own}
            places = places_of(mirror.edges.values(), named, dead)
            if places != told:
                told = places
                server.set_edges(places)

    mirror.subscribe(changed)


def places_of(
    edges: Iterable[Edge], named: Mapping[str, EdgePlace], dead: Collection[str] = ()
) -> dict[str, EdgePlace]:
    """
    Return where each edge is and whether it drains, as DNS is to know it.

    :param dead: edges of the fleet of which nothing is heard: as those that drain, they are named only if no other is.
    """
    known = sorted(edges, key=lambda edge: edge.name)
    gone = {name: EdgePlace(draining=True) for name in sorted(dead)}
    if not gone and (len(known) < 2 or not any(edge.coordinates or edge.draining for edge in known)):
        return dict(named)
    return {
        **{edge.name: EdgePlace(coordinates=edge.coordinates, draining=edge.draining) for edge in known},
        **named,
        **gone,
    }


def check_nameserver(reactor: Reactor, settings: EdgeSettings) -> list[str]:
    """
    Look at what the settings say of DNS; nothing is written. The zone's file is read even where nobody serves it.

    :returns: what is odd in the zone's file, although it is served.
    :raises InvalidSettings: naming the key.
    """
    texts = settings.listen.dns or ()
    try:
        check_addresses(texts, "listen.dns")
    except DnsError as error:
        raise InvalidSettings(f"{error}") from error
    for index, text in enumerate(texts):
        reason = why_not_own(ip_address(parse_address(text)[0]))
        if reason:
            raise InvalidSettings(f"listen.dns[{index}]: {reason}: {text}; see: ip address")
    if settings.listen.dns:
        try:
            SerialFile(_serial_file(settings)).read()
        except DnsError as error:
            raise InvalidSettings(f"state: {error}") from error
    warnings: list[str] = []
    publication = Publication(settings.zone)  # the edges' addresses are there when it runs
    _server(reactor, MACHINE_WALL_CLOCK, settings, publication, "", is_strict=True, warn=warnings.append)
    return warnings


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


def first_serial(settings: EdgeSettings, wall: WallClock) -> int:
    """
    Return the serial to begin with where several edges are to number the zone: after those of an edge that was alone.

    :raises InvalidSettings: if the file of serials holds something else.
    """
    try:
        return SerialFile(_serial_file(settings)).first(clock_serial(wall))
    except DnsError as error:
        raise InvalidSettings(f"state: {error}") from error


async def reload_nameserver(
    server: DnsServer, settings: EdgeSettings, publication: Publication, numbering: ZoneNumbering | None = None
) -> None:
    """
    Serve the zone as new settings say, and read its master file again; answers go out meanwhile.

    :raises InvalidSettings: if the settings are wrong; nothing has changed then.
    """
    try:
        zone = _served_zone(settings, publication, _serial_file(settings), numbering)
        await server.replace_zones_in_slices([zone])
    except DnsError as error:
        raise InvalidSettings(f"{error}") from error
    server.reload()


def _server(
    reactor: Reactor,
    wall: WallClock,
    settings: EdgeSettings,
    publication: Publication,
    serial_file: str,
    *,
    is_strict: bool,
    is_shared: bool = False,
    numbering: ZoneNumbering | None = None,
    warn: Callable[[str], None] | None = None,
) -> DnsServer:
    try:
        return DnsServer(
            reactor,
            [_served_zone(settings, publication, serial_file, numbering)],
            settings.dns.server,
            wall=wall,
            is_strict=is_strict,
            is_shared=is_shared,
            warn=warn,
            place="dns.",
        )
    except DnsError as error:
        raise InvalidSettings(f"{error}") from error


def _served_zone(
    settings: EdgeSettings, publication: Publication, serial_file: str, numbering: ZoneNumbering | None = None
) -> ServedZone:
    zone, dns = settings.zone, settings.dns
    zone_settings = ZoneSettings(
        name=zone,
        nameservers={f"{name}.{zone}": addresses for name, addresses in settings.nameservers.items()},
        negative_ttl=dns.negative_ttl,
        master_file=dns.master_file or "",
        serial_file=serial_file if numbering is None else "",
        transfer=dns.transfer,
        notify=dns.notify,
    )
    return ServedZone(zone_settings, publication, key="dns", numbering=numbering)


def _serial_file(settings: EdgeSettings) -> str:
    return str(Path(settings.state) / f"{settings.zone}.serial")

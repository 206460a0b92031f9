"""The zone that dns/README.md shows, made as an edge makes it: from the registry's own publication."""

from pathlib import Path
from typing import Any

from warp_base.reactor import Reactor
from warp_dns import (
    DnsServer,
    IdentitySettings,
    PlacesSettings,
    RegionSettings,
    ServedZone,
    ServerSettings,
    TransferSettings,
    ZoneSettings,
)
from warp_dns.settings import EdgeSettings
from warp_twisted.names import Hostname
from warp_twisted.registry.model import Change, Edge, Tunnel, Value
from warp_twisted.registry.published.publish import Publication

ZONE = "warp.example"
OFFERED: Any = {"http_port": 80, "https_port": 443, "tunnel_port": 7844, "https_names": ("*.warp.example",)}
MASTER_FILE = """\
@     3600 CAA  0 issue "ca.example.org"
@     3600 MX   10 mail
mail  3600 A    192.0.2.25
"""


def publication() -> Publication:
    """Return what two edges with one application publish: stable on both, canary on the second."""
    published = Publication(ZONE, ttl=5)
    edges = [
        Edge(name="edge1", addresses=("192.0.2.1", "2001:db8::1"), **OFFERED),
        Edge(name="edge2", addresses=("198.51.100.1",), **OFFERED),
    ]
    tunnels = [
        Tunnel(
            id=f"t{number}",
            agent=f"agent{number}",
            slot=0,
            edge=edge,
            hostnames=(Hostname(f"app.{ZONE}"),),
            labels={"release": release},
        )
        for number, (edge, release) in enumerate([("edge1", "stable"), ("edge2", "stable"), ("edge2", "canary")])
    ]
    values: list[Value] = [*edges, *tunnels]
    published.apply(Change(key=each.key, before=None, after=each) for each in values)
    return published


def server(reactor: Reactor, directory: Path) -> DnsServer:
    """Return a server of that zone, which knows where the edges are."""
    master_file = directory / "warp.example.zone"
    master_file.write_text(MASTER_FILE)
    zone = ZoneSettings(
        name=ZONE,
        nameservers={f"ns1.{ZONE}": ["192.0.2.1"], f"ns2.{ZONE}": ["198.51.100.1"]},
        master_file=str(master_file),
        transfer=TransferSettings(networks=["127.0.0.0/8"]),
    )
    settings = ServerSettings(
        identity=IdentitySettings(version="warp", id="ns1.warp.example"),
        places=PlacesSettings(
            regions={
                "europe": RegionSettings(coordinates=(50, 10), networks=["192.0.2.0/24"]),
                "asia": RegionSettings(coordinates=(35, 135), networks=["203.0.113.0/24"]),
            },
            edges={"edge1": EdgeSettings(region="europe"), "edge2": EdgeSettings(region="asia")},
        ),
    )
    return DnsServer(reactor, [ServedZone(zone, publication())], settings)

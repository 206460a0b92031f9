"""
A DNS server over a registry of 1,500 applications with 4,000 tunnels, for `registrations` to measure.

The registry's own publication feeds the server, in one process, as in an edge. Lines on standard input are the test's:
`fill` makes the fleet, `register NAME` registers one more application, `memory` prints the resident size.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineReceiver

from benchmarks import proc
from benchmarks.dns.zones import APPLICATIONS, ZONE
from warp_dns import DnsServer, ServedZone, ZoneSettings
from warp_twisted.names import Hostname
from warp_twisted.registry.model import Change, Edge, Tunnel
from warp_twisted.registry.published.publish import Publication

TUNNELS = 4000
EDGES = ("edge1", "edge2", "edge3")


class Orders(LineReceiver):
    """Standard input."""

    delimiter = b"\n"

    def __init__(self, publication: Publication) -> None:
        self._publication = publication
        self._tunnels = 0

    def lineReceived(self, line: bytes) -> None:
        """Do what the line says, and print when it was done."""
        word, _, name = line.decode().partition(" ")
        if word == "fill":
            edges = [
                Edge(name=edge, addresses=(f"192.0.2.{number}", f"2001:db8::{number}"), https_port=443, http_port=80)
                for number, edge in enumerate(EDGES, 1)
            ]
            changes = [Change(key=edge.key, before=None, after=edge) for edge in edges]
            changes += [
                self._tunnel(f"app{number % APPLICATIONS}", number // APPLICATIONS) for number in range(TUNNELS)
            ]
            self._publication.apply(changes)
        elif word == "register":
            self._publication.apply([self._tunnel(name, 0)])
        elif word == "memory":
            print(proc.resident_bytes(os.getpid()), flush=True)
            return
        print(time.monotonic(), flush=True)

    def connectionLost(self, reason: object = None) -> None:
        """The test is over."""
        reactor: Any = installed
        reactor.stop()

    def _tunnel(self, application: str, edge: int) -> Change:
        self._tunnels += 1
        tunnel = Tunnel(
            id=f"t{self._tunnels}",
            agent=f"agent-{application}",
            slot=edge,
            edge=EDGES[edge % len(EDGES)],
            hostnames=(Hostname(f"{application}.{ZONE}"),),
            labels={"release": "stable" if self._tunnels % 10 else "canary", "region": "eu"},
        )
        return Change(key=tunnel.key, before=None, after=tunnel)


def main(port: int) -> None:
    """Serve on a port of 127.0.0.1 until standard input ends."""
    reactor: Any = installed
    publication = Publication(ZONE)
    zone = ZoneSettings(name=ZONE, nameservers={f"ns1.{ZONE}": ["192.0.2.53"]})
    DnsServer(reactor, [ServedZone(zone, publication)]).start([f"127.0.0.1:{port}"])
    StandardIO(Orders(publication))
    print("ready", flush=True)
    reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]))

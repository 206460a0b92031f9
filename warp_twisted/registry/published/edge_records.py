"""
The records that point at edges: addresses, HTTPS bindings (RFC 9460), services (RFC 2782).

Pure functions of a name and the edges that serve it; which edges those are is decided in `publish`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from warp_twisted.registry.published.records import LiveEdge, Record


@dataclass(frozen=True, slots=True)
class EdgeRecords:
    """
    What all of them have in common.

    :param ttl: in seconds.
    :param https: whether HTTPS records are published, for hostnames that an edge has a certificate for. A browser that
        sees one does not use plain HTTP.
    """

    ttl: int
    https: bool

    def addresses(self, name: str, edges: Sequence[LiveEdge]) -> tuple[Record, ...]:
        """Return A and AAAA records."""
        return tuple(
            Record(name, type_, self.ttl, address, edge.value.name)
            for edge in edges
            for type_, address in edge.addresses
        )

    def bindings(self, hostname: str, edges: Sequence[LiveEdge]) -> tuple[Record, ...]:
        """Return HTTPS records: one for all edges when they share a port, else one for each edge."""
        secure = [edge for edge in edges if edge.value.https_port and edge.value.has_certificate(hostname)]
        ports = {edge.value.https_port for edge in secure}
        if not self.https or not ports:
            return ()
        if len(ports) == 1 and len(secure) == len(edges):
            return (Record(hostname, "HTTPS", self.ttl, f"1 . {_parameters(ports.pop())}"),)
        return tuple(
            Record(
                hostname,
                "HTTPS",
                self.ttl,
                f"1 {edge.hostname}. {_parameters(edge.value.https_port)}",
                edge.value.name,
            )
            for edge in secure
        )

    def visits(self, name: str, edges: Iterable[LiveEdge]) -> tuple[Record, ...]:
        """Return SRV records of where visitors go: to plain HTTP, or to HTTPS where an edge has only that."""
        return self._services(name, [(edge, edge.value.http_port or edge.value.https_port) for edge in edges])

    def plain(self, name: str, edges: Iterable[LiveEdge]) -> tuple[Record, ...]:
        """Return SRV records of plain HTTP."""
        return self._services(name, [(edge, edge.value.http_port) for edge in edges])

    def secure(self, name: str, hostname: str, edges: Iterable[LiveEdge]) -> tuple[Record, ...]:
        """Return SRV records of HTTPS, of edges that have a certificate for the hostname."""
        return self._services(
            name, [(edge, edge.value.https_port) for edge in edges if edge.value.has_certificate(hostname)]
        )

    def tunnels(self, name: str, edges: Iterable[LiveEdge]) -> tuple[Record, ...]:
        """Return SRV records of where agents go."""
        return self._services(name, [(edge, edge.value.tunnel_port) for edge in edges])

    def _services(self, name: str, targets: Iterable[tuple[LiveEdge, int | None]]) -> tuple[Record, ...]:
        return tuple(
            Record(name, "SRV", self.ttl, f"0 {edge.value.weight} {port} {edge.hostname}.", edge.value.name)
            for edge, port in targets
            if port
        )


def _parameters(port: int | None) -> str:
    return "alpn=http/1.1" if port == 443 else f"alpn=http/1.1 port={port}"

"""What an edge might have, for tests."""

from warp_twisted.names import Hostname
from warp_twisted.registry.acme.challenges import EdgeChallenges, dns_challenge
from warp_twisted.registry.edge_records import EdgePolicy, OfferedRoute
from warp_twisted.registry.model import Edge, Tunnel

EDGE = Edge(name="edge2", addresses=("192.0.2.2",), http_port=80, tunnel_port=7844)
CHALLENGES = EdgeChallenges(
    edge="edge2", challenges=(dns_challenge("_acme-challenge.warp.example", "a" * 43, "warp.example"),)
)
POLICY = EdgePolicy(edge="edge2", version=3)


def tunnel(number: int, edge: str = "edge2", hostname: str = "", **changes: object) -> Tunnel:
    """Return a tunnel with one route."""
    name = Hostname(hostname or f"app{number}.warp.example")
    fields: dict[str, object] = {
        "id": f"t-{number:016x}",
        "agent": f"a-{number % 100:016x}",
        "slot": number % 4,
        "edge": edge,
        "hostnames": (name,),
        "labels": {"release": "stable"},
        "registered_at": 1.0,
        "address": "192.0.2.9",
        "routes": (OfferedRoute(id=0, hostname=name, path="^/v1/", max_requests=10),),
    }
    return Tunnel(**(fields | changes))  # type: ignore[arg-type]  # what a test changes is its own business

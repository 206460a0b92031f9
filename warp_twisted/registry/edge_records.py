"""
What the registry keeps of edges beside their entries, as frozen values; `model` reads and writes them as all others.
"""

from dataclasses import dataclass
from typing import Literal

from warp_twisted.names import Hostname

EDGE_RECORDS = "warp/edge-records/"  # who is an edge of the fleet, whether it runs or not
EDGE_POLICIES = "warp/edge-policies/"


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeRecord:
    """
    An edge of the fleet: where others dial it, and how they know it. It stays while the edge is down.

    :param addresses: `host:port` of its tunnel listener, the first to be tried first.
    :param authority_key: of its intermediate (`ca.edge_identity`); only what that has issued is this edge's.
    :param sealing_key: the public half of the key with which it opens what is sealed for it (`acme.sealing`); empty:
        certificates are not ordered here.
    """

    name: str
    addresses: tuple[str, ...]
    authority_key: str
    sealing_key: str = ""

    @property
    def key(self) -> str:
        """Where this value is stored."""
        return EDGE_RECORDS + self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedRoute:
    """
    One route of a tunnel, as its agent offered it.

    :param path: a regular expression; empty: every path.
    :param max_requests: how many requests the origin takes at once; 0: as many as come.
    :param failing: whether its origin is not healthy, by the agent's probes.
    :param host_header: what its origin is told as Host, and `own_scheme`: as in `wire.control.RouteOffer`.
    """

    id: int
    hostname: Hostname
    path: str = ""
    protocol: Literal["http", "tcp"] = "http"
    max_requests: int = 0
    failing: bool = False
    host_header: str = ""
    own_scheme: Literal["", "http", "https"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgePolicy:
    """
    Which policy an edge has in force, under the edge's lease; not in `Edge`, whose changes are published in DNS.

    :param file: whether it follows a file of its own; else the fleet's policy.
    :param version: of the fleet's policy; 0: none, or that of the file.
    :param error: why it has not what it should; empty: it has.
    """

    edge: str
    file: bool = False
    version: int = 0
    error: str = ""

    @property
    def key(self) -> str:
        """Where this value is stored."""
        return EDGE_POLICIES + self.edge

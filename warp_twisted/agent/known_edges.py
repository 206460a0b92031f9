"""Where one agent's edges are, at its start: by what its settings say, and what its identity remembers."""

from warp_twisted.agent.identity.state import Identity
from warp_twisted.agent.links.edges import Edges, read_addresses
from warp_twisted.agent.settings import AgentSettings


def edges_of(settings: AgentSettings, identity: Identity) -> Edges:
    """Return where the edges are, by what the agent was told and what it remembers."""
    edges = Edges(fixed=settings.edges, zone=settings.zone, enrolled=read_addresses(identity.edges))
    edges.told(identity.seen_edges)
    return edges

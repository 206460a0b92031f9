"""Where one agent's edges are: by what its settings say, and what its identity remembers."""

from warp_twisted.agent.identity.state import Identity
from warp_twisted.agent.links.edges import Edges, read_addresses
from warp_twisted.agent.settings import AgentSettings


def edges_of(settings: AgentSettings, identity: Identity) -> Edges:
    """Return where the edges are, by what the agent was told and what it remembers."""
    edges = Edges(enrolled=read_addresses(identity.edges))
    follow_settings(edges, settings)
    edges.told(identity.seen_edges)
    return edges


def follow_settings(edges: Edges, settings: AgentSettings) -> None:
    """Let the edges be those of other settings."""
    edges.fixed, edges.zone = settings.edges, settings.zone
    edges.spread = min(settings.spread, settings.tunnels)

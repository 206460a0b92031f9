"""Tests of `warp_twisted.agent.known_edges`."""

from dataclasses import replace

from tests.agent.identity.test_state import StateTestCase
from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.known_edges import edges_of
from warp_twisted.agent.settings import parse_settings


class KnownEdgesTests(StateTestCase):
    """What an agent knows before it has asked anybody."""

    def test_sources(self) -> None:
        """Those of the join token, and those that edges named since; a list in the settings comes before both."""
        identity = replace(self.store(), edges=("192.0.2.1:7844",), seen_edges=("192.0.2.2:7844",))
        rules = "ingress: [{service: hello-world}]\n"
        edges = edges_of(parse_settings(rules), identity)
        self.assertEqual(list(edges.enrolled), [EdgeAddress("192.0.2.1", 7844)])
        self.assertEqual(list(edges.seen), [EdgeAddress("192.0.2.2", 7844)])
        fixed = edges_of(parse_settings(f"{rules}edges: ['192.0.2.3:7844']"), identity).fixed
        self.assertEqual(list(fixed), [EdgeAddress("192.0.2.3", 7844)])

    def test_spread(self) -> None:
        """The tunnels are spread over two edges, or as many as the settings say, if there are so many tunnels."""
        rules = "ingress: [{service: hello-world}]\n"
        identity = self.store()
        for more, spread in (("", 2), ("spread: 3", 3), ("tunnels: 1", 1), ("tunnels: 2\nspread: 9", 2)):
            self.assertEqual(edges_of(parse_settings(rules + more), identity).spread, spread)

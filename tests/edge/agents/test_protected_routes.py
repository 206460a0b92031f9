"""Tests of `edge.agents.protected_routes`; `test_tunnels` has what comes of it for a whole edge."""

from tests.edge.agents.case import ControlTestCase
from tests.policy.document.test_asked import SOURCES, asked
from warp_twisted.edge.agents.registrations import EdgeTunnel
from warp_twisted.wire.control import Accepted, Drain, RouteOffer, RoutesChanged


class ProtectedRoutesTests(ControlTestCase):
    """`ProtectedRoutes`."""

    def test_in_step(self) -> None:
        """When a route is added its policy is in force; it stays as long as the tunnel takes requests."""
        found: list[bool] = []
        add = self.control.routes.add

        def adding(tunnel: EdgeTunnel, offers: list[RouteOffer]) -> None:
            found.append(bool(self.control.asked.of("app.warp.example")))
            add(tunnel, offers)

        self.patch(self.control.tunnels._routes._routes, "add", adding)
        agent = self.control.connect()
        agent.hello("app.warp.example", policy=asked("app.warp.example", sources=SOURCES))
        self.assertIsInstance(agent.messages[-1], Accepted)
        self.assertEqual(found, [True])

    def test_other_routes_on_a_tunnel_that_leaves(self) -> None:
        """They change nothing: neither they nor the policy are there any more."""
        agent = self.control.connect()
        agent.hello("app.warp.example", policy=asked("app.warp.example", sources=SOURCES))
        agent.send(Drain())
        agent.send(RoutesChanged(routes=[RouteOffer(id=1, hostname="b.warp.example")]))
        self.assertFalse(self.control.asked)
        self.assertFalse(self.control.routes.is_served("b.warp.example"))

    def test_a_tunnel_that_is_hung_up_and_lost(self) -> None:
        """Its policy ends once."""
        agent = self.control.connect()
        agent.hello("app.warp.example", policy=asked("app.warp.example", sources=SOURCES))
        self.control.tunnels.tunnel_hung_up(agent.pair.edge)
        agent.lose()
        self.assertFalse(self.control.asked)

"""Tests of what a status says, and that it is made in small steps."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.edge.agents.case import ControlTestCase
from tests.edge.control import NOW
from tests.operations import count_operations
from warp_base.answer_stream import Pieces
from warp_twisted.edge.kept_bans import KeptBans
from warp_twisted.edge.operators.operations import EdgeOperations
from warp_twisted.edge.policy.banning import Banning
from warp_twisted.edge.policy.delivery.following import Standing
from warp_twisted.edge.policy.service_tokens import ServiceTokens
from warp_twisted.edge.routes.counters import HostCounters
from warp_twisted.edge.routes.ejection import EjectedOrigin
from warp_twisted.edge.routes.queue import QueueState
from warp_twisted.edge.routes.route import Route
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.registry.model import Agent, JoinToken, Tunnel, encode
from warp_twisted.wire.control import OriginHealth, RouteOffer, RoutesChanged


class FakeEdge:
    """What operations ask of an edge, and what they have done to it."""

    is_draining = False

    def __init__(self) -> None:
        self.drains = 0

    def parts(self) -> dict[str, bool]:
        """Say that DNS does not serve."""
        return {"dns": False, "registry": True}

    def unkept(self) -> str:
        """Say why what is revoked now would come back."""
        return self.problems().get("registry", "")

    def problems(self) -> dict[str, str]:
        """Say nothing."""
        return {}

    def certificate_expiry(self) -> dict[str, float]:
        """Say nothing."""
        return {}

    def tunnel_addresses(self) -> list[str]:
        """Return one address, unless it drains."""
        return [] if self.is_draining else ["192.0.2.1:7844"]

    def url(self, hostname: str) -> str:
        """Return a URL."""
        return f"https://{hostname}"

    def drain(self) -> Any:
        """Count."""
        self.drains += 1

    def listed(self) -> list[Mapping[str, object]]:
        """Describe other edges."""
        return [{"edge": "edge2", "alive": True}]

    async def remove(self, edge: str) -> object:
        """Say what was removed."""
        return {"edge": edge}

    async def reload(self) -> object:
        """Say what was reloaded."""
        return {"needs_restart": ["zone"]}


class OperationsTestCase(ControlTestCase):
    """Operations on an edge in memory."""

    async def prepare(self) -> None:
        """Put them together."""
        await super().prepare()
        self.edge = FakeEdge()
        self.ejected: list[EjectedOrigin] = []
        self.queues: list[QueueState] = []
        settings: Callable[[], EdgeSettings] = lambda: self.control.settings  # noqa: E731
        banning, wall = Banning(), self.control.wall
        self.operations = EdgeOperations(
            settings=settings,
            registrations=self.control.tunnels.registrations,
            enrollment=self.control.enrollment,
            ownership=self.control.ownership,
            service_tokens=ServiceTokens(self.control.store, self.control.mirror, self.control.wall),
            mirror=self.control.mirror,
            claims=self.control.claims,
            entry=self.edge,
            publication=self.control.publication,
            readiness=self.edge,
            visitors={1, 2, 3},
            policy=Standing,
            banning=banning,
            kept_bans=KeptBans(self.control.store, self.control.mirror, banning, wall),
            lifecycle=self.edge,
            splits=lambda: iter([b"[]"]),
            ejected=lambda: self.ejected,
            queues=lambda: self.queues,
            peers=self.edge,
        )

    def read(self, pieces: Pieces) -> Any:
        """Return what an answer in pieces says."""
        return json.loads(b"".join(pieces))


class StatusTests(OperationsTestCase):
    """What is in it."""

    async def test_edge_and_registry(self) -> None:
        """The edge says who it is, whether it is ready and what is on it; the registry, whether it is current."""
        self.control.connect().hello("app.warp.example")
        shown = self.read(self.operations.status())
        self.assertEqual(shown["peers"], [{"edge": "edge2", "alive": True}])
        self.assertEqual((shown["edge"]["name"], shown["edge"]["zone"]), ("edge1", "warp.example"))
        self.assertEqual((shown["edge"]["ready"], shown["edge"]["parts"]["dns"]), (False, False))
        self.assertEqual((shown["edge"]["tunnels"], shown["edge"]["streams"], shown["edge"]["visitors"]), (1, 0, 3))
        self.assertEqual((shown["registry"]["current"], shown["registry"]["writable"]), (True, True))
        self.assertEqual(shown["dns"], {"unlisted": 0})
        self.assertEqual([edge["name"] for edge in shown["edges"]], ["edge1"])
        self.assertNotIn("policy", shown["edges"][0])
        standing = {"file": None, "wanted": 0, "version": 0, "error": "", "closed": False}
        self.assertEqual(shown["policy"], standing)

    async def test_ejected(self) -> None:
        """Origins that are ejected are told with what they failed at, and when they are tried again."""
        self.assertEqual(self.read(self.operations.status())["ejected"], [])
        route = Route("app.warp.example", "^/api", HostCounters(), None)
        self.ejected = [EjectedOrigin(route, "a-1", {"r": "b"}, "ejected", 5, 9.5)]
        self.assertEqual(self.read(self.operations.status())["ejected"], [{
            "hostname": "app.warp.example", "path": "^/api", "agent": "a-1", "state": "ejected", "failures": 5,
            "seconds": 9.5,
        }])  # fmt: skip

    async def test_queues(self) -> None:
        """Queues are told with how many wait, and what the origins have of what they take at once."""
        self.queues = [QueueState("app.warp.example", "", 12, {"a-1": (10, 9)})]
        self.assertEqual(self.read(self.operations.status())["queues"], [{
            "hostname": "app.warp.example", "path": "", "waiting": 12,
            "origins": {"a-1": {"max_requests": 10, "requests": 9}},
        }])  # fmt: skip

    async def test_tunnels(self) -> None:
        """Tunnels are ordered by agent, edge and slot; what only their own edge knows is left out for others."""
        await self.control.enrolled("a-2")
        self.control.connect("a-2").hello("app.warp.example")
        self.control.connect("a-1").hello("app.warp.example", slot=1)
        other = Tunnel(id="t-other", agent="a-1", slot=0, edge="edge2")
        await self.control.store.put(other.key, encode(other))
        tunnels = self.read(self.operations.status())["tunnels"]
        self.assertEqual(
            [(each["agent"], each["edge"], each["slot"]) for each in tunnels],
            [("a-1", "edge1", 1), ("a-1", "edge2", 0), ("a-2", "edge1", 0)],
        )
        self.assertEqual(["software" in each for each in tunnels], [True, False, True])

    async def test_routes(self) -> None:
        """A route has its tunnels, the agents that serve it, and those whose origin does not answer."""
        await self.control.enrolled("a-2")
        first, second = self.control.connect("a-1"), self.control.connect("a-2")
        first.hello("b.warp.example", "a.warp.example")
        second.hello("a.warp.example")
        second.send(OriginHealth(route_id=0, healthy=False, detail="refused"))
        routes = self.read(self.operations.status())["routes"]
        self.assertEqual(routes[0]["failing"], [])
        second.send(OriginHealth(route_id=0, healthy=False, detail="refused", probed=True))
        self.control.clock.advance(1)
        routes = self.read(self.operations.status())["routes"]
        self.assertEqual(routes[0]["failing"], ["a-2"])
        self.assertEqual(
            [(each["hostname"], each["tunnels"]) for each in routes], [("a.warp.example", 2), ("b.warp.example", 1)]
        )
        self.assertEqual((routes[0]["unhealthy"], sorted(routes[0]["services"])), ({"a-2": "refused"}, ["a-1", "a-2"]))
        self.assertEqual((routes[0]["url"], routes[0]["group"]), ("https://a.warp.example", "blue"))

    async def test_hostnames(self) -> None:
        """Hostnames are listed with the group that they belong to, in order, also those that nobody serves."""
        agent = self.control.connect("a-1")
        agent.hello("b.warp.example", "a.warp.example")
        agent.send(RoutesChanged(routes=[RouteOffer(id=1, hostname="b.warp.example")]))
        first, second = self.read(self.operations.list_hostnames())
        self.assertEqual((first["hostname"], first["group"], first["served_by"]), ("a.warp.example", "blue", []))
        self.assertEqual((second["served_by"], second["agents"], second["since"]), (["a-1"], ["a-1"], NOW))
        released = await self.operations.release_hostname("A.Warp.Example")
        self.assertEqual(released, {"hostname": "a.warp.example", "group": "blue"})
        self.assertEqual(len(self.read(self.operations.list_hostnames())), 1)

    async def test_agents(self) -> None:
        """Agents are listed by id with their tunnels, then those that were revoked."""
        await self.control.enrolled("a-0123456789abcdef")
        await self.control.enrollment.revoke_agent("a-0123456789abcdef", "stolen")
        self.control.connect("a-1").hello("app.warp.example")
        agents = self.read(self.operations.list_agents())
        self.assertEqual([(each["id"], each["tunnels"]) for each in agents], [("a-1", 1), ("a-0123456789abcdef", 0)])
        self.assertEqual(agents[1]["reason"], "stolen")
        self.assertEqual(self.read(self.operations.status())["agents"], agents)

    async def test_steps(self) -> None:
        """However many tunnels and agents there are, no step takes longer than beside few."""

        def longest(count: int) -> int:
            for number in range(count):
                tunnel = Tunnel(id=f"t-{count}-{number:04}", agent=f"a-{count}-{number:04}", slot=0, edge="edge2")
                agent = Agent(id=tunnel.agent, hostnames=("*.warp.example",))
                self.control.store.put(tunnel.key, encode(tunnel))
                self.control.store.put(agent.key, encode(agent))
            pieces = self.operations.status()
            costs = [count_operations(lambda: next(pieces, None)) for _ in range(1000)]
            self.assertIsNone(next(pieces, None))
            return max(costs)

        few, many = longest(600), longest(3000)
        self.assertLess(many, 1.5 * few)

    async def test_change_in_the_middle(self) -> None:
        """What comes and goes while a status is made breaks nothing."""
        ends = [self.control.connect(f"a-{number}") for number in range(3)]
        for end in ends:
            end.hello("app.warp.example")
        pieces = self.operations.status()
        made = [next(pieces) for _ in range(3)]
        ends[0].pair.agent.close()
        ends[0].pair.pump()
        self.control.connect("a-9").hello("new.warp.example")
        self.assertIn("tunnels", json.loads(b"".join([*made, *pieces])))


class TokenTests(OperationsTestCase):
    """Tokens in lists."""

    async def test_tokens(self) -> None:
        """Join tokens are listed without their secrets, soonest to end first."""
        for number, expires_at in ((1, 20.0), (2, 10.0)):
            token = JoinToken(
                id=f"j-{number}", secret_sha256="00" * 32, hostnames=("*.warp.example",), expires_at=expires_at
            )
            await self.control.store.put(token.key, encode(token))
        listed = self.read(self.operations.list_tokens())
        self.assertEqual([each["id"] for each in listed], ["j-2", "j-1"])
        self.assertNotIn("00" * 32, json.dumps(listed))

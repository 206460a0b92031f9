"""Tests of `warp_twisted.edge.operators.operations`, with registry and tunnels in memory."""

import json
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred, succeed

from tests.case import AsyncTestCase
from tests.edge.control import NOW, ZONE, Control
from warp_twisted import __version__
from warp_twisted.edge.errors import EdgeError
from warp_twisted.edge.kept_bans import KeptBans
from warp_twisted.edge.operators.admin import BanWish, ServiceTokenWish, TokenWish
from warp_twisted.edge.operators.operations import EdgeOperations
from warp_twisted.edge.policy.banning import Banning
from warp_twisted.edge.policy.delivery.following import Standing
from warp_twisted.edge.policy.service_tokens import ServiceTokens
from warp_twisted.wire.control import OriginHealth


class _Edge:
    """The rest of an edge, as operations see it; each answer is an attribute."""

    is_draining = False

    def __init__(self) -> None:
        self.addresses = ["192.0.2.1:7844"]
        self.serves = {"dns": True, "registry": True}
        self.wrong: dict[str, str] = {}
        self.calls: list[str] = []

    def parts(self) -> Mapping[str, bool]:
        """Return what serves."""
        return self.serves

    def unkept(self) -> str:
        """Say why what is revoked now would come back."""
        return self.problems().get("registry", "")

    def problems(self) -> Mapping[str, str]:
        """Return what serves, but not all that it should."""
        return self.wrong

    def tunnel_addresses(self) -> list[str]:
        """Return where agents may dial."""
        return self.addresses

    def url(self, hostname: str) -> str:
        """Return a URL."""
        return f"https://{hostname}"

    def listed(self) -> list[Mapping[str, object]]:
        """Describe other edges."""
        return [{"edge": "edge2", "alive": True}]

    async def remove(self, edge: str) -> object:
        """Note it."""
        self.calls.append(f"remove {edge}")
        return {"edge": edge}

    def drain(self) -> Deferred[None]:
        """Note it."""
        self.calls.append("drain")
        return succeed(None)

    async def reload(self) -> object:
        """Note it."""
        self.calls.append("reload")
        return {"needs_restart": []}


class EdgeOperationsTests(AsyncTestCase):
    """One edge with one agent."""

    async def prepare(self) -> None:
        self.control = Control()
        await self.control.start()
        self.clean_up_with(self.control.stop)
        self.edge = _Edge()
        banning, wall = Banning(), self.control.wall
        self.operations = EdgeOperations(
            settings=lambda: self.control.settings,
            registrations=self.control.tunnels.registrations,
            enrollment=self.control.enrollment,
            ownership=self.control.ownership,
            service_tokens=ServiceTokens(self.control.store, self.control.mirror, self.control.wall),
            mirror=self.control.mirror,
            claims=self.control.claims,
            entry=self.edge,
            publication=self.control.publication,
            readiness=self.edge,
            visitors=[object()] * 3,
            splits=lambda: iter([b"[]"]),
            ejected=list,
            queues=list,
            peers=self.edge,
            policy=Standing,
            banning=banning,
            kept_bans=KeptBans(self.control.store, self.control.mirror, banning, wall),
            lifecycle=self.edge,
        )

    def status(self) -> dict[str, Any]:
        """Return the status."""
        return dict(json.loads(b"".join(self.operations.status())))

    async def connected(self, *hostnames: str) -> Any:
        """Return an agent that serves hostnames."""
        await self.control.enrolled("a-1", "*.warp.example", release="stable")
        agent = self.control.connect()
        agent.hello(*hostnames)
        self.control.clock.advance(0)
        return agent

    async def test_an_edge_without_agents(self) -> None:
        """The status says who the edge is and how it does, and lists itself."""
        status = self.status()
        self.assertEqual((status["edge"]["name"], status["edge"]["zone"]), ("edge1", ZONE))
        self.assertEqual((status["edge"]["version"], status["edge"]["ready"]), (__version__, True))
        self.assertEqual((status["edge"]["visitors"], status["edge"]["tunnels"]), (3, 0))
        self.assertEqual([each["name"] for each in status["edges"]], ["edge1"])
        self.assertEqual((status["tunnels"], status["routes"], status["agents"]), ([], [], []))
        self.assertTrue(status["registry"]["current"] and status["registry"]["writable"])

    async def test_a_part_that_fails(self) -> None:
        """The edge is ready if each part is."""
        self.edge.serves["dns"] = False
        status = self.status()["edge"]
        self.assertEqual((status["ready"], status["parts"]), (False, {"dns": False, "registry": True}))

    async def test_what_an_agent_serves(self) -> None:
        """A tunnel and its routes are there, with where they lead and what does not answer."""
        agent = await self.connected("app.warp.example", "api.warp.example")
        status = self.status()
        (tunnel,) = status["tunnels"]
        self.assertEqual((tunnel["agent"], tunnel["edge"], tunnel["streams"]), ("a-1", "edge1", 0))
        self.assertEqual([each["hostname"] for each in status["routes"]], ["api.warp.example", "app.warp.example"])
        self.assertEqual(
            [(each["url"], each["tunnels"]) for each in status["routes"]][1], ("https://app.warp.example", 1)
        )
        agent.send(OriginHealth(route_id=0, healthy=False, detail="connection refused"))
        (_, app) = self.status()["routes"]
        self.assertEqual(app["unhealthy"], {"a-1": "connection refused"})
        (listed,) = self.status()["agents"]
        self.assertEqual((listed["id"], listed["tunnels"]), ("a-1", 1))

    async def test_tokens(self) -> None:
        """A token's text is in the answer that makes it and nowhere else; a revoked one is gone."""
        wish = TokenWish(hostnames=["*.team.warp.example"], labels={"team": "blue"}, uses=2)
        made: Any = await self.operations.create_token(wish)
        self.control.clock.advance(0)
        self.assertTrue(made["token"].startswith("warp1-"))
        self.assertEqual((made["uses_left"], made["expires_at"]), (2, NOW + 3600))
        listed = json.loads(b"".join(self.operations.list_tokens()))
        self.assertEqual([each["id"] for each in listed], [made["id"]])
        self.assertNotIn("token", listed[0])
        await self.operations.revoke_token(made["id"])
        self.control.clock.advance(0)
        self.assertEqual(b"".join(self.operations.list_tokens()), b"[]")

    async def test_other_edges(self) -> None:
        """Other edges are listed, and one that is gone is removed."""
        self.assertEqual(self.operations.list_peers(), [{"edge": "edge2", "alive": True}])
        self.assertEqual(await self.operations.remove_edge("edge3"), {"edge": "edge3"})
        self.assertEqual(self.edge.calls, ["remove edge3"])

    async def test_registry_that_cannot_be_written(self) -> None:
        """The status says it with the reason, and so do the answers to revocations, which hold all the same."""
        made: Any = await self.operations.create_token(TokenWish(hostnames=["a.warp.example"]))
        secret: Any = await self.operations.create_service_token(ServiceTokenWish("ci", 60.0))
        self.edge.wrong["registry"] = "the disk is full"
        registry = self.status()["registry"]
        self.assertEqual((registry["writable"], registry["problem"]), (False, "the disk is full"))
        for answer in (
            await self.operations.revoke_token(made["id"]),
            await self.operations.revoke_service_token(secret["id"]),
            await self.operations.revoke_agent("a-0123456789abcdef", "stolen"),
        ):
            self.assertEqual(json.loads(json.dumps(answer))["not_kept"], "the disk is full")

    async def test_token_without_an_edge(self) -> None:
        """While no edge takes tunnels there is nothing that a token could name."""
        self.edge.addresses = []
        with self.assertRaisesRegex(EdgeError, "no edge takes tunnels now"):
            await self.operations.create_token(TokenWish(hostnames=["a.warp.example"]))

    async def test_revoked_agent(self) -> None:
        """An agent that was revoked is listed with the reason, and is cut off."""
        agent = await self.connected("app.warp.example")
        self.assertEqual(await self.operations.revoke_agent("a-1", "stolen"), {"was_known": True, "not_kept": ""})
        self.control.clock.advance(0)
        agent.pair.pump()
        (listed,) = [each for each in self.status()["agents"] if "revoked_at" in each]
        self.assertEqual((listed["id"], listed["reason"]), ("a-1", "stolen"))
        self.assertEqual(self.status()["routes"], [])

    async def test_what_is_done_to_the_edge(self) -> None:
        """A drain is begun and not waited for; a reload is, and answered with what it came to."""
        self.assertEqual(self.operations.begin_drain(), {"draining": True})
        self.assertEqual(await self.operations.reload(), {"needs_restart": []})
        self.assertEqual(self.edge.calls, ["drain", "reload"])

    async def test_bans(self) -> None:
        """A network is banned, listed as it is written, and let in again; loopback never is."""
        made = await self.operations.ban(BanWish(network="2001:db8::7", seconds=60.0, reason="abuse report"))
        self.assertEqual(made, {"network": "2001:db8::/64", "seconds": 60.0, "not_kept": ""})
        (listed,) = json.loads(b"".join(self.operations.list_bans()))
        self.assertEqual((listed["network"], listed["reason"]), ("2001:db8::/64", "abuse report"))
        self.assertEqual(
            [await self.operations.end_ban("2001:db8::") for _ in range(2)],
            [{"was_banned": True}, {"was_banned": False}],
        )
        with self.assertRaisesRegex(EdgeError, "127.0.0.1 is never banned"):
            await self.operations.ban(BanWish(network="127.0.0.1"))

    async def test_service_tokens(self) -> None:
        """The secret is in the answer that makes one, and nowhere else; one that is revoked is gone."""
        answer = await self.operations.create_service_token(ServiceTokenWish("ci", 60.0))
        made = json.loads(json.dumps(answer))
        self.control.clock.advance(0)
        listed = json.loads(b"".join(self.operations.list_service_tokens()))
        self.assertEqual(listed, [{"id": made["id"], "name": "ci", "created_at": NOW, "expires_at": NOW + 60.0}])
        self.assertNotIn(made["secret"], json.dumps(listed))
        await self.operations.revoke_service_token(made["id"])
        self.control.clock.advance(0)
        self.assertEqual(json.loads(b"".join(self.operations.list_service_tokens())), [])

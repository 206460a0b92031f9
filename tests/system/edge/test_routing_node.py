"""Tests of split hostnames at a whole edge: what it keeps in its registry, and what operators do with it."""

from pathlib import Path
from typing import Any

from tests.case import until
from tests.system.edge.live import ZONE
from tests.system.edge.test_policy_node import VisitedEdgeTestCase

SPLIT = "{selector: release=stable, weight: %d}, {selector: release=canary, weight: 10}"
HOSTNAME = f"app.{ZONE}"


def policy(weight: int) -> str:
    """Return a policy that keeps visitors of a split hostname by a cookie."""
    return f"routing: [{{hostname: {HOSTNAME}, split: [{SPLIT % weight}], sticky: {{cookie: warp_route}}}}]"


class RoutingNodeTests(VisitedEdgeTestCase):
    """An edge that follows a file with a split."""

    async def prepare(self) -> None:
        self.file = Path(self.mktemp()).absolute()
        self.file.write_text(policy(90))
        self.sections = {"policy": str(self.file), "timeouts": {"drain": 1, "settle": 0}}
        await super().prepare()

    async def split(self) -> Any:
        """Return what an operator is told of the split."""
        status, (split,) = await self.call("GET", "/v1/splits")
        self.assertEqual(status, 200)
        return split

    async def test_split(self) -> None:
        """A tunnel is counted to its share, by the labels that it registers with; and the status tells of it."""
        agent = await self.agent()
        await agent.register(HOSTNAME, labels={"release": "canary"})
        self.clean_up_with(agent.close)
        split = await self.split()
        self.assertEqual([share["tunnels"] for share in split["shares"]], [0, 1])
        self.assertEqual((split["sticky"], split["unmatched"]), ("cookie warp_route", 0))
        _, status = await self.call("GET", "/v1/status")
        self.assertEqual(status["splits"], [split])

    async def test_keys(self) -> None:
        """The keys of cookies are made because the policy needs them, and are the same after a restart."""
        await until(lambda: bool(self.node.parts.mirror.route_keys))
        (key,) = self.node.parts.mirror.route_keys.values()
        keys = self.node.parts.serving.routes.splitting.cookie_keys
        assert keys is not None
        cookie = keys.written(HOSTNAME, b"warp_route", 5, 6, 0.0)
        await self.restart()
        self.assertEqual([*self.node.parts.mirror.route_keys.values()], [key])
        keys = self.node.parts.serving.routes.splitting.cookie_keys
        assert keys is not None
        self.assertIsNotNone(keys.read(HOSTNAME, b"warp_route", cookie))

    async def test_shift(self) -> None:
        """A shift outlives a restart and a policy that leaves the split alone, and ends with one that changes it."""
        wish = {"hostname": HOSTNAME, "selector": "release=canary", "percent": 25}
        status, made = await self.call("POST", "/v1/shifts", wish)
        self.assertEqual((status, made["start"], made["target"]), (200, 0.1, 0.25))
        self.assertNotEqual(made["author"], "")
        await self.restart()
        self.assertEqual((await self.split())["shares"][1]["part"], 0.25)
        self.file.write_text(policy(90) + "\nrules: [{name: more}]")
        await self.node.parts.serving.policy_follower.look()
        self.assertEqual((await self.split())["shift"]["target"], 0.25)
        self.file.write_text(policy(30))
        await self.node.parts.serving.policy_follower.look()
        await until(lambda: not self.node.parts.mirror.shifts)
        split = await self.split()
        self.assertEqual((split["shift"], split["shares"][1]["part"]), (None, 0.25))  # of weights 30 and 10

    async def test_guard(self) -> None:
        """A share that does worse is taken back, which outlives a restart, and a reset has it judged anew."""
        guard = ", guard: {selector: release=canary, over: 10s, minimum: 10}}]"
        self.file.write_text(policy(90).removesuffix("}]") + guard)
        await self.node.parts.serving.policy_follower.look()
        routing = self.node.parts.serving.routes.splitting
        split = routing.splits[HOSTNAME]
        await until(lambda: "of 10 requests" in self.node.parts.guards.found(split)[1].reason)
        for status, counters in zip((200, 500), routing.counted(split), strict=True):
            for _ in range(20):
                counters.count(status, 0.01)
        await until(lambda: HOSTNAME in self.node.parts.mirror.guarded)
        await self.restart()
        told = await self.split()
        self.assertEqual([share["part"] for share in told["shares"]], [1.0, 0.0])
        self.assertEqual((told["guard"]["action"], told["guard"]["selector"]), ("back", "release=canary"))
        got, reset = await self.call("DELETE", f"/v1/shifts/{HOSTNAME}")
        self.assertEqual((got, reset["action"]), (200, "back"))
        self.assertEqual([share["part"] for share in (await self.split())["shares"]], [0.9, 0.1])

    async def test_refused(self) -> None:
        """What cannot be shifted is refused with the reason; so is taking back what is not there."""
        for wish, status, expected in (
            ({"hostname": f"x.{ZONE}", "selector": "a", "percent": 1}, 409, f"hostnames with one: {HOSTNAME}"),
            ({"hostname": HOSTNAME, "selector": "a", "percent": 1}, 409, "its shares are release=stable"),
            ({"hostname": "a b", "selector": "a", "percent": 1}, 400, "is not a hostname"),
            ({"hostname": HOSTNAME, "selector": "a=(", "percent": 1}, 400, "selector 'a=(' is broken"),
            ({"hostname": HOSTNAME, "selector": "a", "percent": 101}, 400, "percent"),
        ):
            got, told = await self.call("POST", "/v1/shifts", wish)
            self.assertEqual(got, status, told)
            self.assertIn(expected, told["error"])
        got, told = await self.call("DELETE", f"/v1/shifts/{HOSTNAME}")
        self.assertEqual((got, told["error"]), (404, f"{HOSTNAME} is not shifted; warp route show shows what is"))

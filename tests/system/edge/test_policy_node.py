"""Tests of the policy at a whole edge: what it shares with its registry, its state directory and its operators."""

import http.client
import json
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tests.case import until
from tests.system.edge.live import HOST, ZONE, make_node
from tests.system.edge.test_admin import AdminTestCase

POLICY = "rules: [{name: programs, authenticate: {any_of: [{service_token: {names: [ci]}}]}}]"
KEYS = "/.well-known/warp/keys"


class VisitedEdgeTestCase(AdminTestCase):
    """An edge with an agent and visitors, which can be restarted on its files."""

    def visit(self, path: str, **fields: str) -> Deferred[tuple[int, bytes]]:
        """Ask for a path of the application; fires with status and body."""

        def work() -> tuple[int, bytes]:
            connection = http.client.HTTPConnection(HOST, self.node.ports.http[0], timeout=5)
            named = {name.replace("_", "-"): value for name, value in fields.items()}
            connection.request("GET", path, headers={"Host": f"app.{ZONE}", **named})
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            return answer.status, content

        return deferToThread(work)

    async def restart(self) -> None:
        """Stop the edge, and start another one on its files."""
        await self.node.stopService()
        self.node = make_node(self.directory, **self.sections)
        self.node.startService()
        self.addCleanup(self.stop, self.node)
        await self.node.started

    async def serve(self) -> None:
        """Have an agent serve the application; its streams are answered by nobody."""
        agent = await self.agent()
        await agent.register(f"app.{ZONE}")
        self.clean_up_with(agent.close)


class PolicyNodeTests(VisitedEdgeTestCase):
    """An edge with a policy of service tokens."""

    async def prepare(self) -> None:
        file = Path(self.mktemp()).absolute()
        file.write_text(POLICY)
        self.sections = {"policy": str(file), "timeouts": {"drain": 1, "settle": 0}}
        await super().prepare()

    async def kids(self) -> list[str]:
        """Return the ids of the keys that the edge gives out."""
        status, content = await self.visit(KEYS)
        self.assertEqual(status, 200)
        return [key["kid"] for key in json.loads(content)["keys"]]

    async def test_keys_in_registry_and_state(self) -> None:
        """The keys that are given out are those of the registry, and the same after a restart."""
        await self.serve()
        kids = await self.kids()
        entry = self.node.parts.mirror.edges["edge1"]
        self.assertEqual([key["kid"] for key in entry.assertion_keys], kids)
        self.assertNotIn("d", entry.assertion_keys[0])
        file = self.directory / "state" / "assertion-keys.json"
        await until(file.exists)
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        await self.restart()
        self.assertEqual([key["kid"] for key in self.node.parts.entry.describe().assertion_keys], kids)

    async def test_bans_of_operators(self) -> None:
        """One that an operator made is there after a restart, until it is ended; then it is not, after another one."""
        status, made = await self.call("POST", "/v1/bans", {"network": "203.0.113.9", "seconds": 600})
        self.assertEqual((status, made["not_kept"]), (200, ""))
        await self.restart()
        _, listed = await self.call("GET", "/v1/bans")
        self.assertEqual([each["network"] for each in listed], ["203.0.113.9"])
        self.assertTrue(self.node.parts.serving.policy.banning.turns_away("203.0.113.9", "203.0.113.9"))
        self.assertEqual(await self.call("DELETE", "/v1/bans/203.0.113.9"), (200, {"was_banned": True}))
        await self.restart()
        self.assertEqual(await self.call("GET", "/v1/bans"), (200, []))

    async def test_tokens_of_operators(self) -> None:
        """What an operator makes and revokes counts for visitors at once, and outlives a restart."""
        await self.serve()
        status, made = await self.call("POST", "/v1/service-tokens", {"name": "ci"})
        self.assertEqual((status, made["name"]), (200, "ci"))
        pair = {"Warp_Client_Id": made["id"], "Warp_Client_Secret": made["secret"]}
        wrong = pair | {"Warp_Client_Secret": "0" * 64}
        self.assertEqual((await self.visit("/", **wrong))[0], 401)
        await self.restart()
        known: Any = self.node.parts.serving.policy.find_token(made["id"])
        self.assertEqual(known.name, "ci")
        self.assertEqual((await self.call("DELETE", f"/v1/service-tokens/{made['id']}"))[0], 200)
        self.assertEqual((await self.call("DELETE", f"/v1/service-tokens/{made['id']}"))[0], 404)
        self.assertEqual(await self.call("GET", "/v1/service-tokens"), (200, []))
        self.assertIsNone(self.node.parts.serving.policy.find_token(made["id"]))

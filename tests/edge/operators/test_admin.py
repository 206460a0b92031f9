"""Tests of the admin interface's calls over HTTP, in memory; the edge behind them is a fake."""

import json
from collections.abc import Mapping
from typing import Any

from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred, execute, succeed
from twisted.internet.interfaces import IConsumer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from tests.edge.control import ZONE
from tests.edge.operators.test_policy_calls import FakeApplications
from tests.edge.operators.test_routing_calls import FakeGuards, FakeShifts
from warp_base.answer_stream import Pieces
from warp_base.exposition import Exposition
from warp_base.slices import Slices
from warp_twisted.edge.errors import (
    AgentUnknown,
    EdgeAlive,
    EdgeError,
    EdgeUnknown,
    NameNotHeld,
    PolicyVersionUnknown,
    TokenNotFound,
)
from warp_twisted.edge.operators.admin import Admin, BanWish, ServiceTokenWish, TokenWish
from warp_twisted.edge.operators.observation import Observation
from warp_twisted.edge.operators.policy_calls import PolicyCalls
from warp_twisted.edge.operators.published import PublishedRecords
from warp_twisted.edge.operators.routing_calls import RoutingCalls
from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.ejection import Ejection
from warp_twisted.edge.routes.share_counters import ShareMetrics
from warp_twisted.edge.routes.split_hostnames import SplitHostnames
from warp_twisted.errors import InvalidSettings
from warp_twisted.policy.errors import InvalidPolicy
from warp_twisted.registry.errors import PolicyChanged, StoreClosed
from warp_twisted.registry.published.publish import Publication


class FakeOperations:
    """Answers, or raises what the test says."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked: list[object] = []

    def _ask(self, *what: object) -> None:
        self.asked.append(what)
        if self.error is not None:
            raise self.error

    def status(self) -> Pieces:
        """Answer in two pieces."""
        return iter([b'{"edge":', b"1}"])

    def list_tokens(self) -> Pieces:
        """Answer nothing."""
        return iter([b"[]"])

    def list_agents(self) -> Pieces:
        """Answer nothing."""
        return iter([b"[]"])

    async def share_agent(self, agent: str, word: str) -> object:
        """Note it."""
        self._ask("share", agent, word)
        return {"group": word, "changed": True}

    def list_peers(self) -> object:
        """Describe another edge."""
        return [{"edge": "edge2"}]

    async def remove_edge(self, edge: str) -> object:
        """Remember the call."""
        self._ask("remove", edge)
        return {"edge": edge}

    def list_hostnames(self) -> Pieces:
        """Answer nothing."""
        return iter([b"[]"])

    async def release_hostname(self, hostname: str) -> object:
        """Note it."""
        self._ask("hostname", hostname)
        return {"hostname": hostname, "group": "blue"}

    def list_bans(self) -> Pieces:
        """Answer nothing."""
        return iter([b"[]"])

    async def ban(self, wish: BanWish) -> object:
        """Note it."""
        self._ask("ban", wish.network, wish.seconds)
        return {"network": wish.network}

    async def end_ban(self, network: str) -> object:
        """Note it."""
        self._ask("end", network)
        return {"was_banned": True}

    async def create_token(self, wish: TokenWish) -> object:
        """Answer the wish."""
        self._ask(wish)
        return {"uses_left": wish.uses}

    def list_service_tokens(self) -> Pieces:
        """Answer nothing."""
        return iter([b"[]"])

    async def create_service_token(self, wish: ServiceTokenWish) -> object:
        """Answer the wish."""
        self._ask(wish)
        return {"name": wish.name}

    async def revoke_service_token(self, token: str) -> object:
        """Note it."""
        self._ask("service token", token)
        return {"not_kept": ""}

    async def revoke_token(self, token: str) -> object:
        """Note it."""
        self._ask("token", token)
        return {"not_kept": ""}

    async def revoke_agent(self, agent: str, reason: str) -> object:
        """Note it."""
        self._ask("agent", agent, reason)
        return {"was_known": agent == "a-1"}

    def begin_drain(self) -> object:
        """Note it."""
        self._ask("drain")
        return {"draining": True}

    async def reload(self) -> object:
        """Note it."""
        self._ask("reload")
        return {}


def ready() -> Mapping[str, bool]:
    """All parts serve."""
    return {"dns": True}


@implementer(IBodyProducer)
class Body:
    """A body that is written at once."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.length = len(data)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write it."""
        consumer.write(self.data)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Too late."""

    def resumeProducing(self) -> None:
        """All is written."""

    def stopProducing(self) -> None:
        """All is written."""


class AdminTests(SynchronousTestCase):
    """One call at a time."""

    def setUp(self) -> None:
        """Serve the calls."""
        self.clock = Clock()
        self.operations = FakeOperations()
        slices = Slices(self.clock, 0.0)
        published = PublishedRecords(Publication(ZONE), lambda: True, self.clock, slices)
        policy = PolicyCalls(FakeApplications())
        routing = RoutingCalls(
            FakeShifts(), FakeGuards(), SplitHostnames(ShareMetrics()), Ejection(DataPathMetrics()), execute
        )
        observation = Observation(ready, dict, Exposition(), slices)
        self.admin = Admin(self.operations, (policy, routing), observation, published, slices)

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Make a call, and return status and answer."""
        agent = RequestTraversalAgent(self.admin.site().wrappedFactory.resource)
        data = None if body is None else Body(json.dumps(body).encode())

        async def ask() -> tuple[int, Any]:
            response = await HTTPClient(agent).request(method, f"http://localhost{path}", data=data)
            return response.code, json.loads(await response.content())

        asking = Deferred.fromCoroutine(ask())
        for _ in range(3):
            agent.flush()
            self.clock.advance(0)
        return self.successResultOf(asking)

    def test_answers_in_slices(self) -> None:
        """What is made in pieces arrives whole."""
        self.assertEqual(self.call("GET", "/v1/status"), (200, {"edge": 1}))
        self.assertEqual(
            [self.call("GET", f"/v1/{what}") for what in ("tokens", "service-tokens", "agents", "hostnames", "bans")],
            [(200, [])] * 5,
        )
        self.assertEqual(self.call("GET", "/v1/records"), (200, {}))

    def test_calls(self) -> None:
        """Bodies and ids reach the operations."""
        wish = {"hostnames": ["*.warp.example"], "uses": 2}
        self.assertEqual(self.call("POST", "/v1/tokens", wish), (200, {"uses_left": 2}))
        self.assertEqual(self.call("DELETE", "/v1/tokens/j-1"), (200, {"not_kept": ""}))
        self.assertEqual(self.call("POST", "/v1/service-tokens", {"name": "ci"}), (200, {"name": "ci"}))
        self.assertEqual(self.call("DELETE", "/v1/service-tokens/0a"), (200, {"not_kept": ""}))
        self.assertEqual(self.call("DELETE", "/v1/agents/a-1", {"reason": "stolen"}), (200, {"was_known": True}))
        self.assertEqual(self.call("DELETE", "/v1/agents/a-2"), (200, {"was_known": False}))
        self.assertEqual(
            self.call("POST", "/v1/agents/a-1/share", {"share": "shop"}), (200, {"group": "shop", "changed": True})
        )
        pattern = "*.team.warp.example"
        self.assertEqual(self.call("DELETE", f"/v1/hostnames/{pattern}"), (200, {"hostname": pattern, "group": "blue"}))
        self.assertEqual(self.call("DELETE", "/v1/peers/edge3"), (200, {"edge": "edge3"}))
        self.assertEqual(self.call("POST", "/v1/bans", {"network": "192.0.2.1"}), (200, {"network": "192.0.2.1"}))
        self.assertEqual(self.call("DELETE", "/v1/bans/192.0.2.1"), (200, {"was_banned": True}))
        self.assertEqual(self.call("POST", "/v1/drain"), (200, {"draining": True}))
        self.assertEqual(self.call("POST", "/v1/reload"), (200, {}))
        self.assertEqual(
            self.operations.asked[1:],
            [
                ("token", "j-1"),
                (ServiceTokenWish("ci"),),
                ("service token", "0a"),
                ("agent", "a-1", "stolen"),
                ("agent", "a-2", ""),
                ("share", "a-1", "shop"),
                ("hostname", pattern),
                ("remove", "edge3"),
                ("ban", "192.0.2.1", 3600.0),
                ("end", "192.0.2.1"),
                ("drain",),
                ("reload",),
            ],
        )

    def test_errors(self) -> None:
        """Each kind of error has a status, and a sentence in the same form."""
        for error, status in (
            (TokenNotFound("no such token"), 404),
            (AgentUnknown("no such agent"), 404),
            (NameNotHeld("nobody has it"), 404),
            (StoreClosed("away"), 503),
            (EdgeError("not now"), 409),
            (EdgeUnknown("there is no edge3"), 404),
            (EdgeAlive("edge2 is linked"), 409),
            (PolicyVersionUnknown("version 7 is not kept"), 404),
            (PolicyChanged("version 8 is in force"), 409),
            (InvalidPolicy("p.yaml: rules: no"), 400),
            (InvalidSettings("zone: no"), 409),
            (ValueError("uses: too many"), 400),
        ):
            self.operations.error = error
            self.assertEqual(self.call("DELETE", "/v1/tokens/j-1"), (status, {"error": str(error)}))

    def test_bug(self) -> None:
        """An error that is nobody's fault but the edge's is logged, and its words are not shown."""
        self.operations.error = ZeroDivisionError("secret")
        status, answer = self.call("POST", "/v1/drain")
        self.assertEqual((status, "secret" in answer["error"]), (500, False))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_bad_bodies(self) -> None:
        """A body that is none is refused before anything is asked."""
        bodies: tuple[object, ...] = ({}, {"hostnames": []}, {"hostnames": ["a"], "unknown": 1}, [], "x")
        for body in bodies:
            status, answer = self.call("POST", "/v1/tokens", body)
            self.assertEqual((status, answer["error"].startswith("body: ")), (400, True), body)
        self.assertEqual(self.operations.asked, [])

    def test_no_such_call(self) -> None:
        """Unknown calls and methods are errors in the same form; monitoring's calls are here too."""
        self.assertEqual(self.call("GET", "/v1/nothing"), (404, {"error": "no such call"}))
        self.assertEqual(self.call("PUT", "/v1/tokens")[0], 405)
        self.assertEqual(self.call("GET", "/live"), (200, {"live": True}))

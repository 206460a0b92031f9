"""Tests of the socket for the name server beside an edge: its calls over HTTP, in memory."""

import json
from typing import Any

from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.control import ZONE
from warp_base.exposition import Exposition
from warp_base.slices import Slices
from warp_twisted.edge.operators.observation import Observation
from warp_twisted.edge.operators.published import PublishedRecords
from warp_twisted.registry.published.publish import Publication


class PublishedRecordsTests(SynchronousTestCase):
    """Three calls and no more."""

    def setUp(self) -> None:
        """Publish nothing."""
        self.clock = Clock()
        slices = Slices(self.clock, 0.0)
        self.has_settled = True
        self.published = PublishedRecords(Publication(ZONE), lambda: self.has_settled, self.clock, slices)
        self.observation = Observation(lambda: {"dns": True}, dict, Exposition(), slices)

    def call(self, method: str, path: str) -> tuple[int, Any]:
        """Make a call of the site, and return status and body."""
        agent = RequestTraversalAgent(self.published.site(self.observation).wrappedFactory.resource)

        async def ask() -> tuple[int, str]:
            response = await HTTPClient(agent).request(method, f"http://localhost{path}")
            return response.code, await response.text()

        asking = Deferred.fromCoroutine(ask())
        for _ in range(3):
            agent.flush()
            self.clock.advance(0)
        return self.successResultOf(asking)

    def test_records(self) -> None:
        """The records are one JSON object, on a line."""
        self.assertEqual(self.call("GET", "/v1/records"), (200, "{}\n"))

    def test_before_the_agents_are_back(self) -> None:
        """Just after a start the records are not shown, so that nobody withdraws what is about to come."""
        self.has_settled = False
        status, body = self.call("GET", "/v1/records")
        self.assertEqual((status, list(json.loads(body))), (503, ["error"]))

    def test_an_edge_that_is_alone(self) -> None:
        """Without a shared registry nothing is numbered for others, and what to do is said."""
        status, body = self.call("GET", "/v1/zone")
        self.assertEqual(status, 404)
        self.assertIn("take follow_serials out of dns.yaml", json.loads(body)["error"])

    def test_readiness(self) -> None:
        """A name server can ask whether the edge lives and serves."""
        self.assertEqual(self.call("GET", "/live")[0], 200)
        self.assertEqual(
            json.loads(self.call("GET", "/ready")[1]), {"ready": True, "parts": {"dns": True}, "problems": {}}
        )

    def test_nothing_else(self) -> None:
        """No call of the admin interface is here, and nothing can be changed."""
        for method, path in (
            *(("GET", f"/v1/{what}") for what in ("status", "tokens", "agents")),
            *(("POST", f"/v1/{what}") for what in ("tokens", "drain", "reload")),
            *(("DELETE", f"/v1/{what}/x") for what in ("tokens", "agents")),
            ("GET", "/metrics"),
        ):
            self.assertEqual(self.call(method, path)[0], 404, path)
        for method in ("POST", "PUT", "DELETE"):
            self.assertEqual(self.call(method, "/v1/records")[0], 405)
            self.assertEqual(self.call(method, "/v1/zone")[0], 405)

"""Tests of what monitoring may see."""

import json

from prometheus_client import Counter
from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_base.exposition import Exposition
from warp_base.slices import Slices
from warp_twisted.edge.operators.observation import Observation
from warp_twisted.edge.operators.sites import AdminFactory


class ObservationTests(SynchronousTestCase):
    """Three calls and no more."""

    def setUp(self) -> None:
        """Observe two parts and a counter."""
        self.parts = {"dns": True, "registry": True}
        self.problems: dict[str, str] = {}
        counter = Counter("warp_edge_things", "Things.", registry=None)
        counter.inc(3)
        metrics = Exposition()
        metrics.register(counter)
        self.clock = Clock()
        self.observation = Observation(lambda: self.parts, lambda: self.problems, metrics, Slices(self.clock))

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Make a call of the site, and return status and body."""
        agent = RequestTraversalAgent(self.observation.site().wrappedFactory.resource)

        async def ask() -> tuple[int, str]:
            response = await HTTPClient(agent).request(method, f"http://localhost{path}")
            return response.code, await response.text()

        asking = Deferred.fromCoroutine(ask())
        agent.flush()
        self.clock.advance(0)
        agent.flush()
        return self.successResultOf(asking)

    def test_live(self) -> None:
        """An edge that answers is live."""
        self.assertEqual(self.get("/live"), (200, '{"live":true}\n'))

    def test_ready(self) -> None:
        """It is ready if each part is; which one is not is said with 503."""
        self.assertEqual(self.get("/ready")[0], 200)
        self.parts["dns"] = False
        status, body = self.get("/ready")
        self.assertEqual((status, json.loads(body)), (503, {"ready": False, "parts": self.parts, "problems": {}}))

    def test_problems(self) -> None:
        """What does not keep an edge from serving is said, and it stays ready."""
        self.problems["registry"] = "the disk is full"
        status, body = self.get("/ready")
        self.assertEqual((status, json.loads(body)["problems"]), (200, {"registry": "the disk is full"}))

    def test_metrics(self) -> None:
        """Metrics are as Prometheus reads them."""
        status, body = self.get("/metrics")
        self.assertEqual(status, 200)
        self.assertIn("warp_edge_things_total 3.0\n", body)

    def test_nothing_else(self) -> None:
        """No call of the admin interface is here."""
        self.assertEqual([self.get(path)[0] for path in ("/v1/status", "/", "/v1/tokens")], [404] * 3)
        self.assertEqual(self.get("/live", "POST")[0], 405)

    def test_site(self) -> None:
        """The factory is one that can hang up on everybody."""
        self.assertIsInstance(self.observation.site(), AdminFactory)
        self.observation.disconnect()

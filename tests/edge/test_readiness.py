"""Tests of what an edge says of its parts."""

from types import SimpleNamespace
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.control import NOW, ZONE, make_authority
from tests.edge.test_registry_entry import FakeCertificates
from warp_base.reactor import as_reactor
from warp_twisted.edge.listeners import Listeners
from warp_twisted.edge.policy.delivery.following import Standing
from warp_twisted.edge.readiness import Readiness
from warp_twisted.registry.model import Change, Edge
from warp_twisted.registry.published.publish import Publication

EDGE = Edge(name="edge1", addresses=("192.0.2.1",))


class VisitorCertificates(FakeCertificates):
    """What is asked of the visitors' side."""

    policy_follower = SimpleNamespace(standing=Standing())

    def certificate_expiry(self) -> dict[str, float]:
        """Say when one certificate ends."""
        return {"visitors/app": 5.0}


class ReadinessTests(SynchronousTestCase):
    """Each part by itself."""

    def setUp(self) -> None:
        """Begin with an edge that serves."""
        self.parts: Any = SimpleNamespace(
            store=SimpleNamespace(problems=dict, unkept="", owed=0),
            registry_certificate=SimpleNamespace(expires_at=None),
            mirror=SimpleNamespace(is_current=True),
            claims=SimpleNamespace(is_failing=False),
            entry=SimpleNamespace(is_draining=False, hostname=f"edge1.{ZONE}"),
            nameserver=SimpleNamespace(is_ready=True),
        )
        self.visitors = VisitorCertificates()
        self.listeners = Listeners(as_reactor(MemoryReactorClock()), {})
        self.publication = Publication(ZONE)
        self.publication.apply([Change(key=EDGE.key, before=None, after=EDGE)])
        self.readiness = Readiness(
            listeners=self.listeners,
            publication=self.publication,
            authority=make_authority(),
            tunnel_certificate=cast(Any, SimpleNamespace(expires_at=4.0)),
            serving=cast(Any, self.visitors),
            **vars(self.parts),
        )
        self.readiness.has_settled = self.readiness.has_published = True
        self.open("http")

    def open(self, name: Any) -> None:
        """Listen."""
        factory: Factory[Protocol] = Factory.forProtocol(Protocol)
        self.successResultOf(Deferred.fromCoroutine(self.listeners.open(name, "tcp:80", factory)))

    def missing(self) -> list[str]:
        """Return the parts that do not serve."""
        return [part for part, serves in self.readiness.parts().items() if not serves]

    def test_serving(self) -> None:
        """An edge whose parts all serve says so of each."""
        self.assertEqual((self.missing(), len(self.readiness.parts())), ([], 6))

    def test_without_dns(self) -> None:
        """An edge that answers no DNS says nothing of it."""
        self.readiness.nameserver = None
        self.assertNotIn("dns", self.readiness.parts())

    def test_dns_without_names(self) -> None:
        """A server that listens and has nothing to answer from yet does not serve."""
        self.readiness.has_published = False
        self.assertEqual(self.missing(), ["dns"])

    def test_registry_that_cannot_be_written(self) -> None:
        """An edge whose disk takes nothing serves from what it has, and says so."""
        self.assertEqual(self.readiness.problems(), {})
        said = {"registry": "it cannot be written: database or disk is full"}
        self.parts.store.problems = lambda: said
        self.parts.store.unkept, self.parts.store.owed = said["registry"], 3
        self.assertEqual(self.missing(), [])
        self.assertEqual((self.readiness.unkept(), self.readiness.owed), (said["registry"], 3))
        self.assertEqual(self.readiness.problems(), said)

    def test_without_a_usable_policy(self) -> None:
        """An edge that lets nobody through does not serve."""
        self.visitors.policy_follower = SimpleNamespace(standing=Standing(closed=True))
        self.assertEqual(self.missing(), ["policy"])

    def test_each_part(self) -> None:
        """What does not serve is named."""
        self.parts.mirror.is_current = False
        self.assertEqual(self.missing(), ["registry"])
        self.parts.mirror.is_current, self.parts.claims.is_failing = True, True
        self.assertEqual(self.missing(), ["registry"])
        self.parts.entry.is_draining = True
        self.parts.nameserver.is_ready = False
        self.publication.apply([Change(key=EDGE.key, before=EDGE, after=None)])
        self.assertEqual(self.missing(), ["registry", "records", "accepting", "dns"])

    def test_listeners(self) -> None:
        """Listeners serve when visitors are let in, until they are closed; those for operators do not count."""
        self.readiness.has_settled = False
        self.assertEqual(self.missing(), ["listeners"])
        self.readiness.has_settled = True
        self.open("metrics")
        self.successResultOf(Deferred.fromCoroutine(self.listeners.close("http")))
        self.assertEqual(self.missing(), ["listeners"])

    def test_certificates(self) -> None:
        """Each certificate is there with its end, those of visitors by file."""
        expiry = self.readiness.certificate_expiry()
        self.assertEqual((expiry["tunnel"], expiry["visitors/app"]), (4.0, 5.0))
        self.assertTrue(NOW < expiry["intermediate"] < expiry["root"])
        self.assertNotIn("registry", expiry)
        self.parts.registry_certificate.expires_at = 6.0
        self.assertEqual(self.readiness.certificate_expiry()["registry"], 6.0)

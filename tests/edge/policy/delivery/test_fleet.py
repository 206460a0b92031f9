"""Tests of `warp_twisted.edge.policy.delivery.fleet`."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.registry.fakes import FlakyStore
from warp_twisted.edge.policy.delivery.fleet import RegistryPolicy
from warp_twisted.edge.policy.delivery.following import PolicyText
from warp_twisted.registry.errors import StoreClosed
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Revocation, encode
from warp_twisted.registry.policy_versions import PolicyVersions


class RegistryPolicyTests(SynchronousTestCase):
    """`RegistryPolicy`."""

    def test_versions_are_heard_of(self) -> None:
        """Another version is told, and read from the store; nothing else in the registry is told."""
        clock = Clock()
        store = FlakyStore(clock)
        mirror, versions = Mirror(store, clock), PolicyVersions(store)
        heard: list[int] = []
        policy = RegistryPolicy(mirror, versions, lambda: heard.append(policy.number))
        self.successResultOf(Deferred.fromCoroutine(mirror.start()))
        self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(policy.text())))
        revocation = Revocation(agent="a-1")
        self.successResultOf(store.put(revocation.key, encode(revocation)))
        self.successResultOf(Deferred.fromCoroutine(versions.add(b"rules: []", [], replaces=0, applied_at=1.0)))
        self.assertEqual(heard, [1])
        text = self.successResultOf(Deferred.fromCoroutine(policy.text()))
        self.assertEqual(text, PolicyText(number=1, content=b"rules: []"))
        store.is_away = True
        self.failureResultOf(Deferred.fromCoroutine(policy.text()), StoreClosed)
        mirror.stop()

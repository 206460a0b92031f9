"""Tests of `warp_twisted.agent.protection`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.events import Event, Protected
from warp_twisted.agent.origins.ingress import Ingress
from warp_twisted.agent.protection import Protection
from warp_twisted.agent.settings import parse_settings
from warp_twisted.wire.control import Accepted, RouteOffer

POLICY = "policy: {sources: {allow: [192.0.2.0/24]}}"


def ingress(text: str) -> Ingress:
    """Return rules."""
    return parse_settings(f"ingress: [{text}]").ingress


class ProtectionTests(SynchronousTestCase):
    """What observers hear."""

    def test_told_when_it_changes(self) -> None:
        """What protects each hostname is told when an edge has confirmed it, once, and when it is gone."""
        told: list[Event] = []
        protection = Protection(told.append)
        accepted = Accepted(edge="edge1", tunnel_id="t", hostnames={0: "calm-otter-1.warp.example"}, policy="ab")
        offers = [RouteOffer(id=0, hostname="")]
        protected, free = ingress(f"{{service: 'http://x', {POLICY}}}"), ingress("{service: 'http://x'}")
        for _ in range(2):
            protection.accepted(accepted, protected, offers)
        protection.accepted(Accepted(edge="edge1", tunnel_id="t", hostnames=accepted.hostnames), free, offers)
        self.assertEqual(
            told,
            [
                Protected(hostnames={"calm-otter-1.warp.example": ["only from 192.0.2.0/24"]}),
                Protected(hostnames={}),
            ],
        )

    def test_every_hostname(self) -> None:
        """A hostname has what each rule that covers it asks; one that none is about is not named."""
        told: list[Event] = []
        rules = ingress(
            f"{{hostname: a.example, service: 'http://x', {POLICY}}}, {{hostname: b.example, service: 'http://x'}},"
            "{hostname: '*.example', service: 'http://x', policy: {limits: [{name: a, rate: 5/s}]}},"
            "{hostname: c.test, service: 'http://x'}, {service: 'http_status:404'}"
        )
        offers = [RouteOffer(id=index, hostname=offer.hostname) for index, offer in enumerate(rules.offers)]
        names = {offer.id: offer.hostname for offer in offers}
        Protection(told.append).accepted(Accepted(edge="e", tunnel_id="t", hostnames=names, policy="x"), rules, offers)
        rate = "5/s for each visitor"
        expected = {"a.example": ["only from 192.0.2.0/24", rate], "b.example": [rate], "*.example": [rate]}
        self.assertEqual(told, [Protected(hostnames=expected)])

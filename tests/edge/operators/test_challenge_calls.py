"""Tests of the calls about ACME's challenges; where they are published is a fake."""

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyRequest

from warp_twisted.edge.operators.challenge_calls import ChallengeCalls
from warp_twisted.registry.acme.challenges import Challenge, dns_challenge, http_challenge

ZONE = "warp.example"
DIGEST = "a" * 43
DNS = {"kind": "dns-01", "name": "_acme-challenge.warp.example.", "value": DIGEST}
HTTP = {"kind": "http-01", "hostname": "Shop.example", "token": "tok", "key_authorization": f"tok.{DIGEST}"}


def with_body(body: object) -> Any:
    """Return a request with a body."""
    request: Any = DummyRequest([b"v1", b"challenges"])
    request.content = BytesIO(json.dumps(body).encode())
    return request


class FakePublishing:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.leases: dict[Challenge, float] = {}

    async def add(self, challenge: Challenge, lease_seconds: float) -> None:
        """Note it."""
        self.leases[challenge] = lease_seconds

    async def remove(self, challenge: Challenge) -> bool:
        """Note it."""
        return self.leases.pop(challenge, None) is not None

    def listed(self) -> Iterator[tuple[str, Challenge]]:
        """Return what was asked for."""
        return (("edge1", challenge) for challenge in self.leases)


class ChallengeCallsTests(SynchronousTestCase):
    """One call at a time."""

    def setUp(self) -> None:
        self.publishing = FakePublishing()
        self.functions = {
            (method, path): function for method, path, function in ChallengeCalls(self.publishing, ZONE).calls()
        }

    def call(self, method: str, body: object) -> Any:
        """Make a call with a body."""
        return self.successResultOf(Deferred.fromCoroutine(self.functions[method, "/v1/challenges"](with_body(body))))

    def refused(self, method: str, body: object) -> str:
        """Make a call that is refused; return the sentence."""
        answer = Deferred.fromCoroutine(self.functions[method, "/v1/challenges"](with_body(body)))
        return str(self.failureResultOf(answer, ValueError).value)

    def test_both_kinds(self) -> None:
        """Each is published in normal form, for the seconds asked for, or five minutes."""
        self.assertEqual(
            self.call("POST", DNS | {"lease_seconds": 60}),
            {"kind": "dns-01", "name": "_acme-challenge.warp.example", "lease_seconds": 60},
        )
        self.assertEqual(self.call("POST", HTTP)["name"], "shop.example")
        dns = dns_challenge(DNS["name"], DIGEST, ZONE)
        http = http_challenge("shop.example", "tok", f"tok.{DIGEST}")
        self.assertEqual(self.publishing.leases, {dns: 60, http: 300})

    def test_removed(self) -> None:
        """The same body takes it back; again is no error."""
        for body in (DNS, HTTP):
            self.call("POST", body)
            self.assertEqual(self.call("DELETE", body), {"was_published": True})
            self.assertEqual(self.call("DELETE", body), {"was_published": False})

    def test_listed(self) -> None:
        """Every challenge is told with its edge."""
        self.call("POST", DNS)
        pieces = self.functions["GET", "/v1/challenges"](DummyRequest([b""]))
        self.assertEqual(
            json.loads(b"".join(pieces)),
            [{"edge": "edge1", "kind": "dns-01", "name": "_acme-challenge.warp.example", "value": DIGEST}],
        )

    def test_what_is_refused(self) -> None:
        """Another kind, a missing key, a lease out of bounds or a name elsewhere changes nothing."""
        for body, word in (
            ({}, "kind"),
            (DNS | {"kind": "tls-alpn-01"}, "tls-alpn-01"),
            (DNS | {"lease_seconds": 0}, "lease_seconds"),
            (DNS | {"lease_seconds": 3601}, "lease_seconds"),
            (DNS | {"more": 1}, "more"),
            (DNS | {"name": "_acme-challenge.other.example"}, "name"),
            (DNS | {"value": "v=spf1 -all"}, "value"),
            (DNS | {"value": "x" * 256}, "value"),
            (HTTP | {"token": "a b"}, "token"),
            ({"kind": "http-01", "hostname": "a.example"}, "token"),
        ):
            for method in ("POST", "DELETE"):
                self.assertIn(word, self.refused(method, body))
        self.assertEqual(self.publishing.leases, {})

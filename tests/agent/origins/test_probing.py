"""Tests of `warp_twisted.agent.origins.probing`; with real origins in `tests.system.agent.test_health`."""

from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.origins.test_dial import FakeEndpoint
from warp_twisted.agent.health.answer import GOOD
from warp_twisted.agent.health.settings import Health
from warp_twisted.agent.origins import Dial, OriginRequest
from warp_twisted.agent.origins.ingress import Rule, compile_ingress
from warp_twisted.agent.origins.probing import wanted_checks

PLAIN = OriginRequest()


class FakeOrigin:
    """An origin whose endpoint is in the hands of the test."""

    text = "http://x:1"

    def __init__(self) -> None:
        self.endpoint = FakeEndpoint()
        self.access = Dial(self.endpoint, False, 10.0)


def rule(hostname: str = "a.example", health: Health | None = None) -> Rule:
    """Return a rule for an origin."""
    rules = [(hostname, "^/", "http://x:1", PLAIN), ("", "", "http_status:404", PLAIN)]
    return compile_ingress(rules, healths=[health, None]).rules[0]


class WantedTests(SynchronousTestCase):
    """From rules to checks."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.origin = FakeOrigin()

    def test_who_shares(self) -> None:
        """Routes share a check if they lead to one origin and ask it alike, Host included."""
        health = Health(path="/", host="x")
        keys, wanted = wanted_checks(
            self.clock,
            [
                ("one", self.origin, rule("a.example", health)),
                ("two", self.origin, rule("b.example", health)),
                ("host", self.origin, rule("b.example", Health(path="/"))),
                ("none", self.origin, rule()),
            ],
        )
        self.assertEqual(keys["one"], keys["two"])
        self.assertEqual((len(wanted), set(keys)), (2, {"one", "two", "host"}))

    def test_begins(self) -> None:
        """A probe goes where the origin is reached when it begins, and says what could not be connected to."""
        verdicts: list[str] = []
        keys, wanted = wanted_checks(self.clock, [("one", self.origin, rule(health=Health(tcp=True)))])
        _, _, begin = wanted[keys["one"]]
        self.origin.endpoint.connecting.errback(ConnectionRefusedError())
        begin(verdicts.append)
        later = FakeEndpoint()
        self.origin.access = Dial(later, False, 10.0)
        begin(verdicts.append)
        protocol = later.build()
        assert isinstance(protocol, Protocol)
        protocol.makeConnection(later.socket)
        later.connecting.callback(protocol)
        self.assertEqual(verdicts, ["connection refused", GOOD])
        self.assertEqual(self.clock.getDelayedCalls(), [])

"""Tests of `warp_twisted.agent.origins.unix`."""

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.origins.interface import OriginRequest
from warp_twisted.agent.origins.unix import MAX_PATH_BYTES, parse
from warp_twisted.errors import InvalidSettings


class UnixOriginTests(SynchronousTestCase):
    """`unix:` and `unix+tls:`."""

    def test_dials(self) -> None:
        """The socket is dialed with the rule's time-out, with TLS where the scheme says so."""
        for service, has_tls in (("unix:/run/a.sock", False), ("unix+tls:///run/a.sock", True)):
            reactor = MemoryReactorClock()
            origin = parse(service, OriginRequest(connect_timeout=3.0))
            dial = origin.access(reactor)
            dial.endpoint.connect(Factory.forProtocol(Protocol))
            self.assertEqual(reactor.unixClients[0][0], "/run/a.sock")
            self.assertEqual((origin.protocol, dial.tls, dial.timeout), ("http", has_tls, 3.0))

    def test_length(self) -> None:
        """A path may have as many bytes as the kernel's address has room for."""
        longest = "/" + "a" * (MAX_PATH_BYTES - 1)
        self.assertEqual(parse(f"unix:{longest}", OriginRequest()).path, longest)
        for path in (longest + "a", "/", "relative", "/a\0b", "/" + "ä" * 60):
            self.assertRaises(InvalidSettings, parse, f"unix:{path}", OriginRequest())

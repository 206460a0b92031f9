"""Tests of what opens streams at another edge."""

from typing import Literal

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.relays.rig import EndOpener
from tests.wire.pair import Pair
from warp_twisted.edge.relays.counters import EdgeCounters
from warp_twisted.edge.relays.remote_tunnel import RelayOpener, RemoteTunnel
from warp_twisted.names import Hostname
from warp_twisted.registry.edge_records import OfferedRoute
from warp_twisted.testing import RecordingReceiver
from warp_twisted.wire.errors import CannotOpenStream, MessageTooLarge
from warp_twisted.wire.relayed import RelayPreamble, decode_relay_preamble


def route(
    hostname: str, path: str = "", max_requests: int = 0, host_header: str = "", own_scheme: Literal["", "http"] = ""
) -> OfferedRoute:
    """Return a route as another edge tells of it."""
    return OfferedRoute(
        id=7,
        hostname=Hostname(hostname),
        path=path,
        max_requests=max_requests,
        host_header=host_header,
        own_scheme=own_scheme,
    )


class RelayOpenerTests(SynchronousTestCase):
    """`RelayOpener`."""

    def setUp(self) -> None:
        self.pair = Pair()
        self.link: EndOpener | None = EndOpener(self.pair.edge)
        self.counters = EdgeCounters()
        self.opener = RelayOpener("edge-2", "agent-1", lambda edge: self.link, self.counters)
        self.tunnel = RemoteTunnel("edge-2", "agent-1", {"release": "canary"}, self.opener)

    def test_numbers(self) -> None:
        """A route keeps its number, whatever else is offered; its stream says its names."""
        first, second = self.tunnel.offers(
            [route("a.example"), route("a.example", "^/v1", 3, host_header="localhost:3000", own_scheme="http")]
        )
        self.assertEqual((first.id, second.id, second.path, second.max_requests), (0, 1, "^/v1", 3))
        self.assertEqual((first.host_header, second.host_header, second.own_scheme), ("", "localhost:3000", "http"))
        third, again = self.tunnel.offers([route("*.b.example"), route("a.example", "^/v1", 4)])
        self.assertEqual((third.id, again.id, again.max_requests), (2, 1, 4))
        for offer in (second, third):
            self.opener.open_route(offer.id, RecordingReceiver(), b"rest")
        self.pair.pump()
        read = [decode_relay_preamble(receiver.data) for receiver in self.pair.agent.receivers]
        self.assertEqual(
            [each and each[2] for each in read],
            [RelayPreamble("a.example", "agent-1", "^/v1"), RelayPreamble("*.b.example", "agent-1")],
        )
        self.assertTrue(self.pair.agent.receivers[0].data.endswith(b"^/v1rest"))
        self.assertEqual(self.counters.opened, 2)

    def test_without_a_link(self) -> None:
        """While there is no link no stream can be opened, nobody is heard and nobody asked."""
        (offer,) = self.tunnel.offers([route("a.example")])
        link, self.link = self.link, None
        self.assertRaises(CannotOpenStream, self.opener.open_route, offer.id, RecordingReceiver())
        self.assertEqual((self.opener.can_open_stream, self.opener.heard_at, self.counters.opened), (False, 0.0, 0))
        self.opener.ping()
        self.link = link
        assert link is not None
        link.heard_at = 7.0
        self.opener.ping()
        self.assertEqual((self.opener.can_open_stream, self.opener.heard_at, link.pings), (True, 7.0, 1))

    def test_what_cannot_be_named(self) -> None:
        """A rule longer than a preamble takes is not offered."""
        self.assertRaises(MessageTooLarge, self.tunnel.offers, [route("a.example", "x" * 4_097)])

"""Tests of `agent.links.link` and `agent.links.draining`: an agent and an edge in memory, and a clock."""

from random import Random

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.links.ends import end_of
from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.errors import NotAdmitted
from warp_twisted.agent.links.backoff import HASTEN_SECONDS, QUICK_SECONDS, SLOW_SECONDS
from warp_twisted.agent.links.draining import LEAVE_SECONDS, NOTICE_SECONDS
from warp_twisted.agent.links.lifecycle import REGISTER_SECONDS
from warp_twisted.agent.links.link import Link
from warp_twisted.testing import RecordingDelegate, RecordingReceiver, TunnelPair, tunnel_pair
from warp_twisted.tunnel import TunnelDelegate, TunnelProtocol
from warp_twisted.wire.control import Accepted, ControlMessage, Drain, Hello, Refused, RoutesChanged
from warp_twisted.wire.preamble import OpeningCode, encode_opening
from warp_twisted.wire.releases import HOST_HEADER, POLICY, policy_digest
from warp_twisted.wire.streams import Stream

ACCEPTED = Accepted(edge="edge1", tunnel_id="t1")
BUSY = Refused(code="overloaded", reason="full", retry=True)
NOT_SO = Refused(code="not_allowed", reason="no", retry=False)
REVOKED = Refused(code="revoked", reason="agent a-1 was revoked", retry=False)


class FakeOwner:
    """An agent that dials when the test says so, and remembers what its link tells."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.dials: list[tuple[TunnelDelegate, Deferred[TunnelProtocol]]] = []
        self.told: list[tuple[str, object]] = []
        self.cancelled = 0
        self.streams: list[Stream] = []
        self.downs: list[tuple[str, float | None]] = []
        self.requires: list[str] = []
        self.policy = ""
        self.failed_edges: list[str] = []

    def dial(self, link: Link, delegate: TunnelDelegate) -> Deferred[TunnelProtocol]:
        """Remember the dial."""
        link.edge = EdgeAddress("edge1", 7844)
        dialing: Deferred[TunnelProtocol] = Deferred(self._cancel)
        self.dials.append((delegate, dialing))
        return dialing

    def _cancel(self, _: Deferred[TunnelProtocol]) -> None:
        self.cancelled += 1

    def hello(self, link: Link) -> Hello:
        """Introduce the agent."""
        hello = Hello(version=1, software="test", agent_id="a-1", session="s", slot=link.slot)
        return msgspec.structs.replace(hello, requires=self.requires, policy=self.policy)

    def stream_opened(self, stream: Stream, route_id: int) -> None:
        """Open it at once."""
        receiver = RecordingReceiver()
        receiver.attach(stream)
        stream.write(encode_opening(OpeningCode.OPENED))
        self.streams.append(stream)

    def control_received(self, link: Link, message: ControlMessage) -> None:
        """Remember."""
        self.told.append(("control", message))

    def link_up(self, link: Link, accepted: Accepted) -> None:
        """Remember."""
        self.told.append(("up", accepted.edge))

    def link_down(self, link: Link, reason: str, retry_seconds: float | None) -> None:
        """Remember."""
        self.downs.append((reason, retry_seconds))

    def link_refused(self, link: Link, refused: Refused) -> None:
        """Remember."""
        self.told.append(("refused", refused.code))

    def edge_failed(self, link: Link) -> None:
        """Remember."""
        self.failed_edges.append(str(link.edge))

    def edge_leaves(self, link: Link) -> None:
        """Remember."""
        self.failed_edges.append(str(link.edge))

    def left_tunnel_lost(self) -> None:
        """Remember."""
        self.told.append(("left", None))


class LinkTestCase(SynchronousTestCase):
    """One link and the edge's end of each of its tunnels."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.owner = FakeOwner(self.clock)
        self.link = Link(1, 4, self.owner, self.clock, Random(1))
        self.edges: list[RecordingDelegate] = []
        self.pairs: list[TunnelPair] = []
        self.link.start()

    def open(self) -> TunnelPair:
        """Let the last dial succeed."""
        delegate, dialing = self.owner.dials[-1]
        edge = RecordingDelegate()
        pair = tunnel_pair(edge, delegate, clock=self.clock)
        self.edges.append(edge)
        self.pairs.append(pair)
        dialing.callback(pair.agent)
        return pair

    def answer(self, message: ControlMessage, which: int = -1) -> None:
        """Let the edge of a tunnel say something."""
        self.pairs[which].edge.send_control(message)
        self.pairs[which].pump()

    def register(self) -> TunnelPair:
        """Let the last dial succeed and the edge accept."""
        pair = self.open()
        self.answer(ACCEPTED)
        return pair

    def visit(self, which: int = -1) -> RecordingReceiver:
        """Open a stream on a tunnel."""
        visit = RecordingReceiver()
        visit.stream = self.pairs[which].edge.open_route(1, visit)
        self.pairs[which].pump()
        return visit

    def slots(self) -> list[int]:
        """Return the slot of each hello, in order."""
        return [hello.slot for edge in self.edges for hello in edge.messages if isinstance(hello, Hello)]

    def delays(self) -> list[float]:
        """Return how long the link said that it would wait, each time that it would."""
        return [seconds for _, seconds in self.owner.downs if seconds is not None]

    def wait(self) -> None:
        """Let the time pass that the link last said it would wait."""
        self.clock.advance(self.delays()[-1])

    def live(self, seconds: float) -> None:
        """Let time pass while edges answer pings."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            for pair in self.pairs:
                pair.pump()

    def lose(self, which: int = -1) -> None:
        """Let the network take a tunnel away."""
        self.pairs[which].edge_transport.lose()
        self.pairs[which].agent_transport.lose()


class RetryTests(LinkTestCase):
    """Until a tunnel is up, and after it was lost."""

    def test_registers(self) -> None:
        """The hello is sent when the edge is verified; the link is up when it was accepted."""
        self.open()
        self.assertEqual(self.edges[0].messages, [self.owner.hello(self.link)])
        self.assertFalse(self.link.is_up)
        self.answer(ACCEPTED)
        self.assertTrue(self.link.is_up)
        self.assertEqual(self.owner.told, [("up", "edge1")])
        self.answer(BUSY)
        self.assertEqual(self.owner.told[1:], [("control", BUSY)])

    def test_dial_fails(self) -> None:
        """A dial that fails is tried again soon, and told with its reason."""
        self.owner.dials[0][1].errback(ConnectionRefusedError())
        ((reason, _),) = self.owner.downs
        self.assertIn("refused", reason)
        self.clock.advance(self.delays()[0] - 0.001)
        self.assertEqual(len(self.owner.dials), 1)
        self.clock.advance(0.001)
        self.assertEqual(len(self.owner.dials), 2)

    def test_edge_is_away_for_a_while(self) -> None:
        """However many dials fail in the first minutes, the next is never more than a few seconds away."""
        for _ in range(40):
            self.owner.dials[-1][1].errback(ConnectionRefusedError())
            self.wait()
        self.assertEqual(len(self.owner.dials), 41)
        self.assertLessEqual(max(self.delays()), QUICK_SECONDS)

    def test_lost(self) -> None:
        """A tunnel that is lost is dialed again with the same slot."""
        self.register()
        self.lose()
        self.assertFalse(self.link.is_up)
        self.wait()
        self.register()
        self.assertEqual(self.slots(), [1, 1])
        self.assertTrue(self.link.is_up)

    def test_lost_before_it_was_accepted(self) -> None:
        """A tunnel that is lost in between counts as a failure, once."""
        self.open()
        self.lose()
        self.assertEqual(len(self.owner.downs), 1)
        self.wait()
        self.assertEqual(len(self.owner.dials), 2)

    def test_edge_does_not_answer_the_hello(self) -> None:
        """An edge that never answers is given up, and its tunnel closed."""
        pair = self.open()
        self.clock.advance(REGISTER_SECONDS)
        pair.pump()
        self.assertEqual(end_of(pair.agent), "NORMAL: the edge did not answer our hello")
        self.assertIn("did not answer our hello", self.owner.downs[0][0])

    def test_edge_answers_nonsense(self) -> None:
        """Anything but an answer to the hello ends the tunnel."""
        self.open()
        self.answer(RoutesChanged(routes=[]))
        self.assertIn("RoutesChanged", self.owner.downs[0][0])

    def test_refused_for_now(self) -> None:
        """A refusal with hope is tried again."""
        self.open()
        self.answer(BUSY)
        self.assertEqual(self.owner.downs[0][0], "full (overloaded)")
        self.wait()
        self.assertEqual(len(self.owner.dials), 2)

    def test_revoked(self) -> None:
        """A revocation is told and not tried again."""
        self.open()
        self.answer(REVOKED)
        self.assertEqual(self.owner.told, [("refused", "revoked")])
        self.clock.advance(3600)
        self.assertEqual(len(self.owner.dials), 1)
        self.assertTrue(self.link.has_finished)

    def test_refused_as_things_are(self) -> None:
        """Any other refusal may end, with a limit raised or a name allowed: tried again, after a wait that grows."""
        for _ in range(12):
            self.open()
            self.answer(NOT_SO)
            self.wait()
        self.assertEqual({reason for reason, _ in self.owner.downs}, {"no (not_allowed)"})
        waits = [seconds or 0.0 for _, seconds in self.owner.downs]
        self.assertTrue(QUICK_SECONDS < SLOW_SECONDS / 2 <= waits[-1] <= SLOW_SECONDS)
        self.register()
        self.assertTrue(self.link.is_up)

    def test_not_admitted_before_the_dial(self) -> None:
        """An attempt that the fleet turned away counts as a refusal, too."""
        self.owner.dials[-1][1].errback(NotAdmitted("the record of this agent is gone"))
        for _ in range(11):
            self.wait()
            self.owner.dials[-1][1].errback(NotAdmitted("the record of this agent is gone"))
        self.assertGreaterEqual(self.owner.downs[-1][1] or 0.0, SLOW_SECONDS / 2)

    def test_reason_is_a_line(self) -> None:
        """What an edge says is shown as one line of bounded length."""
        self.open()
        self.answer(Refused(code="overloaded", reason="\x1b[2Jfull\n" + "x" * 900, retry=True))
        reason = self.owner.downs[0][0]
        self.assertTrue(reason.startswith("[2Jfull xxx") and reason.endswith("(overloaded)"), reason)
        self.assertLess(len(reason), 330)

    def test_hasten(self) -> None:
        """A link that waits tries at once when told that the network is back; others do not care."""
        self.link.hasten()
        for _ in range(4):
            self.owner.dials[-1][1].errback(ConnectionRefusedError())
            self.wait()
        self.owner.dials[-1][1].errback(ConnectionRefusedError())
        self.link.hasten()
        self.clock.advance(HASTEN_SECONDS)
        self.assertEqual(len(self.owner.dials), 6)
        self.register()
        self.link.hasten()
        self.assertTrue(self.link.is_up)


class ProtectionTests(LinkTestCase):
    """An agent that wants its origins protected."""

    def test_promised(self) -> None:
        """An edge that promises what was asked for, and perhaps more, is served."""
        self.owner.requires = ["a"]
        self.open()
        self.answer(msgspec.structs.replace(ACCEPTED, protects=["b", "a"]))
        self.assertTrue(self.link.is_up)

    def test_before_the_promise(self) -> None:
        """A request that comes before the edge has promised goes to no origin; afterwards they do."""
        self.owner.requires = ["a"]
        self.open()
        visit = self.visit()
        self.assertEqual((visit.openings[0].code, self.owner.streams), (OpeningCode.DRAINING, []))
        self.answer(msgspec.structs.replace(ACCEPTED, protects=["a"]))
        self.visit()
        self.assertEqual(len(self.owner.streams), 1)

    def test_not_promised(self) -> None:
        """One of an older release, which echoes nothing, is left, and the reason names what is missing."""
        self.owner.requires = ["b", "a", "c"]
        pair = self.open()
        self.answer(msgspec.structs.replace(ACCEPTED, protects=["c"]))
        self.assertFalse(self.link.is_up)
        self.assertTrue(pair.agent.is_over)
        reason, seconds = self.owner.downs[-1]
        self.assertEqual(reason, "edge edge1 does not promise a, b, which `require` names: it needs a later release")
        self.assertIsNotNone(seconds)  # it is tried again: the edge may be upgraded

    def test_host_header_not_promised(self) -> None:
        """An edge that would tell origins another Host than the rules say is left, and the reason says so."""
        self.owner.requires = [HOST_HEADER]
        self.open()
        self.answer(msgspec.structs.replace(ACCEPTED, protects=[]))
        self.assertFalse(self.link.is_up)
        reason = "edge edge1 does not set the Host that a rule's http_host_header asks for: it needs a later release"
        self.assertEqual(self.owner.downs[-1][0], reason)

    def test_policy_echoed(self) -> None:
        """An edge that echoes the digest of the policy is served; before that no request reaches an origin."""
        self.owner.requires, self.owner.policy = [POLICY], "{}"
        self.open()
        self.assertEqual(self.visit().openings[0].code, OpeningCode.DRAINING)
        self.answer(msgspec.structs.replace(ACCEPTED, protects=[POLICY], policy=policy_digest("{}")))
        self.assertTrue(self.link.is_up)

    def test_policy_not_echoed(self) -> None:
        """An edge that echoes nothing, as an older one, or something else, is left, and the reason says why."""
        self.owner.requires, self.owner.policy = [POLICY], "{}"
        for protects, digest in (([], ""), ([POLICY], ""), ([POLICY], policy_digest("[]")), ([], policy_digest("{}"))):
            pair = self.open()
            self.answer(msgspec.structs.replace(ACCEPTED, protects=protects, policy=digest))
            self.assertFalse(self.link.is_up)
            self.assertTrue(pair.agent.is_over)
            reason = "edge edge1 does not enforce the policy that this agent asks for: it needs a later release"
            self.assertEqual(self.owner.downs[-1][0], reason)
            self.wait()
        self.assertEqual(self.owner.streams, [])

    def test_other_settings_before_the_answer(self) -> None:
        """A hello that holds no more is taken back: the edge must not serve by it, whatever it answers."""
        pair = self.open()
        self.link.move()
        self.assertTrue(pair.agent.is_over)
        self.clock.advance(HASTEN_SECONDS)
        self.assertEqual(len(self.owner.dials), 2)
        self.register()
        self.assertTrue(self.link.is_up)


class LeaveTests(LinkTestCase):
    """Moving from one edge to another without losing what is under way."""

    def test_edge_drains(self) -> None:
        """The link dials anew; the old tunnel serves on, streams that come later too, until the edge closes it."""
        self.register()
        visit = self.visit()
        self.answer(Drain(reason="restart"))
        self.assertEqual(self.owner.downs[-1], ("the edge is draining", 0.0))
        self.register()
        self.assertTrue(self.link.is_up)
        late = self.visit(0)
        self.assertEqual([each.openings[0].code for each in (visit, late)], [OpeningCode.OPENED] * 2)
        self.assertEqual(self.slots(), [1, 5])
        self.assertEqual(self.edges[0].drains, [])
        self.pairs[0].edge.close()
        self.pairs[0].pump()
        self.assertEqual(self.owner.told[-1], ("left", None))
        self.assertTrue(self.link.is_up)

    def test_edge_that_starts_anew(self) -> None:
        """Told that its edge has a successor, the link dials the same edge, and both tunnels serve."""
        self.register()
        self.answer(Drain(reason="restart", deadline_seconds=7200.0, successor=True))
        self.assertEqual(self.owner.downs[-1], ("the edge starts anew", 0.0))
        self.assertTrue(self.link.stays)
        self.register()
        self.live(3600.0)
        self.assertEqual([self.visit(index).openings[0].code for index in (0, 1)], [OpeningCode.OPENED] * 2)

    def test_edge_that_never_closes(self) -> None:
        """A tunnel whose edge drains and forgets it is finished by us after a minute."""
        self.register()
        self.answer(Drain())
        self.register()
        self.live(LEAVE_SECONDS - 1)
        self.assertIsNone(end_of(self.pairs[0].agent))
        self.live(1)
        self.assertEqual(end_of(self.pairs[0].agent), "NORMAL: the tunnel was drained")

    def test_edge_drains_while_registering(self) -> None:
        """An edge that drains before it accepted is tried again later."""
        self.open()
        self.answer(Drain())
        self.assertEqual(self.owner.downs[0][0], "the edge is draining")

    def test_move(self) -> None:
        """The old tunnel serves until the new one is up; then its edge is told, and what is under way finishes."""
        self.register()
        visit = self.visit()
        self.link.move()
        self.visit(0)
        self.assertEqual(self.edges[0].drains, [])
        self.register()
        self.pairs[0].pump()
        self.assertEqual(self.edges[0].drains[0].reason, "moved to another edge")
        self.clock.advance(NOTICE_SECONDS)
        self.pairs[0].pump()
        self.assertIsNone(end_of(self.pairs[0].agent))
        for stream in self.owner.streams:
            stream.end()
        self.pairs[0].pump()
        visit.stream.end()
        self.pairs[0].pump()
        self.owner.streams[0].reset()
        self.owner.streams[1].reset()
        self.pairs[0].pump()
        self.assertEqual(end_of(self.pairs[0].agent), "NORMAL: the tunnel was drained")

    def test_move_only_when_up(self) -> None:
        """A link without a tunnel has nothing to move."""
        self.link.move()
        self.assertEqual(len(self.owner.dials), 1)

    def test_slots_alternate(self) -> None:
        """The slot of a tunnel that is still there is not used again."""
        self.register()
        for _ in range(3):
            self.link.move()
            self.register()
        self.assertEqual(self.slots(), [1, 5, 1, 5])


class DrainTests(LinkTestCase):
    """The end of a link."""

    def test_drain(self) -> None:
        """The edge is told first; streams on their way are served; new ones are refused a moment later."""
        self.register()
        visit = self.visit()
        self.link.drain("stop", 30.0)
        self.pairs[0].pump()
        self.assertEqual(self.edges[0].drains[0].reason, "stop")
        self.assertEqual(self.visit().openings[0].code, OpeningCode.OPENED)
        self.clock.advance(NOTICE_SECONDS)
        self.pairs[0].pump()
        self.assertFalse(self.pairs[0].edge.can_open_stream)
        self.assertEqual(self.owner.downs, [])
        for stream in self.owner.streams:
            stream.reset()
        self.pairs[0].pump()
        self.assertEqual(visit.errors[0].args[0], "stream 2 was reset by the peer")
        self.assertEqual(self.owner.downs[-1][1], None)
        self.assertTrue(self.link.has_finished)
        pending = [str(call) for call in self.clock.getDelayedCalls()]
        self.assertEqual([call for call in pending if "drain" in call], [])

    def test_deadline(self) -> None:
        """Streams that do not end are cut at the deadline."""
        self.register()
        visit = self.visit()
        self.link.drain("stop", 5.0)
        self.clock.advance(NOTICE_SECONDS)
        self.pairs[0].pump()
        self.clock.advance(5.0 - NOTICE_SECONDS)
        self.pairs[0].pump()
        self.assertEqual(len(visit.errors), 1)
        self.assertTrue(self.link.has_finished)

    def test_drain_without_a_tunnel(self) -> None:
        """A link that dials, registers or waits stops at once."""
        for prepare in (
            lambda: None,
            self.open,
            lambda: self.owner.dials[-1][1].errback(ConnectionRefusedError()),
        ):
            self.setUp()
            prepare()
            self.link.drain("stop", 30.0)
            self.assertTrue(self.link.has_finished)
            self.assertIsNone(self.owner.downs[-1][1])
            self.clock.advance(3600)
            self.assertEqual(len(self.owner.dials), 1)

    def test_drain_with_a_tunnel_that_was_left(self) -> None:
        """A tunnel that the link has left is finished as well, and waited for."""
        self.register()
        self.visit()
        self.link.move()
        self.register()
        self.link.drain("stop", 30.0)
        self.clock.advance(NOTICE_SECONDS)
        self.pairs[1].pump()
        self.pairs[0].pump()
        self.assertEqual(end_of(self.pairs[1].agent), "NORMAL: the tunnel was drained")
        self.assertFalse(self.link.has_finished)
        self.owner.streams[0].reset()
        self.pairs[0].pump()
        self.assertTrue(self.link.has_finished)

    def test_stop(self) -> None:
        """In every state a link can be stopped at once, and then nothing more happens."""
        for prepare in (
            lambda: None,
            self.open,
            self.register,
            lambda: self.owner.dials[-1][1].errback(ConnectionRefusedError()),
            self.drain_with_a_tunnel,
            self.move_to_a_new_tunnel,
        ):
            self.setUp()
            prepare()
            self.link.stop()
            for pair in self.pairs:
                pair.pump()
                self.assertEqual(end_of(pair.agent), "NORMAL: the agent stops")
            self.assertTrue(self.link.has_finished)
            dials = len(self.owner.dials)
            self.link.stop()
            self.link.hasten()
            self.link.move()
            self.link.drain("again", 1.0)
            self.clock.advance(3600)
            self.assertEqual(len(self.owner.dials), dials)

    def drain_with_a_tunnel(self) -> None:
        """Get to the state in which the last streams are waited for."""
        self.register()
        self.link.drain("stop", 30.0)

    def move_to_a_new_tunnel(self) -> None:
        """Get to the state in which an old tunnel serves beside the new one."""
        self.register()
        self.link.move()
        self.register()

    def test_stop_while_dialing(self) -> None:
        """The dial is cancelled."""
        self.link.stop()
        self.assertEqual(self.owner.cancelled, 1)
        self.assertEqual(self.owner.downs, [("the agent stops", None)])

    def test_late_tunnel(self) -> None:
        """A tunnel that comes up after the link was stopped is closed."""
        delegate, _ = self.owner.dials[0]
        self.link.stop()
        pair = tunnel_pair(RecordingDelegate(), delegate, clock=self.clock)
        self.assertEqual(end_of(pair.agent), "NORMAL: the agent did not wait for this tunnel")

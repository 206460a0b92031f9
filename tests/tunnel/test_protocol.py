"""`tunnel.protocol`: when bytes move, when a tunnel is lost, and how it drains."""

from collections.abc import Callable, Iterator
from functools import partial

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.case import nothing_left_to_the_collector
from warp_twisted.testing import MemoryTransport, RecordingDelegate, RecordingReceiver, TunnelPair, tunnel_pair
from warp_twisted.tunnel.limits import TunnelTimes
from warp_twisted.tunnel.liveness import Liveness
from warp_twisted.tunnel.protocol import TunnelProtocol
from warp_twisted.tunnel.states import TunnelState
from warp_twisted.tunnel.turns import Turn
from warp_twisted.wire.control import ControlMessage, Drain, Hello, OriginHealth
from warp_twisted.wire.errors import (
    BadControlMessage,
    BadStreamId,
    CannotOpenStream,
    ConnectionLost,
    Flood,
    PeerWentAway,
    QueueOverflow,
    StreamReset,
    TunnelClosed,
    TunnelFailed,
    TunnelSilent,
    WindowExceeded,
    WireError,
)
from warp_twisted.wire.frames import FrameType, GoAwayCode, Role, encode_header
from warp_twisted.wire.limits import Limits
from warp_twisted.wire.preamble import OpeningCode, encode_opening
from warp_twisted.wire.streams import Stream

ADDRESS = IPv4Address("TCP", "192.0.2.2", 40000)
HELLO = Hello(version=1, software="test", agent_id="a1", session="s", slot=0)


class TunnelTestCase(SynchronousTestCase):
    """A tunnel in memory."""

    def setUp(self) -> None:
        self.edge = RecordingDelegate()
        self.agent = RecordingDelegate()
        self.pair = self.join()

    def join(
        self, times: TunnelTimes | None = None, capacity: int = 64 * 1024, limits: Limits | None = None
    ) -> TunnelPair:
        return tunnel_pair(self.edge, self.agent, times=times, capacity=capacity, agent_limits=limits)

    def open(self, data: bytes = b"") -> tuple[RecordingReceiver, Stream]:
        """Open a stream, let the agent answer, and return the edge's receiver and the agent's stream."""
        receiver = RecordingReceiver()
        receiver.stream = self.pair.edge.open_route(7, receiver, data)
        self.pair.pump()
        stream = self.agent.streams[-1][0]
        stream.write(encode_opening(OpeningCode.OPENED))
        self.pair.pump()
        return receiver, stream

    def assert_ended(
        self, tunnel: TunnelProtocol, code: int | None, error: type[WireError], reason: str, *, by_peer: bool = False
    ) -> None:
        """The tunnel ended with this code of this side, and its delegate heard of it once."""
        outcome = tunnel.outcome
        assert outcome is not None, "the tunnel has not ended"
        self.assertEqual((outcome.code, outcome.by_peer), (code, by_peer))
        self.assertIs(type(outcome.error), error)
        self.assertIn(reason, str(outcome.error))
        delegate = {self.pair.edge: self.edge, self.pair.agent: self.agent}.get(tunnel)
        if delegate is not None:
            self.assertEqual(delegate.losses, [outcome.error])

    def assert_peer_ended(self, tunnel: TunnelProtocol, code: int) -> None:
        """The tunnel ended because the peer said so, with this code."""
        self.assert_ended(tunnel, code, PeerWentAway, "the peer ended the tunnel", by_peer=True)

    def control_stream(self, tunnel: TunnelProtocol) -> Stream:
        """The tunnel's control stream."""
        stream = tunnel._control._stream
        assert stream is not None
        return stream

    def edge_alone(self) -> tuple[TunnelProtocol, MemoryTransport, RecordingDelegate]:
        """An edge's end whose peer has said nothing."""
        edge = RecordingDelegate()
        protocol = TunnelProtocol(Role.SERVER, edge, clock=self.pair.clock, turn=Turn(self.pair.clock))
        transport = MemoryTransport(protocol, ADDRESS, ADDRESS, 1000, None)
        protocol.makeConnection(transport)
        return protocol, transport, edge


class OpeningTests(TunnelTestCase):
    """What happens at first."""

    def test_both_hear_of_the_tunnel(self) -> None:
        """Each delegate hears of its end once, before any message."""
        self.assertEqual((self.edge.opened, self.agent.opened), ([self.pair.edge], [self.pair.agent]))
        self.assertEqual(self.pair.edge.peer, ADDRESS)
        self.assertIsNone(self.pair.edge.peer_certificate)
        self.assertEqual(self.pair.edge.stream_count, 0)
        self.assertIn("SERVER", repr(self.pair.edge))

    def test_messages_both_ways(self) -> None:
        """Control messages arrive in order, in both directions."""
        self.pair.agent.send_control(HELLO)
        self.pair.agent.send_control(OriginHealth(route_id=1, healthy=True))
        self.pair.edge.send_control(OriginHealth(route_id=2, healthy=False))
        self.pair.pump()
        self.assertEqual(self.edge.messages, [HELLO, OriginHealth(route_id=1, healthy=True)])
        self.assertEqual(self.agent.messages, [OriginHealth(route_id=2, healthy=False)])

    def test_message_before_the_control_stream(self) -> None:
        """An edge cannot speak before the agent opened the control stream."""
        edge = TunnelProtocol(self.pair.edge._role, self.edge, clock=self.pair.clock, turn=self.pair.edge._turn)
        self.assertRaises(CannotOpenStream, edge.send_control, HELLO)

    def test_interface(self) -> None:
        """The protocol is a push producer, because it registers itself with its transport."""
        verifyObject(IPushProducer, self.pair.edge)


class StreamTests(TunnelTestCase):
    """Streams to a route."""

    def test_request_and_answer(self) -> None:
        """Request bytes travel with the preamble, the opening reply comes first, then the answer."""
        receiver, stream = self.open(b"GET /")
        self.assertEqual((self.agent.streams[0][1], self.agent.receivers[0].data), (7, b"GET /"))
        self.assertTrue(receiver.openings[0].is_opened)
        stream.write(b"200 OK")
        self.pair.pump()
        self.assertEqual(receiver.data, b"200 OK")
        self.assertEqual((self.pair.edge.stream_count, self.pair.agent.stream_count), (1, 1))

    def test_one_write_a_turn(self) -> None:
        """Whatever is written in one turn goes to the transport in one write, at the turn's end."""
        receivers = [RecordingReceiver() for _ in range(3)]
        for receiver in receivers:
            stream = self.pair.edge.open_route(1, receiver, b"x")
            stream.write(b"y")
        self.assertEqual(len(self.pair.edge_transport.in_flight), 0)
        self.assertEqual(len(self.pair.clock.getDelayedCalls()), 2)  # the watch, and the end of this turn
        self.pair.clock.advance(0)
        self.assertEqual(len(self.pair.edge_transport.in_flight), 3 * (12 + 8 + 1 + 12 + 1))

    def test_agent_cannot_open_streams(self) -> None:
        """A second stream that an agent opens is refused."""
        receiver = RecordingReceiver()
        self.pair.agent._connection.open_stream(receiver)
        self.pair.pump()
        self.assertEqual([type(error) for error in receiver.errors], [StreamReset])
        self.assertEqual(self.edge.losses, [])

    def test_wrong_first_stream(self) -> None:
        """An agent whose first stream is not stream 1 loses the tunnel."""
        protocol, transport, edge = self.edge_alone()
        protocol.dataReceived(encode_header(FrameType.WINDOW_UPDATE, 1, 3, 0))
        self.assert_ended(protocol, GoAwayCode.PROTOCOL_ERROR, BadStreamId, "stream 1 only, not 3")
        self.assertEqual((transport.disconnecting, edge.opened, edge.losses), (True, [], []))

    def test_silent_opener_is_cut(self) -> None:
        """A stream that does not say what it is for is cut after a while."""
        receiver = RecordingReceiver()
        self.pair.edge._connection.open_stream(receiver, b"\x01")
        self.pair.pump()
        for _ in range(3):
            self.pair.clock.advance(10)
            self.pair.pump()
        self.assertEqual([type(error) for error in receiver.errors], [StreamReset])
        self.assertEqual((self.agent.streams, self.agent.losses), ([], []))

    def test_bad_preamble_costs_its_stream_only(self) -> None:
        """A stream with a preamble of another version is cut, and the tunnel goes on."""
        receiver = RecordingReceiver()
        self.pair.edge._connection.open_stream(receiver, b"\xff" * 8)
        self.pair.pump()
        self.assertEqual([type(error) for error in receiver.errors], [StreamReset])
        self.open()

    def test_too_many(self) -> None:
        """A stream above the agent's limit is refused before its opening reply."""
        self.pair = self.join(limits=Limits(max_streams=2))
        self.open()
        receiver = RecordingReceiver()
        self.pair.edge.open_route(1, receiver)
        self.pair.pump()
        self.assertEqual(([type(error) for error in receiver.errors], receiver.openings), ([StreamReset], []))


class BackpressureTests(TunnelTestCase):
    """A transport that does not take bytes holds back every writer, and nothing grows."""

    def test_paused_transport(self) -> None:
        """While the transport is paused nothing is written to it, and writers are told to stop."""
        receiver, _ = self.open()
        assert receiver.stream is not None
        self.pair.agent_transport.pauseProducing()
        writes = 0
        while receiver.stream.write(b"x" * 10_000):
            self.pair.clock.advance(0)
            writes += 1
            self.assertLess(writes, 100)
        self.pair.clock.advance(0)
        in_flight = len(self.pair.edge_transport.in_flight)
        self.assertLess(in_flight, 64 * 1024 + 10_100)
        self.assertLess(self.pair.edge.unsent_bytes, 256 * 1024 + 10_100)
        self.pair.agent_transport.resumeProducing()
        self.pair.pump()
        self.assertEqual(len(self.agent.receivers[0].data), (writes + 1) * 10_000)
        self.assertEqual((receiver.credits, self.pair.edge.unsent_bytes), (1, 0))

    def test_peer_that_does_not_read_its_answers(self) -> None:
        """A peer that pings and never reads is cut off, before its answers fill the memory."""
        self.pair = self.join(capacity=1000)
        self.pair.agent_transport.pauseProducing()
        ping = encode_header(FrameType.PING, 1, 0, 5)
        for _ in range(100):
            if self.edge.losses:
                break
            self.pair.edge.dataReceived(ping * 100)
            self.pair.clock.advance(0)
        self.assert_ended(self.pair.edge, GoAwayCode.FLOOD, Flood, "513 answers to the peer wait for it to read")
        self.assertTrue(self.pair.edge_transport.disconnecting)

    def test_control_messages_are_bounded(self) -> None:
        """A peer that never reads its control messages loses the tunnel when the queue is full."""
        self.agent.control_received = _raise_nothing  # type: ignore[method-assign]
        self.pair.agent._control._stream = None  # the agent returns no credit
        for number in range(2000):
            self.pair.edge.send_control(OriginHealth(route_id=number, healthy=True, detail="x" * 1000))
            self.pair.pump()
            self.pair.agent._control._reader._buffer.clear()
            if self.edge.losses:
                break
        self.assert_ended(self.pair.edge, GoAwayCode.CONTROL_ERROR, QueueOverflow, "bytes wait for credit")


class PriceTests(TunnelTestCase):
    """What a peer may send that carries nothing, and how much of what it sends is obeyed at once."""

    def test_empty_frames(self) -> None:
        """Frames that carry nothing end the tunnel when there are more than time makes up for."""
        nothing = encode_header(FrameType.WINDOW_UPDATE, 0, 1, 0)
        for _ in range(60):
            self.pair.edge.dataReceived(nothing * 100)
            self.pair.clock.advance(1)
            self.pair.pump()
        self.assertIsNone(self.pair.edge.outcome)
        for _ in range(20):
            self.pair.edge.dataReceived(nothing * 100)
            self.pair.clock.advance(0)
        self.assert_ended(self.pair.edge, GoAwayCode.FLOOD, Flood, "more than 1000 frames that carry nothing")
        self.pair.pump()
        self.assert_peer_ended(self.pair.agent, GoAwayCode.FLOOD)

    def test_much_at_once(self) -> None:
        """Of many small frames some are obeyed at once and the rest later; meanwhile the transport is not read."""
        receiver, stream = self.open()
        for number in range(1000):
            stream.write(number.to_bytes(2))
        self.pair.clock.advance(0)
        self.assertEqual(receiver.data, b"")
        expected = b"".join(number.to_bytes(2) for number in range(1000))
        self.pair.agent_transport.deliver(1_000_000)
        self.assertEqual(receiver.data, expected[:256])
        stream.write(b"the end")
        stream.end()
        self.pair.pump()
        self.assertEqual((receiver.data, receiver.has_ended), (expected + b"the end", True))
        self.assertFalse(self.pair.edge._connection.is_behind)

    def test_two_that_are_behind(self) -> None:
        """Tunnels that share a process go on in turns, whoever came first."""
        turn = Turn(self.pair.clock)
        order: list[int] = []

        def steps(name: int) -> Iterator[None]:
            for _ in range(3):
                order.append(name)
                yield

        turn.share(steps(1))
        turn.share(steps(2))
        self.pair.clock.pump([0] * 50)
        self.assertEqual(order, [1, 2, 1, 2, 1, 2])

    def test_end_while_behind(self) -> None:
        """A tunnel that ends while frames wait forgets them, and reads on for the peer's goodbye."""
        receiver, stream = self.open()
        for _ in range(1000):
            stream.write(b"x")
        self.pair.clock.advance(0)
        self.pair.agent_transport.deliver(1_000_000)
        self.assertFalse(self.pair.edge_transport._is_reading)
        self.pair.edge.close(GoAwayCode.REPLACED, "a newer one")
        self.pair.pump()
        self.assertEqual(len(receiver.data), 128)
        self.assertTrue(self.pair.edge_transport._is_reading)
        self.assert_peer_ended(self.pair.agent, GoAwayCode.REPLACED)

    def test_breach_while_behind(self) -> None:
        """A breach among the frames that wait ends the tunnel as one that is met at once."""
        _, stream = self.open()
        for _ in range(300):
            stream.write(b"x")
        self.pair.agent._connection._outbox.put(encode_header(FrameType.DATA, 0, 2, 300_000))
        self.pair.pump()
        self.assert_ended(self.pair.edge, GoAwayCode.FLOW_CONTROL_ERROR, WindowExceeded, "sent 300000 bytes")


class EndTests(TunnelTestCase):
    """How tunnels end, and who hears what."""

    def test_close(self) -> None:
        """Closing tells the peer, cuts the streams, and is heard once on each side."""
        receiver, _ = self.open()
        gone = self.pair.edge.disconnected()
        self.pair.edge.close(GoAwayCode.REPLACED, "a newer tunnel came")
        self.pair.edge.close()
        self.assertNoResult(gone)
        self.pair.pump()
        self.successResultOf(gone)
        self.successResultOf(self.pair.edge.disconnected())
        self.assert_ended(self.pair.edge, GoAwayCode.REPLACED, TunnelClosed, "a newer tunnel came")
        self.assert_peer_ended(self.pair.agent, GoAwayCode.REPLACED)
        self.assertIn("REPLACED", str(self.agent.losses[0]))
        self.assertEqual((self.pair.edge.state, self.pair.agent.state), (TunnelState.DISCONNECTED,) * 2)
        self.assertEqual(([type(e) for e in receiver.errors], len(self.agent.receivers[0].errors)), ([TunnelClosed], 1))
        self.assertTrue(self.pair.edge.is_over)
        self.assertEqual(self.pair.clock.getDelayedCalls(), [])
        self.pair.edge.send_control(HELLO)
        self.pair.edge.drain()
        self.assertRaises(CannotOpenStream, self.pair.edge.open_route, 1, RecordingReceiver())

    def test_connection_lost(self) -> None:
        """When the transport is lost everybody hears it and no timer is left."""
        receiver, _ = self.open()
        self.pair.agent_transport.abortConnection()
        self.pair.pump()
        self.assert_ended(self.pair.edge, None, ConnectionLost, "closed cleanly")
        self.assertEqual(receiver.errors, self.edge.losses)
        self.assertEqual(self.pair.clock.getDelayedCalls(), [])

    def test_silence(self) -> None:
        """A peer that says nothing for thirty seconds is lost, not sooner and not ten seconds later."""
        self.pair.clock.advance(5)
        self.pair.edge.dataReceived(encode_header(FrameType.PING, 1, 0, 5))
        self.pair.clock.pump([1] * 29)
        self.assertEqual(self.edge.losses, [])
        self.pair.clock.advance(1.5)
        self.assert_ended(self.pair.edge, GoAwayCode.TIMED_OUT, TunnelSilent, "the peer was silent for 30 seconds")

    def test_other_times(self) -> None:
        """Times that the edge states hold at once, also if the next look was far away."""
        self.pair.edge.follow(TunnelTimes(ping_seconds=2.0, silence_seconds=4.0, ping_jitter=0.0))
        self.pair.clock.pump([0.1] * 19)
        self.assertEqual(self.edge.losses, [])
        self.pair.clock.pump([0.1] * 23)
        self.assert_ended(self.pair.edge, GoAwayCode.TIMED_OUT, TunnelSilent, "the peer was silent for 4 seconds")
        self.pair.edge.follow(TunnelTimes())
        self.assertNotIn(self.pair.edge, self.pair.edge._turn.watch)

    def test_short_times_from_the_start(self) -> None:
        """Times that are shorter than the wait for a control stream hold from the beginning, as between edges."""
        self.pair = self.join(TunnelTimes(ping_seconds=0.5, silence_seconds=1.8))
        for _ in range(200):
            self.pair.clock.advance(0.1)
            self.pair.pump()
        self.assertEqual((self.edge.losses, self.agent.losses), ([], []))
        self.pair.clock.pump([0.1] * 20)
        self.assert_ended(self.pair.edge, GoAwayCode.TIMED_OUT, TunnelSilent, "the peer was silent for 2 seconds")

    def test_pings_keep_it(self) -> None:
        """Two ends that answer each other's pings stay, and know the round trip."""
        for _ in range(200):
            self.pair.clock.advance(1)
            self.pair.pump()
        self.assertEqual((self.edge.losses, self.agent.losses), ([], []))
        self.assertEqual(self.pair.edge.round_trip_seconds, 0.0)

    def test_one_side_pings(self) -> None:
        """Of two idle ends only the edge asks, every twenty seconds or a little sooner: the agent has heard of it."""
        pings: list[str] = []
        self.note_pings(pings)
        for _ in range(110):
            self.pair.clock.advance(1)
            self.pair.pump()
        self.assertEqual(sorted(pings[:2]), ["agent", "edge"])  # each measures the path once, at the beginning
        self.assertEqual(pings[2:], ["edge"] * 5)

    def note_pings(self, pings: list[str]) -> None:
        """Note who pings."""
        names = {self.pair.edge._liveness: "edge", self.pair.agent._liveness: "agent"}
        pinged = Liveness.pinged

        def noting(liveness: Liveness, value: int, now: float) -> None:
            pings.append(names[liveness])
            pinged(liveness, value, now)

        self.patch(Liveness, "pinged", noting)

    def test_who_talks_is_not_pinged(self) -> None:
        """A peer that is heard is not asked; only the round trip is measured now and then."""
        pings: list[str] = []
        self.note_pings(pings)
        for _ in range(48):
            self.pair.clock.advance(5)
            self.pair.agent.send_control(OriginHealth(route_id=1, healthy=True))
            self.pair.pump()
        self.assertIn(pings.count("edge"), (2, 3))
        self.assertEqual(self.edge.losses, [])

    def test_pings_without_answers(self) -> None:
        """A peer that says just enough to be there, and answers no ping, is lost in the end."""
        for _ in range(20):
            self.pair.clock.pump([1] * 25)
            self.pair.edge.dataReceived(encode_header(FrameType.WINDOW_UPDATE, 0, 1, 0))
        self.assert_ended(self.pair.edge, GoAwayCode.TIMED_OUT, TunnelSilent, "8 pings have not been answered")

    def test_asked(self) -> None:
        """Whoever wants a sign of life now gets one; a ping that is under way will do."""
        self.pair.pump()
        pings: list[str] = []
        self.note_pings(pings)
        before, answers = self.pair.edge.heard_at, []
        self.pair.clock.advance(1)
        self.pair.edge.ping()
        self.pair.edge.ping()
        self.pair.edge.ping(lambda: answers.append("answered"))
        self.assertEqual((pings, answers), (["edge"], []))
        self.pair.pump()
        self.assertEqual((answers, self.pair.edge.heard_at), (["answered"], before + 1))
        self.pair.edge.ping(lambda: answers.append("again"))
        self.pair.pump()
        self.assertEqual((pings, answers), (["edge", "edge"], ["answered", "again"]))
        self.pair.edge.close()
        self.pair.edge.ping(lambda: answers.append("after the end"))
        self.pair.pump()
        self.assertEqual((len(pings), len(answers)), (2, 2))

    def test_asked_by_many(self) -> None:
        """However many want a sign of life at the same moment, the peer that answers stays, and all are told."""
        self.pair.pump()
        answers: list[int] = []
        for number in range(100):
            self.pair.edge.ping(partial(answers.append, number))
        self.assertFalse(self.pair.edge.is_over)
        self.pair.pump()
        self.assertEqual(answers, list(range(100)))
        self.assertFalse(self.pair.edge.is_over)

    def test_breach(self) -> None:
        """A peer that breaks the protocol hears the code, and the delegate the error."""
        flood = encode_header(FrameType.DATA, 0, 1, 300_000)
        self.pair.edge.dataReceived(flood)
        self.assert_ended(self.pair.edge, GoAwayCode.FLOW_CONTROL_ERROR, WindowExceeded, "sent 300000 bytes")
        self.pair.pump()
        self.assert_peer_ended(self.pair.agent, GoAwayCode.FLOW_CONTROL_ERROR)

    def test_bad_message(self) -> None:
        """A control message that cannot be read ends the tunnel with CONTROL_ERROR."""
        self.control_stream(self.pair.agent).write(b"\0\0\0\x02{}")
        self.pair.pump()
        self.assert_ended(self.pair.edge, GoAwayCode.CONTROL_ERROR, BadControlMessage, "cannot be read")
        self.assert_peer_ended(self.pair.agent, GoAwayCode.CONTROL_ERROR)

    def test_message_after_the_end(self) -> None:
        """Messages that came in one piece with the one that made the delegate close are not delivered."""

        class Closing(RecordingDelegate):
            def control_received(self, tunnel: TunnelProtocol, message: ControlMessage) -> None:
                super().control_received(tunnel, message)
                tunnel.close(GoAwayCode.REVOKED, "no more")

        self.edge = Closing()
        self.pair = self.join()
        self.pair.agent.send_control(HELLO)
        self.pair.agent.send_control(HELLO)
        self.pair.agent.send_control(Drain())
        self.pair.pump()
        self.assertEqual((self.edge.messages, self.edge.drains), ([HELLO], []))
        self.assert_ended(self.pair.edge, GoAwayCode.REVOKED, TunnelClosed, "no more")
        self.assert_peer_ended(self.pair.agent, GoAwayCode.REVOKED)

    def test_unknown_code(self) -> None:
        """A go-away with a code that we do not know ends the tunnel as well."""
        self.pair.edge.dataReceived(encode_header(FrameType.GO_AWAY, 0, 0, 0xDEAD))
        self.assert_peer_ended(self.pair.edge, 0xDEAD)
        self.assertIn("57005", str(self.edge.losses[0]))

    def test_no_control_stream(self) -> None:
        """A peer that opens no control stream is lost, and the delegate, which never heard of it, hears nothing."""
        protocol, transport, edge = self.edge_alone()
        self.pair.clock.advance(9.9)
        protocol.dataReceived(encode_header(FrameType.PING, 1, 0, 5))
        self.assertIsNone(protocol.outcome)
        self.pair.clock.advance(0.2)
        self.assert_ended(protocol, GoAwayCode.TIMED_OUT, TunnelSilent, "the peer opened no control stream")
        self.assertTrue(transport.disconnecting)
        self.assertEqual((edge.opened, edge.losses), ([], []))

    def test_control_stream_ends(self) -> None:
        """The end of the control stream is the end of the tunnel."""
        self.control_stream(self.pair.agent).end()
        self.pair.pump()
        self.assert_ended(self.pair.edge, GoAwayCode.CONTROL_ERROR, ConnectionLost, "the peer ended the control stream")
        self.assert_peer_ended(self.pair.agent, GoAwayCode.CONTROL_ERROR)

    def test_control_stream_reset(self) -> None:
        """So is its reset."""
        self.control_stream(self.pair.agent).reset()
        self.pair.pump()
        self.assert_ended(self.pair.edge, GoAwayCode.CONTROL_ERROR, StreamReset, "stream 1 was reset by the peer")

    def test_receiver_that_fails(self) -> None:
        """An error in a stream's receiver ends its tunnel, is logged, and everybody hears it."""

        class Failing(RecordingReceiver):
            def data_received(self, data: bytes) -> None:
                raise ZeroDivisionError

        receiver, stream = self.open()
        assert receiver.stream is not None
        receiver.stream.receiver = Failing()
        stream.write(b"x")
        self.pair.pump()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assert_ended(self.pair.edge, GoAwayCode.INTERNAL_ERROR, TunnelFailed, "ZeroDivisionError")
        self.assert_peer_ended(self.pair.agent, GoAwayCode.INTERNAL_ERROR)

    def test_writer_that_fails(self) -> None:
        """An error in a writer that hears of room ends its tunnel and is logged."""

        class Failing(RecordingReceiver):
            def credit_received(self) -> None:
                raise ZeroDivisionError

        limits = Limits(max_peer_streams=1, high_water_bytes=1000)
        self.pair = tunnel_pair(self.edge, self.agent, edge_limits=limits)
        receiver, _ = self.open()
        assert receiver.stream is not None
        receiver.stream.receiver = Failing()
        receiver.stream.write(b"x" * 2000)
        self.pair.pump()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assert_ended(self.pair.edge, GoAwayCode.INTERNAL_ERROR, TunnelFailed, "ZeroDivisionError")

    def test_delegate_that_fails_at_first(self) -> None:
        """A tunnel whose delegate fails to take it is closed on either side, and the error is logged."""

        class Failing(RecordingDelegate):
            def tunnel_opened(self, tunnel: TunnelProtocol) -> None:
                raise ZeroDivisionError

        for is_edge in (True, False):
            self.edge, self.agent = (Failing(), RecordingDelegate()) if is_edge else (RecordingDelegate(), Failing())
            self.pair = self.join()
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            failed, other = (self.pair.edge, self.pair.agent) if is_edge else (self.pair.agent, self.pair.edge)
            self.assert_ended(failed, GoAwayCode.INTERNAL_ERROR, TunnelFailed, "ZeroDivisionError")
            self.assert_peer_ended(other, GoAwayCode.INTERNAL_ERROR)

    def test_delegate_that_fails(self) -> None:
        """A delegate that fails when it hears of the loss is logged, and the streams have heard it."""

        class Failing(RecordingDelegate):
            def tunnel_lost(self, tunnel: TunnelProtocol, error: WireError) -> None:
                raise ZeroDivisionError

        self.edge = Failing()
        self.pair = self.join()
        receiver, _ = self.open()
        self.pair.edge.close()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual([type(error) for error in receiver.errors], [TunnelClosed])
        self.assertEqual(self.pair.edge.state, TunnelState.ENDED)


class HangUpTests(TunnelTestCase):
    """A peer that has closed its transport while it is not this tunnel's turn to end."""

    def test_nothing_is_begun(self) -> None:
        """The delegate is told, once; no stream is opened, and nothing is written."""
        self.open()
        self.assertTrue(self.pair.edge.peer_hung_up())
        self.assertTrue(self.pair.edge.peer_hung_up())
        self.assertEqual(self.edge.hung_up, [self.pair.edge])
        self.assertFalse(self.pair.edge.can_open_stream)
        with self.assertRaisesRegex(CannotOpenStream, "hung up"):
            self.pair.edge.open_route(7, RecordingReceiver())
        self.pair.edge.send_control(HELLO)
        self.pair.pump()
        self.assertEqual((self.agent.messages, self.edge.losses), ([], []))

    def test_last_words(self) -> None:
        """What the peer sent before is received, and the end is told as ever."""
        receiver, stream = self.open()
        stream.write(b"the rest")
        self.pair.edge.peer_hung_up()
        self.pair.pump()
        self.assertEqual(receiver.data, b"the rest")
        self.pair.edge.connectionLost()
        self.assertEqual([type(error) for error in receiver.errors], [ConnectionLost])
        self.assert_ended(self.pair.edge, None, ConnectionLost, "closed cleanly")

    def test_nobody_waits(self) -> None:
        """Without open streams nobody waits for the end; a tunnel that has ended is told of no more."""
        self.assertFalse(self.pair.edge.peer_hung_up())
        self.pair.agent.close()
        self.assertFalse(self.pair.agent.peer_hung_up())
        self.assertEqual(self.agent.hung_up, [])


class DrainTests(TunnelTestCase):
    """A planned stop."""

    def assert_drained(self, tunnel: TunnelProtocol) -> None:
        """The tunnel ended by its own drain."""
        self.assert_ended(tunnel, GoAwayCode.NORMAL, TunnelClosed, "the tunnel was drained")

    def test_idle_tunnel_closes_at_once(self) -> None:
        """A tunnel without streams closes as soon as the peer was told."""
        self.pair.agent.drain("upgrade", 12.0)
        self.pair.agent.drain("twice")
        self.pair.pump()
        self.assertEqual(self.edge.drains, [Drain(reason="upgrade", deadline_seconds=12.0)])
        self.assert_drained(self.pair.agent)
        self.assert_ended(self.pair.edge, None, ConnectionLost, "closed cleanly")

    def test_streams_finish_first(self) -> None:
        """Open streams go on to their end; no new ones are opened; then the tunnel closes."""
        for drains in ("agent", "edge"):
            self.setUp()
            receiver, stream = self.open()
            assert receiver.stream is not None
            getattr(self.pair, drains).drain()
            self.pair.pump()
            self.assertFalse(self.pair.edge.can_open_stream)
            stream.write(b"the rest")
            stream.end()
            self.pair.pump()
            self.assertEqual(self.edge.losses, [])
            receiver.stream.end()
            self.pair.pump()
            self.assertEqual((receiver.data, receiver.errors), (b"the rest", []))
            self.assert_drained(getattr(self.pair, drains))
            self.assertEqual((len(self.edge.losses), len(self.agent.losses)), (1, 1))
            self.assertEqual(self.pair.clock.getDelayedCalls(), [])

    def test_stream_that_is_cut_counts_as_done(self) -> None:
        """A reset by the peer, which needs no answer, lets the drained tunnel close as well."""
        receiver, _ = self.open()
        assert receiver.stream is not None
        self.pair.agent.drain()
        self.pair.pump()
        receiver.stream.reset()
        self.pair.pump()
        self.assert_drained(self.pair.agent)

    def test_deadline(self) -> None:
        """At the deadline the tunnel closes with whatever is left."""
        self.open()
        self.pair.agent.drain(deadline_seconds=8.0)
        self.pair.pump()
        self.pair.clock.advance(7.9)
        self.assertEqual(self.agent.losses, [])
        self.pair.clock.advance(0.2)
        self.assert_ended(self.pair.agent, GoAwayCode.NORMAL, TunnelClosed, "closed by this side")

    def test_stream_that_crosses(self) -> None:
        """A stream opened before the edge heard of the drain is refused before its opening reply."""
        self.open()
        receiver = RecordingReceiver()
        self.pair.agent.drain()
        self.pair.edge.open_route(1, receiver)
        self.pair.pump()
        self.assertEqual(([type(e) for e in receiver.errors], receiver.openings), ([StreamReset], []))

    def test_bare_go_away(self) -> None:
        """A peer that sends only yamux's go-away drains too, and the delegate hears it once."""
        self.pair.agent._connection.go_away(GoAwayCode.NORMAL)
        self.pair.agent._connection.go_away(GoAwayCode.NORMAL)
        self.pair.pump()
        self.assertEqual(self.edge.drains, [Drain()])


def _raise_nothing(tunnel: TunnelProtocol, message: ControlMessage) -> None:
    """Take the message."""


class CycleTests(SynchronousTestCase):
    """A tunnel that is over leaves no reference cycle: to find those of thousands would stop the event loop."""

    def end(self, how: Callable[[TunnelPair], None]) -> None:
        """Open a tunnel with a stream in use, one that waits for its turn and one without a preamble, and end it."""
        pair = tunnel_pair(self.edge, self.agent, clock=self.clock)
        self.turns.append(pair.edge._turn)
        receiver = RecordingReceiver()
        receiver.stream = pair.edge.open_route(1, receiver, b"request")
        pair.pump()
        stream = self.agent.streams[-1][0]
        stream.write(encode_opening(OpeningCode.OPENED))
        pair.edge.open_route(2, RecordingReceiver(), b"x" * 300_000)
        pair.edge._connection.open_stream(RecordingReceiver(), b"x")
        pair.pump()
        how(pair)
        self.clock.pump([1.0] * 40)
        pair.pump()
        self.assertIsNotNone(pair.edge.outcome)
        self.assertIsNotNone(pair.agent.outcome)
        pair.edge_transport.lose()
        pair.agent_transport.lose()
        self.assertEqual(pair.edge.state, TunnelState.DISCONNECTED)
        for kept in (self.edge.opened, self.edge.losses, self.agent.opened, self.agent.streams, self.agent.losses):
            kept.clear()
        self.agent.receivers.clear()

    def test_each_way_to_end(self) -> None:
        """However it ends, its objects go with the last reference to them."""
        self.edge, self.agent, self.clock = RecordingDelegate(), RecordingDelegate(), Clock()
        self.turns: list[object] = []

        def lose(pair: TunnelPair) -> None:
            pair.edge_transport.lose()
            pair.agent_transport.lose()

        def stop_reading(pair: TunnelPair) -> None:
            pair.agent_transport.pauseProducing()
            pair.edge_transport.pauseProducing()

        ways: list[Callable[[TunnelPair], None]] = [
            lambda pair: pair.edge.close(),
            lambda pair: pair.agent.close(),
            lambda pair: pair.edge.drain(deadline_seconds=2),
            lambda pair: pair.agent.drain(deadline_seconds=2),
            lambda pair: pair.edge.dataReceived(b"\xff" * 50),
            lambda pair: pair.agent.dataReceived(encode_header(FrameType.DATA, 0, 2, 100) + b"half"),
            lose,
            stop_reading,
        ]
        for way in ways:
            with nothing_left_to_the_collector():
                self.end(way)
                self.clock.calls.clear()

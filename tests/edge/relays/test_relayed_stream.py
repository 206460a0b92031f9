"""Tests of a stream of one edge that is joined to a tunnel of another; `tests.edge.relays.rig` has both."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.relays.rig import ROUTE, Rig, Visitor
from tests.wire.pair import End
from warp_twisted.edge.relays.relayed_stream import WHOLE_BYTES
from warp_twisted.wire.errors import ConnectionLost, StreamReset
from warp_twisted.wire.limits import Limits
from warp_twisted.wire.preamble import OpeningCode
from warp_twisted.wire.streams import Stream

REQUEST = b"GET / HTTP/1.1\r\nHost: app.example\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class RelayedStreamTests(SynchronousTestCase):
    """Bytes, ends and credit."""

    def test_one_after_the_other(self) -> None:
        """A stream is kept for the next request, whatever the pieces in which bytes arrive; the origin sees one."""
        for chunk in (0, 1, 7, 13):
            rig = Rig(chunk)
            for number in range(3):
                visitor = Visitor()
                origin = rig.ask(visitor, REQUEST)
                rig.origin.stream.write(ANSWER)
                rig.pump()
                self.assertEqual(visitor.data, ANSWER)
                self.assertEqual(visitor.events, [] if number else ["opened"])
                self.assertTrue(origin.stream.peer_heard)
                origin.release(0.0)
            self.assertEqual((rig.served[0][0], rig.origin.data), (ROUTE, REQUEST * 3))
            counted = rig.counters.of("edge-1")
            self.assertEqual((counted.streams, counted.now, counted.refused), (1, 1, 0))
            self.assertEqual((counted.bytes_in, counted.bytes_out), (len(REQUEST) * 3, len(ANSWER) * 3))
            self.assertEqual(rig.counters.of("edge-2").opened, 1)
            self.assertEqual(rig.failures, [])

    def test_what_was_said_unasked(self) -> None:
        """What an origin says before it hears the next request is not taken for its answer, also if edges heard it."""
        for chunk in (0, 1, 7):
            rig = Rig(chunk)
            origin = rig.ask(Visitor(), REQUEST)
            rig.origin.stream.write(ANSWER)
            rig.pump()
            origin.release(0.0)
            visitor = Visitor()
            origin = rig.borrow(visitor)
            origin.stream.write(REQUEST)
            rig.origin.stream.write(b"surplus")  # before the agent has heard, but after
            rig.link.pump()  # the other edge has
            rig.tunnel.edge.receive(rig.tunnel.agent.connection.data_to_send(), chunk)
            rig.link.pump()
            self.assertEqual({heard for _, heard in visitor.heard}, {False})
            rig.pump()
            rig.origin.stream.write(ANSWER)
            rig.pump()
            self.assertTrue(origin.stream.peer_heard)
            self.assertEqual(visitor.data, b"surplus" + ANSWER)

    def test_an_idle_stream_on_which_the_origin_speaks(self) -> None:
        """Nobody gets it: the stream is cut on all three machines."""
        rig = Rig()
        origin = rig.ask(Visitor(), REQUEST)
        rig.origin.stream.write(ANSWER)
        rig.pump()
        origin.release(0.0)
        rig.origin.stream.write(b"surplus")
        rig.pump()
        self.assertIsInstance(rig.origin.errors[0], StreamReset)
        self.assertEqual(rig.counters.of("edge-1").now, 0)

    @given(
        size=st.sampled_from([1, 30, 300, 4_096]),
        steps=st.lists(
            st.sampled_from(["ask", "say"])
            | st.tuples(st.sampled_from(["to", "on", "back", "home"]), st.integers(1, 400)),
            max_size=60,
        ),
    )
    def test_heard_is_never_invented(self, size: int, steps: list[str | tuple[str, int]]) -> None:
        """However bytes move, what is believed to answer a request was said after the agent had heard of it."""
        rig = Rig()
        rig.ask(Visitor(), b"q" * size)
        rig.origin.stream.write(ANSWER)
        rig.pump()
        visitor = _Asker(rig.remote_streams()[0])
        pipes = {
            "to": _Pipe(rig.link.edge, rig.link.agent), "on": _Pipe(rig.tunnel.edge, rig.tunnel.agent),
            "back": _Pipe(rig.tunnel.agent, rig.tunnel.edge), "home": _Pipe(rig.link.agent, rig.link.edge),
        }  # fmt: skip

        def say() -> None:
            heard = -(-len(rig.origin.data) // size)
            rig.origin.stream.write(bytes([heard]))

        for step in steps:
            if isinstance(step, tuple):
                pipes[step[0]].move(step[1])
            elif step == "ask":
                visitor.ask(b"q" * size)
            else:
                say()
        for _ in range(4):
            for name in ("to", "on"):
                pipes[name].move()
            say()
            for name in ("back", "home"):
                pipes[name].move()
        self.assertTrue(visitor.stream.peer_heard)
        self.assertEqual(visitor.believed_too_soon, [])

    def test_frames_stay_whole(self) -> None:
        """A small frame that arrives in parts leaves as one; of a large one each part leaves at once."""
        for size, frames in ((WHOLE_BYTES, 1), (WHOLE_BYTES + 1, 2)):
            rig = Rig()
            rig.ask(Visitor(), b"x")
            stream = next(iter(rig.remote_streams()))
            stream.write(b"y" * size)
            data = rig.link.edge.connection.data_to_send()
            rig.link.agent.receive(data[:2_000])
            first = rig.tunnel.edge.connection.data_to_send()
            rig.link.agent.receive(data[2_000:])
            second = rig.tunnel.edge.connection.data_to_send()
            self.assertEqual(bool(first) + bool(second), frames)
            rig.tunnel.agent.receive(first + second)
            self.assertEqual(rig.origin.data, b"x" + b"y" * size)

    def test_a_slow_visitor(self) -> None:
        """A visitor that does not read holds its origin back, within two windows; the others on the link go on."""
        rig = Rig()
        slow = Visitor(consumes=False)
        rig.ask(slow, REQUEST)
        sent = 0
        while rig.origin.stream.write(b"x" * 16_384):
            sent += 16_384
            rig.pump()
            self.assertLess(sent, 2_000_000)
        self.assertLessEqual(rig.link.agent.connection.unsent_bytes, 600_000)
        first = rig.served.pop()
        quick = Visitor()
        rig.ask(quick, REQUEST)
        rig.origin.stream.write(ANSWER)
        rig.pump()
        self.assertEqual(quick.data, ANSWER)
        slow.consumes = True
        slow.stream.consumed(len(slow.data))
        rig.pump()
        self.assertEqual(first[1].credits, 1)
        self.assertEqual(len(slow.data), sent + 16_384)

    def test_a_slow_origin(self) -> None:
        """An origin that does not read holds the upload back, and gets all of it when it reads."""
        rig = Rig()
        visitor = Visitor()
        origin = rig.ask(visitor, b"")
        rig.origin.consumes = False
        sent = 0
        while origin.stream.write(b"x" * 16_384):
            sent += 16_384
            rig.pump()
            self.assertLess(sent, 2_000_000)
        rig.origin.consumes = True
        rig.origin.stream.consumed(len(rig.origin.data))
        rig.pump()
        self.assertEqual((len(rig.origin.data), visitor.credits), (sent + 16_384, 1))

    def test_half_closed(self) -> None:
        """Either side may end first, and hears the other one to its end; then both streams are over."""
        for first, last in (("visitor", "origin"), ("origin", "visitor")):
            rig = Rig()
            visitor = Visitor()
            origin = rig.ask(visitor, REQUEST)
            sides = {"visitor": origin.stream, "origin": rig.origin.stream}
            sides[first].write(b"last words")
            sides[first].end()
            rig.pump()
            self.assertEqual((rig.origin.has_ended, visitor.has_ended), (first == "visitor", first == "origin"))
            sides[last].write(b"more")
            sides[last].end()
            rig.pump()
            self.assertTrue(rig.origin.has_ended and visitor.has_ended)
            self.assertEqual((visitor.errors, rig.origin.errors), ([], []))
            self.assertEqual(rig.counters.of("edge-1").now, 0)
            self.assertEqual(rig.tunnel.edge.connection.stream_count, 0)
            self.assertEqual(rig.link.agent.connection.stream_count, 0)

    def test_cut(self) -> None:
        """A cut on one side is one on the other."""
        rig = Rig()
        origin = rig.ask(Visitor(), REQUEST)
        origin.discard()
        rig.pump()
        self.assertIsInstance(rig.origin.errors[0], StreamReset)
        rig = Rig()
        visitor = Visitor()
        rig.ask(visitor, REQUEST)
        rig.origin.stream.reset()
        rig.pump()
        self.assertIsInstance(visitor.errors[0], StreamReset)
        self.assertEqual(rig.counters.of("edge-1").now, 0)

    def test_lost(self) -> None:
        """A tunnel or link that is lost takes with it what was in flight there, and nothing else."""
        rig = Rig()
        visitor = Visitor()
        rig.ask(visitor, REQUEST)
        rig.tunnel.edge.connection.lost(ConnectionLost("gone"))
        rig.pump()
        self.assertIsInstance(visitor.errors[0], StreamReset)
        rig = Rig()
        rig.ask(Visitor(), REQUEST)
        rig.link.agent.connection.lost(ConnectionLost("gone"))
        rig.tunnel.pump()
        self.assertIsInstance(rig.origin.errors[0], StreamReset)
        self.assertEqual((rig.counters.of("edge-1").now, rig.tunnel.edge.connection.stream_count), (0, 0))

    def test_lost_after_the_last_word(self) -> None:
        """What an origin had said to its end still reaches a slow visitor when the tunnel is lost then."""
        rig = Rig()
        visitor = Visitor(consumes=False)
        rig.ask(visitor, REQUEST)
        while rig.origin.stream.write(b"x" * 65_536):
            rig.pump()
        rig.origin.stream.end()
        rig.pump()
        visitor.consumes = True
        visitor.stream.consumed(100_000)  # not enough for credit to go back
        rig.tunnel.edge.connection.lost(ConnectionLost("gone"))
        visitor.stream.consumed(len(visitor.data) - 100_000)
        rig.link.pump()
        self.assertTrue(visitor.has_ended or visitor.errors)

    def test_not_reached(self) -> None:
        """What the agent says of its origin is what the first edge hears."""
        rig = Rig()
        rig.code = OpeningCode.ORIGIN_REFUSED
        visitor = Visitor()
        rig.ask(visitor, REQUEST)
        self.assertEqual(visitor.events, ["refused ORIGIN_REFUSED"])
        self.assertEqual(rig.counters.of("edge-1").now, 0)

    def test_suspicion(self) -> None:
        """Each request on a kept stream lets the tunnel be watched, as one on a new stream does."""
        rig = Rig()
        watched: list[object] = []
        origin = rig.ask(Visitor(), REQUEST)
        rig.origin.stream.write(ANSWER)
        rig.pump()
        origin.release(0.0)
        route = rig.second.route_of("app.example", "")
        assert route is not None
        (member,) = route.members_of("agent-1")
        load = member.load
        load.watch = watched.append
        load.standing = type(load.standing).TRUSTED
        rig.ask(Visitor(), REQUEST)
        self.assertEqual(watched[:1], [load])

    def test_too_much_for_a_link(self) -> None:
        """What waits for a link that takes nothing is bounded: then streams are cut, and the link stays."""
        rig = Rig(limits=Limits(max_queue_bytes=300_000, high_water_bytes=50_000))
        visitors = [Visitor(consumes=False) for _ in range(3)]
        for visitor in visitors:
            rig.ask(visitor, REQUEST)
        for _ in range(40):
            for _, receiver in rig.served:
                receiver.stream.write(b"x" * 16_384)
            rig.pump()
        self.assertLess(rig.link.agent.connection.unsent_bytes, 350_000)
        self.assertTrue(any(visitor.errors for visitor in visitors))


class _Asker(Visitor):
    """
    Asks one request after the other, as an edge does that keeps a stream only if the last one was heard.

    :ivar believed_too_soon: what was taken for an answer and said before the request was heard: how many requests had
        been heard, and asked.
    """

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.stream = stream
        stream.receiver = self
        self.asked = 1
        self.believed_too_soon: list[tuple[int, int]] = []

    def ask(self, request: bytes) -> None:
        """Ask, if the last request was heard."""
        if self.stream.peer_heard:
            self.stream.peer_heard = False
            self.asked += 1
            self.stream.write(request)

    def data_received(self, data: bytes) -> None:
        """Compare each byte, which says how many requests the agent had heard, with what is believed."""
        if self.asked > 1 and self.stream.peer_heard:
            self.believed_too_soon += [(heard, self.asked) for heard in data if heard < self.asked]
        self.stream.consumed(len(data))


class _Pipe:
    """One direction of a connection, in which bytes may be on their way."""

    def __init__(self, sender: End, receiver: End) -> None:
        self._sender = sender
        self._receiver = receiver
        self._data = b""

    def move(self, most: int = 1 << 30) -> None:
        """Let some bytes arrive."""
        self._data += self._sender.connection.data_to_send()
        data, self._data = self._data[:most], self._data[most:]
        if data:
            self._receiver.receive(data)

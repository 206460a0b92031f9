"""`wire.invariants`: what it finds."""

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from tests.wire.pair import End
from warp_twisted.wire.errors import TunnelClosed
from warp_twisted.wire.frames import INITIAL_WINDOW_BYTES, Role
from warp_twisted.wire.invariants import check_connection, check_stream
from warp_twisted.wire.limits import Limits
from warp_twisted.wire.states import StreamState
from warp_twisted.wire.streams import NO_CREDIT, Stream


class InvariantTests(SynchronousTestCase):
    """A connection that is sound passes; each thing that is spoilt is named."""

    def setUp(self) -> None:
        self.end = End(Role.SERVER, Limits(high_water_bytes=2**20))
        self.stream, _ = self.end.open(b"hello")
        self.queueing, _ = self.end.open(b"x" * (INITIAL_WINDOW_BYTES + 10))

    def assert_named(self, spoil: Callable[[Stream], None], sentence: str) -> None:
        """Spoil a sound connection, and expect the sentence."""
        self.setUp()
        check_connection(self.end.connection)
        spoil(self.stream)
        with self.assertRaises(AssertionError) as caught:
            check_connection(self.end.connection)
        self.assertIn(sentence, str(caught.exception))

    def test_copies_of_the_state(self) -> None:
        """Credit that does not fit the state is found, in both directions."""
        self.assert_named(lambda stream: setattr(stream, "credit", NO_CREDIT), "has credit -1")
        self.assert_named(lambda stream: setattr(stream, "receive_credit", NO_CREDIT), "receives with -1")
        self.assert_named(lambda stream: setattr(stream, "state", StreamState.LOCAL_ENDED), "has credit")

    def test_sums(self) -> None:
        """Sums that do not fit their parts are found."""
        self.assert_named(lambda stream: setattr(stream._outbox, "size", 1), "1 bytes are those of the outbox's frames")
        self.assert_named(lambda stream: setattr(stream._outbox, "queued", 1), "1 bytes wait in the streams' queues")
        self.assert_named(lambda stream: setattr(stream, "_queued", 1), "has 1 bytes in its queue")
        self.assert_named(lambda stream: setattr(stream, "is_acknowledged", True), "1 streams are not acknowledged")

    def test_queue_beside_credit(self) -> None:
        """A queue that waits although there is credit, and not for a turn, is found."""
        self.queueing.credit = 1
        with self.assertRaisesRegex(AssertionError, "queues with 1 of credit"):
            check_stream(self.queueing)
        self.queueing._outbox.wait(self.queueing, is_preferred=True)
        check_stream(self.queueing)

    def test_turns(self) -> None:
        """A stream that has two turns, or is known to wait and does not, is found."""
        outbox = self.queueing._outbox
        outbox.wait(self.queueing, is_preferred=True)
        outbox._round.append(self.queueing)
        with self.assertRaisesRegex(AssertionError, "nobody has two turns"):
            check_connection(self.end.connection)
        outbox._round.clear()
        with self.assertRaisesRegex(AssertionError, "open streams wait for turns"):
            check_connection(self.end.connection)

    def test_lost_connection(self) -> None:
        """A lost connection is sound when it holds nothing."""
        self.end.connection.lost(TunnelClosed())
        check_connection(self.end.connection)
        self.assertEqual((self.end.connection.stream_count, self.end.connection.unsent_bytes), (0, 0))

"""`wire.outbox`: frames in order, and who is told that there is room."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.wire.outbox import Outbox


class RecordingWriter:
    """Counts how often it was told, and may wait again at once."""

    def __init__(self, outbox: Outbox, *, waits_again: bool = False) -> None:
        self.outbox = outbox
        self.waits_again = waits_again
        self.told = 0

    def room_made(self) -> None:
        """Count, and wait again if asked to."""
        self.told += 1
        if self.waits_again:
            self.outbox.waiting[self] = None


class OutboxTests(SynchronousTestCase):
    """`Outbox`."""

    def setUp(self) -> None:
        self.wakes = 0
        self.outbox = Outbox(1000, 2000, self.wake)

    def wake(self) -> None:
        self.wakes += 1

    def test_wakes_once(self) -> None:
        """The first frame wakes, the next do not, until the outbox was emptied."""
        self.outbox.put(b"one")
        self.outbox.put(b"two")
        self.assertEqual((self.wakes, self.outbox.size), (1, 6))
        self.assertEqual((self.outbox.take(), self.outbox.size), (b"onetwo", 0))
        self.assertEqual(self.outbox.take(), b"")
        self.outbox.put(b"three")
        self.assertEqual(self.wakes, 2)

    def test_waiting_writers(self) -> None:
        """Taking tells each writer once; one that waits again is told the next time, not in a loop."""
        patient, eager = RecordingWriter(self.outbox), RecordingWriter(self.outbox, waits_again=True)
        self.outbox.waiting = {patient: None, eager: None}
        self.outbox.take()
        self.assertEqual((patient.told, eager.told), (0, 0))  # nothing was taken, so there is no more room than before
        for _ in range(2):
            self.outbox.put(b"x")
            self.outbox.take()
        self.assertEqual((patient.told, eager.told), (1, 2))

    def test_discard(self) -> None:
        """Discarding forgets frames and writers, who are not told."""
        writer = RecordingWriter(self.outbox)
        self.outbox.put(b"x")
        self.outbox.waiting[writer] = None
        self.outbox.discard()
        self.assertEqual((self.outbox.take(), self.outbox.size, writer.told), (b"", 0, 0))

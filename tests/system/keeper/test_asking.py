"""Tests of asking a keeper that is not there, or does not answer as one; `test_loop` asks one that does."""

import socket
import threading

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.keeper import asking as module
from warp_twisted.keeper.asking import NoKeeper, RequestFailed, ask
from warp_twisted.keeper.messages import Message


class AskingTests(SynchronousTestCase):
    """Whoever is at the other end."""

    def answered(self, *packets: bytes) -> str:
        """Return the path of a socket whose first visitor gets some packets and is let go."""
        path = str(self.mktemp())
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(path)
        listener.listen()

        def answer() -> None:
            with listener:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1000)
                    for packet in packets:
                        connection.send(packet)

        thread = threading.Thread(target=answer)
        thread.start()
        self.addCleanup(thread.join)
        return path

    def test_steps_and_end(self) -> None:
        """Steps are told as they come, and the end is returned."""
        steps: list[str] = []
        path = self.answered(b'{"is": "step", "what": "prepares"}', b'{"is": "done", "what": "handed over"}')
        answer = ask(path, Message("do", "restart"), steps.append)
        self.assertEqual((steps, answer.text("what")), (["prepares"], "handed over"))

    def test_failures(self) -> None:
        """Each says what is wrong."""
        for packets, error, reason in (
            ((b'{"is": "failed", "what": "it ended"}',), RequestFailed, "it ended"),
            ((), NoKeeper, "the keeper ended before it answered"),
            ((b"nonsense",), NoKeeper, "a message that is no JSON"),
        ):
            raised = self.assertRaises(error, ask, self.answered(*packets), Message("do", "restart"), print)
            self.assertIn(reason, str(raised))
        raised = self.assertRaises(NoKeeper, ask, "/nowhere/keeper.sock", Message("do", "restart"), print)
        self.assertIn(
            "No such file or directory; is the service running below a keeper, and may you ask it? Without", str(raised)
        )

    def test_keeper_that_stands_still(self) -> None:
        """Nobody waits for it for long: it is asked whether it is alive, and a sentence says what to do."""
        self.patch(module, "QUIET_SECONDS", 0.1)
        self.patch(module, "STATUS_SECONDS", 0.2)
        path = str(self.mktemp())
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(path)
            listener.listen()  # takes connections, and nobody reads them
            for word in ("status", "restart"):
                error = self.assertRaises(NoKeeper, ask, path, Message("do", word), print)
                self.assertIn("the keeper does not answer; look at the log of its unit", str(error))

    def test_long_step(self) -> None:
        """A keeper that is alive is waited for, however long a step takes."""
        self.patch(module, "QUIET_SECONDS", 0.05)
        path = str(self.mktemp())
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(path)
        listener.listen()

        def keep() -> None:
            with listener:
                first, _ = listener.accept()
                with first:
                    first.recv(1000)
                    for _ in range(3):
                        again, _ = listener.accept()
                        with again:
                            self.assertIn(b"status", again.recv(1000))
                            again.send(b'{"is": "status", "phase": "taking"}')
                    first.send(b'{"is": "done", "what": "handed over"}')

        thread = threading.Thread(target=keep)
        thread.start()
        self.addCleanup(thread.join)
        self.assertEqual(ask(path, Message("do", "restart"), print).text("what"), "handed over")

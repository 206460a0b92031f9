"""Tests of asking a keeper that is not there, or does not answer as one; `test_loop` asks one that does."""

import socket
import threading

from twisted.trial.unittest import SynchronousTestCase

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

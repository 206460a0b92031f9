"""`benchmarks.dns.questions` against a server that answers some, cuts some and forgets some."""

import socket
import threading

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.dns.questions import ask_steadily


class _Server(threading.Thread):
    """Answer a question by its name's first letter: f(ull), c(ut), e(mpty), anything else not at all."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def run(self) -> None:
        """Serve until closed."""
        while True:
            message, client = self._socket.recvfrom(512)
            kind = message[13:14]
            if kind == b"q":
                self._socket.close()
                return
            flags = {b"f": b"\x80\0", b"c": b"\x82\0", b"e": b"\x80\0"}.get(kind)
            answers = b"\0\0" if kind == b"e" else b"\0\1"
            if flags is not None:
                self._socket.sendto(message[:2] + flags + message[4:6] + answers + message[8:], client)


class AskingTests(SynchronousTestCase):
    """What comes of questions."""

    def test_kinds(self) -> None:
        """Only answers in full count as such; all answers have a wait, and the rest are unanswered."""
        server = _Server()
        server.start()
        asked = ask_steadily(server.port, ["full", "cut", "empty", "lost"], 40, 2000)
        ask_steadily(server.port, ["quit"], 1, 1000)
        server.join(10)
        self.assertEqual(asked.answered, {"full": 10})
        self.assertEqual((len(asked.waits), asked.unanswered), (30, 10))
        self.assertLess(max(asked.waits), 1)

"""Tests of `warp_edge_watch`: when an edge serves as before, and when it does worse."""

import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.roles.test_modules import loaded

_MODULE = loaded("warp_edge_watch")
_BEFORE = {"routes": 2, "answers": 1000, "answers_5xx": 10}


def _edge(**changes: int) -> Any:
    return _MODULE.Edge(**{"routes": 2, "answers": 0, "answers_5xx": 0, "starts": 0, **changes})


def _says(answers: Iterable[object]) -> Callable[[], Any]:
    """Return a function that answers one after the other, and raises those that are text."""
    left = list(answers)

    def ask() -> object:
        answer = left.pop(0)
        if isinstance(answer, str):
            raise _MODULE.AdminError(answer)
        return answer

    return ask


def _no_wait(_: float) -> None:
    pass


def _answer(keeper: socket.socket, answer: bytes) -> None:
    connection, _ = keeper.accept()
    with connection:
        connection.recv(1000)
        connection.send(answer)


class WatchTests(SynchronousTestCase):
    """An edge that answers what a test says, each second."""

    def watch(self, *answers: object) -> Any:
        """Watch an edge that answers so after it served."""
        return _MODULE.watch(_says(answers), _BEFORE, _edge(), len(answers), 0.1, _no_wait)

    def assert_worse(self, said: str, *answers: object) -> None:
        """Check that an edge that answers so does worse, for a reason."""
        error = self.assertRaises(_MODULE.Worse, self.watch, *answers)
        self.assertIn(said, str(error))

    def test_waits_until_it_serves(self) -> None:
        """One that is not ready, or whose routes are not all back, is asked again."""
        ask = _says(["not ready", _edge(routes=1), _edge(routes=3)])
        self.assertEqual(_MODULE.serve_as_before(ask, 2, 60.0, _no_wait).routes, 3)

    def test_does_not_serve(self) -> None:
        """When the time is over, the reason is what it said last."""
        for answer, said in (("no edge answers", "no edge answers"), (_edge(routes=1), "1 routes have tunnels, and 2")):
            error = self.assertRaises(_MODULE.Worse, _MODULE.serve_as_before, _says([answer]), 2, 0.0, _no_wait)
            self.assertIn(said, str(error))

    def test_another_process(self) -> None:
        """One whose keeper has put another process in its place has ended, though systemd saw nothing of it."""
        first = _edge(process=7)
        for process, is_worse in ((7, False), (0, False), (8, True)):
            answers = _says([_edge(process=process)])
            if is_worse:
                error = self.assertRaises(_MODULE.Worse, _MODULE.watch, answers, _BEFORE, first, 1, 0.1, _no_wait)
                self.assertIn("ended and was started again", str(error))
            else:
                self.assertEqual(_MODULE.watch(answers, _BEFORE, first, 1, 0.1, _no_wait).process, process)

    def test_keeper(self) -> None:
        """The keeper says which process serves; one that says something else, or is not there, counts as unknown."""
        for answer, expected in ((b'{"is": "status", "serving": 7}', 7), (b"[]", 0), (b"?", 0)):
            path = str(self.mktemp())
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as keeper:
                keeper.bind(path)
                keeper.listen()
                thread = threading.Thread(target=_answer, args=(keeper, answer))
                thread.start()
                self.assertEqual(_MODULE.process(path), expected)
                thread.join()
        self.assertEqual(_MODULE.process("/nowhere/keeper.sock"), 0)

    def test_well(self) -> None:
        """One that serves, with as few errors as before, does well; a few more requests say nothing yet."""
        last = _edge(answers=500, answers_5xx=20)
        self.assertEqual(self.watch(_edge(answers=40, answers_5xx=40), last), last)

    def test_worse(self) -> None:
        """A restart, readiness lost, routes lost and many more errors are worse, and end the watch."""
        self.assert_worse("it ended and was started again", _edge(), _edge(starts=1))
        self.assert_worse("it is not ready any more: no edge", _edge(), "no edge answers")
        self.assert_worse("1 routes have tunnels, and 2 had before", _edge(routes=1))
        self.assert_worse(
            "20% of requests are answered with 5xx, and 1% were before", _edge(answers=100, answers_5xx=20)
        )

    def test_metrics(self) -> None:
        """Requests are counted over hostnames, by the first digit of their status."""
        text = (
            "# TYPE warp_edge_requests_total counter\n"
            'warp_edge_requests_total{hostname="a.warp.example",code="2xx"} 1.2e+03\n'
            'warp_edge_requests_total{code="5xx",hostname="b.warp.example"} 7.0\n'
            'warp_edge_bytes_total{hostname="a",direction="in"} 99.0\n'
        )
        self.assertEqual(_MODULE.answers(text), (1207, 7))

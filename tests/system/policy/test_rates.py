"""Tests of a rate of requests at the edge, on real sockets, asked for much more than it allows."""

import re

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import LoopingCall

from tests.case import reactor
from tests.system.edge.harness import RawConnection, get, status_of
from tests.system.edge.test_policy import PolicyTestCase

_RATE, _BURST, _SECONDS = 50, 50, 3.0


def is_whole(answer: bytes) -> bool:
    """Whether an answer has come with its body."""
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"\r\nContent-Length: (\d+)", head)
    return bool(end) and length is not None and len(body) >= int(length[1])


class RequestRateTests(PolicyTestCase):
    """`50/s` of requests."""

    text = f"""
defaults:
  limits: [{{name: rate, rate: {_RATE}/s, burst: {_BURST}}}]
"""

    async def prepare(self) -> None:
        await super().prepare()
        self.idle: list[RawConnection] = []

    async def visit(self) -> int:
        """Ask on a connection that is free, or on a new one; return the status."""
        client = self.idle.pop() if self.idle else await self.edge.visitor()
        client.send(get())
        await client.when(lambda: is_whole(client.received))
        self.idle.append(client)
        return status_of(client.take())

    async def test_a_flood(self) -> None:
        """Of ten times as many requests as allowed those pass that the rate lets, and the origin sees those."""
        begun = reactor.seconds()
        asked: list[Deferred[int]] = []

        def ask() -> None:
            if reactor.seconds() - begun >= _SECONDS:
                asking.stop()
            else:
                asked.extend(Deferred.fromCoroutine(self.visit()) for _ in range(5))

        asking = LoopingCall(ask)
        await asking.start(0.01)
        statuses = await gatherResults(asked)
        seconds = reactor.seconds() - begun
        passed = statuses.count(200)
        self.assertEqual(passed + statuses.count(429), len(statuses))
        self.assertEqual(self.edge.origin.seen.count(b"GET / HTTP/1.1\r\n"), passed)
        self.assertLessEqual(passed, _BURST + _RATE * seconds + 1)
        self.assertGreaterEqual(passed, _BURST + _RATE * (_SECONDS - 1))
        self.assertGreater(len(statuses), 2 * passed)

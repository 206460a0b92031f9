"""
A swarm of agents: thousands of tunnels to one edge from one process, each with its own mTLS handshake and hello.

A program of its own: python -m benchmarks.load.swarm PLAN.json. The tunnels are the product's (`warp_twisted.tunnel`);
behind them is an origin that answers each request with 1 KiB. It says how far it is, prints one line when all are
registered, and keeps them open until it is ended. Where an edge hands over, each is opened again, as a real agent does,
and a line says when all are registered once more. The times printed, and those in the plan's file of times, are
CLOCK_MONOTONIC, which is one clock for all processes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from ssl import SSLContext
from typing import Any

import msgspec
from msgspec import structs
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import Cooperator, deferLater

from benchmarks.processes import raise_file_limit
from warp_twisted.tunnel.contexts import agent_context
from warp_twisted.tunnel.endpoints import dial
from warp_twisted.tunnel.protocol import TunnelProtocol
from warp_twisted.tunnel.turns import Turn
from warp_twisted.wire.control import Accepted, ControlMessage, Drain, Hello, Refused, RouteOffer
from warp_twisted.wire.errors import WireError
from warp_twisted.wire.preamble import OpeningCode, encode_opening
from warp_twisted.wire.streams import Stream

# How many tunnels are between their dial and their acceptance at once: enough to keep both ends busy, so few that the
# time of each says more about the edge than about the queue.
_PARALLEL_DIALS = 8
_MOST_DIALS = 5
_DIAL_AGAIN_SECONDS = 1.0
_OTHER_SLOT = 16  # of an agent's two for each tunnel, as it has both while it moves
_PROGRESS_EVERY = 1000

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + bytes(1024)
REGISTERED = r"registered \d+ tunnels from (?P<began>[0-9.]+) to (?P<ended>[0-9.]+), (?P<failed_dials>\d+) dials failed"
MOVED = r"moved (?P<moved>\d+) tunnels from (?P<first>[0-9.]+) to (?P<last>[0-9.]+)"
FAILED = r"failed: (?P<reason>.*)"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the swarm is to do; written as JSON by whoever starts it.

    :ivar agents: for each agent, its id and the file with its certificate chain.
    :ivar hostnames: for each agent, what it serves.
    :ivar tunnels: how many each agent opens.
    :ivar times_file: written when all are registered: for each tunnel, in the order in which they were accepted, when
        it was dialed, when its handshake was done and its hello sent, and when the edge's acceptance came.
    """

    port: int
    root_pem: str
    key_file: str
    agents: list[tuple[str, str]]
    hostnames: list[list[str]]
    tunnels: int
    times_file: str


class _Swarm:
    """The delegate of every tunnel: counts those that are accepted, and tells when they all are."""

    def __init__(self, plan: Plan, reactor: Any) -> None:
        self._plan = plan
        self._reactor = reactor
        self._turn = Turn(reactor)
        self._times: list[tuple[float, float, float]] = []
        self._began_at = 0.0
        self._failed_dials = 0
        self._move_began_at = 0.0
        self._moving = self._moved = 0
        self._dialing = DeferredSemaphore(_PARALLEL_DIALS)

    def start(self) -> None:
        """Begin to dial, some at a time."""
        self._began_at = time.monotonic()
        cooperator = Cooperator(scheduler=lambda work: self._reactor.callLater(0, work))
        work = self._dials()
        for _ in range(_PARALLEL_DIALS):
            cooperator.cooperate(work)

    def _dials(self) -> Iterator[Deferred[None]]:
        """Yield for each tunnel when it is accepted."""
        for (agent, chain_file), hostnames in zip(self._plan.agents, self._plan.hostnames, strict=True):
            context = agent_context(
                root_pem=self._plan.root_pem, chain_file=Path(chain_file), key_file=Path(self._plan.key_file)
            )
            routes = [RouteOffer(id=number, hostname=hostname) for number, hostname in enumerate(hostnames)]
            for slot in range(self._plan.tunnels):
                hello = Hello(
                    version=1, software="warp-benchmark", agent_id=agent, session="swarm", slot=slot, routes=routes
                )
                yield Deferred.fromCoroutine(self._open(agent, context, hello))

    async def _open(self, agent: str, context: SSLContext, hello: Hello) -> None:
        """Open one tunnel and wait until it is accepted; as a real agent, dial again when nobody answers in time."""
        # Some addresses, so that no limit per address is reached.
        source = f"127.0.2.{hash(agent) % 50 + 1}"
        endpoint = TCP4ClientEndpoint(self._reactor, "127.0.0.1", self._plan.port, bindAddress=(source, 0))
        for attempt in range(_MOST_DIALS):
            member = _Member(self, agent, context, hello)
            try:
                await dial(
                    endpoint,
                    "127.0.0.1",
                    context=context,
                    delegate=member,
                    reactor=self._reactor,
                    turn=self._turn,
                )
            except Exception as error:  # the reason is told, whatever it is
                self._failed_dials += 1
                if attempt == _MOST_DIALS - 1:
                    self.fail(str(error))
                await deferLater(self._reactor, _DIAL_AGAIN_SECONDS)
            else:
                await member.accepted
                return

    def move(self, member: _Member) -> None:
        """Open a tunnel again, as the edge has asked."""
        if not self._moving:
            self._move_began_at = time.monotonic()
        self._moving += 1
        Deferred.fromCoroutine(self._move(member)).addErrback(lambda failure: self.fail(failure.getErrorMessage()))

    async def _move(self, member: _Member) -> None:
        hello = structs.replace(member.hello, slot=member.hello.slot ^ _OTHER_SLOT)
        async with self._dialing:  # one process has all agents: thousands of its own handshakes would hold up answers
            await self._open(member.agent, member.context, hello)
        self._moved += 1
        if self._moved == self._moving == len(self._plan.agents) * self._plan.tunnels:
            print(f"moved {self._moved} tunnels from {self._move_began_at} to {time.monotonic()}", flush=True)
            self._moved = self._moving = 0

    def accepted(self, dialed_at: float, greeted_at: float) -> None:
        """Count a tunnel that the edge accepted."""
        if self._moving:
            return
        now = time.monotonic()
        self._times.append((dialed_at, greeted_at, now))
        count = len(self._times)
        if count == len(self._plan.agents) * self._plan.tunnels:
            Path(self._plan.times_file).write_bytes(msgspec.json.encode(self._times))
            print(
                f"registered {count} tunnels from {self._began_at} to {now}, {self._failed_dials} dials failed",
                flush=True,
            )
        elif count % _PROGRESS_EVERY == 0:
            print(f"{count} tunnels after {now - self._began_at:.1f} s", flush=True)

    def fail(self, reason: str) -> None:
        """Say what went wrong; whoever waits for the swarm reads it."""
        print(f"failed: {reason}", flush=True)


class _Member:
    """The delegate of one tunnel."""

    __slots__ = ("_dialed_at", "_greeted_at", "_swarm", "accepted", "agent", "context", "hello", "is_left")

    def __init__(self, swarm: _Swarm, agent: str, context: SSLContext, hello: Hello) -> None:
        self._swarm = swarm
        self.agent = agent
        self.context = context
        self.hello = hello
        self.is_left = False
        self._dialed_at = time.monotonic()
        self._greeted_at = 0.0
        self.accepted: Deferred[None] = Deferred()

    def tunnel_opened(self, tunnel: TunnelProtocol) -> None:
        """Introduce the agent."""
        self._greeted_at = time.monotonic()
        tunnel.send_control(self.hello)

    def control_received(self, tunnel: TunnelProtocol, message: ControlMessage) -> None:
        """Note that the edge accepted, or complain."""
        if isinstance(message, Accepted):
            self._swarm.accepted(self._dialed_at, self._greeted_at)
            self.accepted.callback(None)
        elif isinstance(message, Refused):
            self._swarm.fail(f"{message.code}: {message.reason}")

    def stream_opened(self, tunnel: TunnelProtocol, stream: Stream, route_id: int) -> None:
        """Answer visitors."""
        stream.receiver = _Origin(stream)
        stream.write(encode_opening(OpeningCode.OPENED))

    def drain_received(self, tunnel: TunnelProtocol, drain: Drain) -> None:
        """The edge hands over, or is being ended."""
        if drain.successor and not self.is_left:
            self.is_left = True
            self._swarm.move(self)

    def tunnel_hung_up(self, tunnel: TunnelProtocol) -> None:
        """Its end follows."""

    def tunnel_lost(self, tunnel: TunnelProtocol, error: WireError) -> None:
        """Complain; a swarm that shrinks is not what is measured."""
        if not self.is_left:
            self._swarm.fail(f"a tunnel was lost: {error}")


class _Origin:
    """Answers each request that comes by one stream; none has a body."""

    __slots__ = ("_head", "_stream")

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._head = b""

    def data_received(self, data: bytes) -> None:
        """Answer when a head is whole."""
        self._stream.consumed(len(data))
        *heads, self._head = (self._head + data).split(b"\r\n\r\n")
        for _ in heads:
            self._stream.write(ANSWER)

    def end_received(self) -> None:
        """The edge has no more requests."""
        self._stream.end()

    def credit_received(self) -> None:
        """Answers are short."""

    def stream_lost(self, error: WireError) -> None:
        """The edge has given the stream up."""


def main(plan_file: str) -> None:
    """Run the swarm until it is ended."""
    raise_file_limit()
    plan = msgspec.json.decode(Path(plan_file).read_bytes(), type=Plan)
    swarm = _Swarm(plan, reactor)
    reactor.callWhenRunning(swarm.start)
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1])

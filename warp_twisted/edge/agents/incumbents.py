"""
Whether the tunnels that a new one would replace are still alive: who answers a ping within a second stays.

An agent that comes back has left dead tunnels behind: they answer nothing, and make way. A second process with the same
identity (a copied state directory, a cloned machine) finds the first one answering; without this the two replaced
each other for ever, and visitors met the gaps. It decides nothing about who may register.
"""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from warp_twisted.edge.agents.registrations import EdgeTunnel
from warp_twisted.edge.errors import OfferRefused
from warp_twisted.tunnel.step_queue import StepQueue
from warp_twisted.wire.control import Notice

ANSWER_SECONDS = 1.0
WARN_SECONDS = 600.0  # between two warnings that are about one tunnel


class Replaceable(Protocol):
    """What is asked of the table of tunnels; `registrations.Registrations` answers."""

    def replaced_by(self, agent: str, slot: int, session: str) -> list[EdgeTunnel]:
        """Return the tunnels that a new one would replace."""


class Incumbents:
    """
    Asks tunnels whether they are alive.

    :param clock: the reactor.
    :param tunnels: the table of tunnels.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, tunnels: Replaceable) -> None:
        self._clock = clock
        self._tunnels = tunnels
        self._answers = StepQueue(clock)  # one ping may be answered for many who wait; each is then told why it goes

    async def make_way(self, agent: str, slot: int, session: str, address: str) -> None:
        """
        Wait until it is known that whatever a new tunnel would replace is dead; at once if that is nothing.

        A tunnel that its agent is draining makes way as well: the agent has said that it leaves. So does one that the
        agent was told to leave, and one whose agent has hung up, and that waits for its end among many.

        :param address: from where the new tunnel comes.
        :raises OfferRefused: if one answers.
        """
        dead: set[EdgeTunnel] = set()
        while True:
            replaced = self._tunnels.replaced_by(agent, slot, session)
            asked = [
                tunnel
                for tunnel in replaced
                if tunnel not in dead
                and not tunnel.is_draining
                and not tunnel.is_left
                and not tunnel.protocol.has_hung_up
            ]
            if not asked:
                return
            alive = await self._first_to_answer(asked)
            if alive is not None and not alive.protocol.is_over:
                self._warn(alive, address)
                raise OfferRefused(
                    "copied",
                    f"agent {agent} is connected from {alive.address} already, and answers there; if this machine has a"
                    " copy of that one's state directory, remove the copy and enroll this one with a token of its own",
                )
            dead.update(asked)

    def _warn(self, alive: EdgeTunnel, address: str) -> None:
        """Tell the operators of the edge and of the agent that stays, now and then."""
        now = self._clock.seconds()
        if alive.warned_at is not None and now - alive.warned_at < WARN_SECONDS:
            return
        alive.warned_at = now
        self._log.warn(
            "agent {agent} runs twice: its tunnel from {address} answers, so another process at {other} is refused",
            agent=alive.agent, address=alive.address, other=address,
        )  # fmt: skip
        text = f"a copy of this agent's identity at {address} was refused; remove it there, or revoke this agent"
        alive.protocol.send_control(Notice(code="copied", text=text))

    def _first_to_answer(self, tunnels: Sequence[EdgeTunnel]) -> "Deferred[EdgeTunnel | None]":
        """Return the first that answers, None if none does in time."""
        found: Deferred[EdgeTunnel | None] = Deferred()
        time_out = self._clock.callLater(ANSWER_SECONDS, found.callback, None)

        def answered(tunnel: EdgeTunnel) -> None:
            if time_out.active():
                time_out.cancel()
                self._answers.take(tunnel.agent, partial(found.callback, tunnel))

        for tunnel in tunnels:
            tunnel.protocol.ping(partial(answered, tunnel))
        return found

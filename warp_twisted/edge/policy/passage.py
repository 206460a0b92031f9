"""
One connection before the policy: counted when the visitor connects, and again for each hostname that it is used for.

Nothing is read of the visitor for it, and nothing waits. What is not let in has heard of nobody but the edge.
"""

from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.judging.connections import ConnectionLimits, Counts
from warp_twisted.policy.judging.program import Program
from warp_twisted.policy.verdict import Action, Verdict
from warp_twisted.policy.visitor import Visitor


class Passage:
    """
    The way of one connection through the limits of connections.

    :ivar source: who connects.
    """

    __slots__ = ("_counts", "_entered", "_policy", "_scheme", "source")

    def __init__(self, policy: PolicyInForce, source: Visitor, scheme: str) -> None:
        self._policy = policy
        self._scheme = scheme
        self._counts = Counts()
        self._entered = (0, "")  # number of the limits, and the hostname, that let it pass last
        self.source = source

    def arrive(self, now: float) -> Verdict | None:
        """
        Count the connection before anything is known but where it comes from.

        :returns: why it is not let in, already counted; None if it is.
        """
        loaded = self._policy.loaded
        limits = loaded.compiled.on_arrival if loaded is not None else None
        return self._pass(limits, "", now) if limits is not None else None

    def ask_for(self, hostname: str, now: float) -> Verdict | None:
        """
        Count the connection for the hostname that its visitor names in the handshake, whether or not it is served.

        :returns: as `arrive`.
        """
        loaded = self._policy.loaded
        program = loaded.compiled.program_for(hostname) if loaded is not None else None
        return self.enter(program, hostname, now) if program is not None else None

    def enter(self, program: Program, hostname: str, now: float) -> Verdict | None:
        """
        Count the connection for a hostname, once for each that it is used for in turn.

        :returns: as `arrive`.
        """
        limits = program.of_connections
        if limits is None or self._entered == (limits.number, hostname):
            return None
        verdict = self._pass(limits, hostname, now)
        if verdict is None:
            self._entered = limits.number, hostname
        return verdict

    def leave(self) -> None:
        """The connection is over, or is not let in: give back what was taken for it."""
        self._counts.give_back()

    def _pass(self, limits: ConnectionLimits, hostname: str, now: float) -> Verdict | None:
        facts = Facts(hostname, b"", b"/", self._scheme, self.source)
        verdict = limits.judge(facts, self._counts, now)
        if verdict.objection is not None or verdict.would:
            self._policy.count(verdict)
        return verdict if verdict.action is Action.DENY else None

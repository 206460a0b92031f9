"""
Why an agent cannot do its work: the sentences that are read by those who start it.

`exit_code` is what `warp up` exits with: 1 it failed, 3 no edge answers, 4 the fleet refuses this agent.
"""

from typing import ClassVar

from warp_twisted.errors import WarpError


class AgentError(WarpError):
    """The agent cannot work."""

    exit_code: ClassVar[int] = 1


class StateBroken(AgentError):
    """The state directory cannot be used."""


class StateInUse(AgentError):
    """Another agent uses this state directory."""


class NotEnrolled(AgentError):
    """The agent has no certificate yet, and no join token to get one with."""


class NoEdge(AgentError):
    """No edge is known or none answers."""

    exit_code = 3


class EnrollmentRefused(AgentError):
    """The fleet does not take this agent."""

    exit_code = 4


class NotAdmitted(AgentError):
    """An edge answers and does not take this agent as things are; that may change."""


class AgentRefused(AgentError):
    """The fleet has cut this agent off; only a new join token lets it in again."""

    exit_code = 4

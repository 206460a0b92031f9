"""
Why an agent cannot do its work: the sentences that are read by those who start it.

`exit_code` is what `warp up` and the service exit with: 1 it failed, 4 the agent was revoked. What may pass is no
reason to exit: an edge that is away, a limit that is reached, a name that is not allowed yet.
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


class EnrollmentRefused(AgentError):
    """
    The fleet does not take this agent now.

    :param code: the edge's word for programs.
    :param retry_seconds: after which the same request may succeed; 0: not before something has changed.
    """

    def __init__(self, reason: str, code: str = "", retry_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.code = code
        self.retry_seconds = retry_seconds


class NotAdmitted(AgentError):
    """An edge answers and does not take this agent as things are; that may change."""


class AgentRefused(AgentError):
    """The fleet has cut this agent off; only a new join token lets it in again."""

    exit_code = 4

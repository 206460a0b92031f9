"""What the table of `handover` is made of: phases, events, and the actions that come out of it."""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from warp_twisted.keeper.messages import Message


class Phase(Enum):
    """What is going on."""

    STARTING = "starting"  # nobody serves; a process prepares or takes
    SERVING = "serving"
    PREPARING = "preparing"  # from here on a successor beside the one that serves
    RELEASING = "releasing"
    TAKING = "taking"
    WATCHING = "watching"  # the successor serves; the old one drains, and would resume
    GOING_BACK = "going back"  # the successor is being ended; when it is gone, the old one resumes
    REPLACING = "replacing"  # a process that takes no part in hand-overs is being ended; another follows it
    PAUSED = "paused"  # nobody serves; after a pause another process is started
    STOPPING = "stopping"


class Event(Enum):
    """What can happen."""

    ASKED = "a hand-over is asked for"
    PREPARED = "the successor is prepared"
    RELEASED = "the serving process released what one alone may hold"
    REFUSED = "the serving process does not release it"
    TAKEN = "the successor serves"
    SUCCESSOR_ENDED = "the successor ended"
    SERVING_ENDED = "the serving process ended"
    DRAINING_ENDED = "a draining process ended"
    TIME_IS_UP = "the time of this phase is up"
    STOP = "everything is to stop"


@dataclass(frozen=True, slots=True)
class Launch:
    """
    How a serving process is started.

    :ivar python: the interpreter that the keeper of the same release runs with.
    :ivar command: program and arguments.
    :ivar mark: whatever else it starts with, in short: a process of another mark is another.
    """

    python: str
    command: tuple[str, ...]
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """Start a process under a number; numbers are never used again."""

    child: int
    launch: Launch


@dataclass(frozen=True, slots=True)
class Tell:
    """Send a message to a process."""

    child: int
    message: Message


@dataclass(frozen=True, slots=True)
class End:
    """Ask a process to end; kill it after some seconds. 0: at once; None: never."""

    child: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Wait:
    """Say when so much time is up, and forget the wait before; None: there is nothing to wait for."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """Something happened that an operator may want to know; nothing has ended by it."""

    what: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The hand-over has ended, one way or the other; or a start that nobody asked for."""

    what: str
    is_good: bool
    old: int | None = None
    new: int | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """Another process serves from now on."""


@dataclass(frozen=True, slots=True)
class Renew:
    """Go on with the keeper's own code of that release, if this is another."""

    launch: Launch


@dataclass(frozen=True, slots=True)
class Exit:
    """Nothing is left to keep."""

    status: int


Action: TypeAlias = Start | Tell | End | Wait | Step | Outcome | Ready | Renew | Exit

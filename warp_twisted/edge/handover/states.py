"""
A serving process while another takes over from it, or it from another: which event leads from which state to which.

All that decides what a process has, and what it does next, is here; `HOLDS` says it in words that `docs/operations.md`
repeats. A word of the keeper that a state does not take changes nothing and is answered with `refused`; what a process
itself reports too late, as a resume has come between, is passed over.
"""

from enum import Enum


class State(Enum):
    """How far a process is."""

    PREPARING = "preparing"  # it reads and judges everything, and has nothing
    PREPARED = "prepared"
    TAKING = "taking"  # it has the registry and new tunnels, and waits for those of the one before
    SERVING = "serving"
    RELEASING = "releasing"  # the registry's file is being closed
    RELEASED = "released"  # it serves visitors and DNS by the tunnels that it has
    MOVING = "moving"  # its agents open tunnels to the next process
    DRAINING = "draining"  # it finishes what it has
    RESUMING = "resuming"  # the next process is no more: it takes everything back
    ENDED = "ended"


class Event(Enum):
    """What may happen: words of the keeper, what the process itself reports, and the end of the keeper."""

    TAKE = "take"
    RELEASE = "release"
    MOVE = "move"
    DRAIN = "drain"
    RESUME = "resume"
    PREPARED = "everything is judged"
    TAKEN = "visitors are served"
    GAVE_UP = "it cannot prepare, or not take"
    RELEASED = "the registry's file is closed"
    KEPT = "the registry's file cannot be released"
    RESUMED = "everything is taken back"
    DRAINED = "everything is finished"
    KEEPER_LOST = "the keeper is gone"


WORDS = {event.value: event for event in (Event.TAKE, Event.RELEASE, Event.MOVE, Event.DRAIN, Event.RESUME)}


class Action(Enum):
    """What a transition makes happen; one is finished before the next begins."""

    NONE = "nothing"
    REFUSE = "say that this state does not take that word"
    SAY_PREPARED = "say prepared"
    TAKE = "take the registry and tunnels, then visitors"
    SAY_SERVING = "say serving"
    RELEASE = "give up the registry and new tunnels"
    SAY_RELEASED = "say released, and how many tunnels and hostnames there are"
    SAY_KEPT = "say refused, and why the registry is kept"
    MOVE = "ask agents to open tunnels to the next process"
    DRAIN = "take no visitors, and finish those that there are"
    RESUME = "take everything back"
    SAY_RESUMED = "say resumed"
    FAIL = "say failed, and end with status 1"
    END = "end"
    ABORT = "end at once, so that the registry is free for whoever starts next"


_S, _E, _A = State, Event, Action

TRANSITIONS: dict[tuple[State, Event], tuple[State, Action]] = {
    (_S.PREPARING, _E.PREPARED): (_S.PREPARED, _A.SAY_PREPARED),
    (_S.PREPARING, _E.GAVE_UP): (_S.ENDED, _A.FAIL),
    (_S.PREPARED, _E.TAKE): (_S.TAKING, _A.TAKE),
    (_S.TAKING, _E.TAKEN): (_S.SERVING, _A.SAY_SERVING),
    (_S.TAKING, _E.GAVE_UP): (_S.ENDED, _A.FAIL),
    (_S.SERVING, _E.RELEASE): (_S.RELEASING, _A.RELEASE),
    (_S.SERVING, _E.RESUME): (_S.SERVING, _A.SAY_RESUMED),
    (_S.RELEASING, _E.RELEASED): (_S.RELEASED, _A.SAY_RELEASED),
    (_S.RELEASING, _E.KEPT): (_S.SERVING, _A.SAY_KEPT),
    (_S.RELEASING, _E.RESUME): (_S.RESUMING, _A.RESUME),
    (_S.RELEASED, _E.MOVE): (_S.MOVING, _A.MOVE),
    (_S.RELEASED, _E.DRAIN): (_S.DRAINING, _A.DRAIN),
    (_S.RELEASED, _E.RESUME): (_S.RESUMING, _A.RESUME),
    (_S.MOVING, _E.DRAIN): (_S.DRAINING, _A.DRAIN),
    (_S.MOVING, _E.RESUME): (_S.RESUMING, _A.RESUME),
    (_S.DRAINING, _E.RESUME): (_S.RESUMING, _A.RESUME),
    (_S.DRAINING, _E.DRAINED): (_S.ENDED, _A.END),
    (_S.RESUMING, _E.RESUME): (_S.RESUMING, _A.NONE),
    (_S.RESUMING, _E.RESUMED): (_S.SERVING, _A.SAY_RESUMED),
}

# What a process has in each state: the registry's lock, new tunnels, new visitors and DNS.
HOLDS: dict[State, tuple[bool, bool, bool]] = {
    _S.PREPARING: (False, False, False),
    _S.PREPARED: (False, False, False),
    _S.TAKING: (True, True, False),
    _S.SERVING: (True, True, True),
    _S.RELEASING: (True, True, True),
    _S.RELEASED: (False, False, True),
    _S.MOVING: (False, False, True),
    _S.DRAINING: (False, False, False),
    _S.RESUMING: (False, False, False),
    _S.ENDED: (False, False, False),
}


def step(state: State, event: Event) -> tuple[State, Action]:
    """Return what an event leads to: the next state, and what is to be done."""
    found = TRANSITIONS.get((state, event))
    if found is not None:
        return found
    if event is Event.KEEPER_LOST:
        return State.ENDED, Action.ABORT if state is not State.ENDED else Action.NONE
    return state, Action.REFUSE if event.value in WORDS else Action.NONE

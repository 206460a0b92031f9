"""
A visitor's connection and an exchange that hold each change of their state to the tables of `edge.visitors.states`.
"""

from typing import Any

from warp_twisted.edge.exchange.exchange import Exchange
from warp_twisted.edge.exchange.states import EXCHANGE_TRANSITIONS
from warp_twisted.edge.visitors.plain import PlainVisitor
from warp_twisted.edge.visitors.states import VISITOR_TRANSITIONS

_VISITOR_STEPS = {(before, after) for (before, _), after in VISITOR_TRANSITIONS.items()}
_EXCHANGE_STEPS = {(before, after) for (before, _), after in EXCHANGE_TRANSITIONS.items()}


class Watched(PlainVisitor):
    """A connection whose changes of state are held to the table."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "state":
            before = getattr(self, "state", value)
            assert before is value or (before, value) in _VISITOR_STEPS, f"{before} -> {value}"
        super().__setattr__(name, value)


class WatchedExchange(Exchange):
    """An exchange whose changes of state are held to the table."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "state":
            assert self.state is value or (self.state, value) in _EXCHANGE_STEPS, f"{self.state} -> {value}"
        super().__setattr__(name, value)

"""
Which of an agent's hostnames other agents serve as well, as its edges say; told when that changes.

Only for people: nothing of the agent depends on it.
"""

from collections.abc import Callable

from warp_twisted.agent.events import Event, Shared
from warp_twisted.wire.control import Accepted


class Sharing:
    """
    What the edges said last.

    :param observe: is told of changes.
    """

    def __init__(self, observe: Callable[[Event], None]) -> None:
        self._observe = observe
        self._last = Shared(group="", hostnames={})

    def accepted(self, message: Accepted) -> None:
        """Take what an edge says to a hello or to new routes."""
        others = {name: message.others[route] for route, name in message.hostnames.items() if route in message.others}
        shared = Shared(group=message.group, hostnames=others)
        if others and shared != self._last:
            self._observe(shared)
        self._last = shared

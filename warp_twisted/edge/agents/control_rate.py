"""
How many control messages one agent may send: a purse that fills up again.

What a message costs the edge is not what it costs the agent: a certificate is signed, the registry is written, a line
is logged. An agent that means well sends a few messages a minute, and one for each route when all its origins go down
at once.
"""

from warp_twisted.wire.control import ControlMessage, Hello, RenewRequest, RoutesChanged

BURST = 1_200.0  # a change of health of the most routes that settings can allow, and some more
PER_SECOND = 20.0
_PRICES: dict[type[ControlMessage], float] = {Hello: 20.0, RoutesChanged: 20.0, RenewRequest: 40.0}


class ControlRate:
    """
    The purse of one tunnel.

    :param now: an instant of any clock that only goes forward.
    """

    __slots__ = ("_at", "_left")

    def __init__(self, now: float) -> None:
        self._left = BURST
        self._at = now

    def allows(self, message: ControlMessage, now: float) -> bool:
        """Take the price of a message, and say whether it could be paid."""
        left = min(BURST, self._left + max(0.0, now - self._at) * PER_SECOND)
        self._at = now
        price = _PRICES.get(type(message), 1.0)
        self._left = left - price if left >= price else left
        return left >= price

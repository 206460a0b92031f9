"""
Who sends requests on one connection: its address, and which lists of addresses hold it.

Made once a connection, so that each list is searched once a connection too.
"""

from warp_twisted.policy.sources.prefixes import Addresses

MAX_REMEMBERED = 1_000  # sets; a connection that sees many policies begins anew


class Visitor:
    """
    One visitor.

    :ivar address: in its normal form, IPv4-mapped addresses as IPv4.
    :ivar network: what limits count by: an IPv4 address, or an IPv6 /64.
    """

    __slots__ = ("_is_in", "address", "network")

    def __init__(self, address: str, network: str) -> None:
        self.address = address
        self.network = network
        self._is_in: dict[int, bool] = {}

    def is_in(self, number: int, addresses: Addresses) -> bool:
        """
        Whether a set holds the address; asked of the set once.

        :param number: of the set, which no other set ever has: what is remembered keeps no old set in memory.
        :raises ValueError: if the address is none.
        """
        found = self._is_in.get(number)
        if found is None:
            if len(self._is_in) >= MAX_REMEMBERED:
                self._is_in.clear()
            found = self._is_in[number] = self.address in addresses
        return found

"""
Cutting what a network has open when an operator bans it: a ban alone turns away only who connects later.

Bans that the edge makes itself cut nothing: they are many, and each request on an open connection is judged anyway.
Networks that are banned meanwhile wait for the next look, so there is one look at a time, in slices.
"""

from collections.abc import Iterator, Mapping

from warp_base.slices import Slices
from warp_twisted.edge.policy.banning import Banning
from warp_twisted.edge.visitors.interfaces import OpenConnection

LOOKED_AT_IN_A_STEP = 100  # 50 µs


class BannedConnections:
    """
    Ends connections of networks that were banned.

    :param connections: all that are open.
    :param banning: says who is banned still, and who never is.
    """

    def __init__(self, connections: Mapping[OpenConnection, object], banning: Banning, slices: Slices) -> None:
        self._connections = connections
        self._banning = banning
        self._slices = slices
        self._networks: set[str] = set()
        self._is_looking = False

    def cut(self, network: str) -> None:
        """Cut the connections of a network, and requests that a proxy has open for it."""
        if not self._connections:
            return
        self._networks.add(network)
        if not self._is_looking:
            self._is_looking = True
            self._slices.start(self._look())

    def _look(self) -> Iterator[None]:
        while self._networks:
            networks, self._networks = self._networks, set()
            for number, connection in enumerate(list(self._connections), 1):
                asker = connection.asker
                if asker is not None and asker.network in networks:
                    if self._banning.is_banned(asker.address, asker.network):
                        connection.abort()
                    yield
                elif not number % LOOKED_AT_IN_A_STEP:
                    yield
        self._is_looking = False

"""
Where a client is, and in which order it should be told of the edges.

A place is found for the client's subnet (ECS) or its resolver, by a MaxMind-format database or by the networks of
the configuration. All an answer depends on is the order of the edges that follows from the place, so that order is
what answers are cached by. A draining edge is left out while another one is available; one under full load comes
last; the result is never empty. Pure: a database is handed in as a `Locator` (see `maxmind`).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Protocol

from warp_dns.errors import InvalidSettings
from warp_dns.message.answer import Order
from warp_dns.settings import EdgeSettings, PlacesSettings

FULL_LOAD = 0.9  # an edge at this load is named last
MAX_ORDERS = 1024  # distinct orders kept; a fleet of a few dozen edges has fewer places that differ
MAX_CLIENTS = 65536  # clients whose order is remembered
_EARTH_KM = 6371.0

Coordinates = tuple[float, float]  # latitude, longitude in degrees


class Locator(Protocol):
    """Finds the place of an address."""

    def find(self, address: bytes) -> tuple[Coordinates | None, int]:
        """
        Return the place, if it is known, and how many leading bits of the address decided that.

        :param address: packed, 4 or 16 bytes.
        """


@dataclass(slots=True)
class _Branch:
    """A node of the binary trie of networks: a place if a network ends here, and what is below."""

    place: Coordinates | None = None
    ends_here: bool = False
    zero: "_Branch | None" = None
    one: "_Branch | None" = None


class NetworkTable:
    """The networks of the configuration; the most specific one counts."""

    def __init__(self, networks: Iterable[tuple[str, str, Coordinates]]) -> None:
        """
        Read the networks.

        :param networks: the path of each one's key for errors, the network, and the place.
        :raises InvalidSettings: if one is not a network, or is given twice.
        """
        self._roots = {4: _Branch(), 16: _Branch()}
        for key, text, place in networks:
            try:
                network = ip_network(text)
            except ValueError as error:
                raise InvalidSettings(
                    f"{key}: expected a network such as 192.0.2.0/24, got {text!r} ({error})"
                ) from error
            branch = self._roots[len(network.network_address.packed)]
            bits = int.from_bytes(network.network_address.packed, "big")
            width = network.max_prefixlen
            for depth in range(network.prefixlen):
                if bits >> (width - 1 - depth) & 1:
                    branch.one = branch = branch.one or _Branch()
                else:
                    branch.zero = branch = branch.zero or _Branch()
            if branch.ends_here:
                raise InvalidSettings(f"{key}: {text} is given twice")
            branch.place, branch.ends_here = place, True

    def find(self, address: bytes) -> tuple[Coordinates | None, int]:
        """
        Return the place of the most specific network.

        The bits that decided reach to where no other network begins below, so that the scope told to a resolver
        never covers an address with another answer (RFC 7871 §7.2.1).
        """
        branch: _Branch | None = self._roots[len(address)]
        bits, width = int.from_bytes(address, "big"), len(address) * 8
        place: Coordinates | None = None
        depth = 0
        while branch is not None:
            if branch.ends_here:
                place = branch.place
            if branch.zero is None and branch.one is None:
                return place, depth
            branch = branch.one if bits >> (width - 1 - depth) & 1 else branch.zero
            depth += 1
        return place, depth


class Places:
    """Orders edges for clients."""

    def __init__(self, settings: PlacesSettings | None = None, database: Locator | None = None) -> None:
        """
        Read the configuration.

        :param database: finds clients in place of the regions' networks.
        :raises InvalidSettings: naming what is wrong.
        """
        settings = settings or PlacesSettings()
        regions = {name: region.coordinates for name, region in settings.regions.items()}
        self._locator = database
        if database is None and settings.regions:
            self._locator = NetworkTable(
                (f"places.regions.{name}.networks[{index}]", network, region.coordinates)
                for name, region in settings.regions.items()
                for index, network in enumerate(region.networks)
            )
        for name, edge in settings.edges.items():
            if edge.region and edge.region not in regions:
                known = ", ".join(regions) or "none"
                raise InvalidSettings(f"places.edges.{name}.region: no region {edge.region!r}; known: {known}")
        self.addresses = settings.addresses
        self._regions = regions
        self._edges: dict[str, EdgeSettings] = {}
        self._orders: dict[Coordinates | None, Order] = {}
        self._interned: dict[tuple[Order, frozenset[str]], Order] = {}
        self._clients: dict[bytes, tuple[Order, int]] = {}
        self.set_edges(settings.edges)

    @property
    def is_neutral(self) -> bool:
        """Whether every client is told of every edge in the order of the records."""
        return not self._edges

    def set_edges(self, edges: Mapping[str, EdgeSettings]) -> None:
        """Set the edges: where each is, its load, whether it drains."""
        self._edges = dict(edges)
        self._orders.clear()
        self._interned.clear()
        self._clients.clear()

    def order_for(self, address: bytes) -> tuple[Order, int]:
        """
        Return the order for a client, and how many leading bits of its address decided that.

        :param address: packed, 4 or 16 bytes.
        """
        known = self._clients.get(address)
        if known is not None:
            return known
        place, bits = self._locator.find(address) if self._locator else (None, 0)
        order = self._orders.get(place)
        if order is None:
            if len(self._orders) >= MAX_ORDERS:
                place = None  # a database of more places than we can keep: those beyond get the default order
            order = self._orders.get(place) or self._order(place)
            self._orders[place] = order
        if len(self._clients) >= MAX_CLIENTS:
            self._clients.clear()
        self._clients[address] = order, bits
        return order, bits

    def _order(self, place: Coordinates | None) -> Order:
        def badness(item: tuple[str, EdgeSettings]) -> tuple[bool, float]:
            _, edge = item
            at = self._regions[edge.region] if edge.region else edge.coordinates
            distance = distance_km(place, at) if place is not None and at is not None else math.inf
            return edge.load >= FULL_LOAD, distance

        order = Order(name for name, _ in sorted(self._edges.items(), key=badness))
        order.last_resort = frozenset(name for name, edge in self._edges.items() if edge.draining)
        return self._interned.setdefault((order, order.last_resort), order)


def distance_km(a: Coordinates, b: Coordinates) -> float:
    """Return the great-circle distance (haversine)."""
    latitude_a, longitude_a, latitude_b, longitude_b = map(math.radians, (*a, *b))
    chord = (
        math.sin((latitude_b - latitude_a) / 2) ** 2
        + math.cos(latitude_a) * math.cos(latitude_b) * math.sin((longitude_b - longitude_a) / 2) ** 2
    )
    return 2 * _EARTH_KM * math.asin(min(1.0, math.sqrt(chord)))

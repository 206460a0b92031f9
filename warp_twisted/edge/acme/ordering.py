"""
Certificates that this edge orders or shows: the room's parts, the issuing process beside them, and what operators see.

One edge of a fleet orders at a time; every one has the process, which asks for the lock.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from warp_base.reactor import InThread, Reactor
from warp_base.wall_clock import WallClock
from warp_twisted.acme.door import Order
from warp_twisted.edge.acme.copies import SealedCopies
from warp_twisted.edge.acme.in_use import CertificatesInUse, Shows
from warp_twisted.edge.acme.kept import KeptAcme
from warp_twisted.edge.acme.sealing_key import SealingKey
from warp_twisted.edge.acme.settings import AcmeSettings
from warp_twisted.edge.errors import CertificateUnknown
from warp_twisted.registry.acme.records import AcmeOrder
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Change
from warp_twisted.registry.store import Store


class Issuing(Protocol):
    """The process that orders, as the edge keeps it."""

    def start(self) -> None:
        """Start it."""

    def look(self) -> None:
        """Say that there may be something to do."""

    def stop(self) -> Deferred[None]:
        """End it."""


class Ordering:
    """
    The certificates of one edge.

    :param own: this edge's name.
    :param settings: returns `acme` of edge.yaml as it is now.
    :param key: with which this edge opens what is sealed for it.
    :param process: None: what other edges order is shown, and sealed for others.
    :ivar kept: what the issuing process asks for.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        wall: WallClock,
        own: str,
        zone: str,
        settings: Callable[[], AcmeSettings],
        *,
        key: SealingKey,
        process: Issuing | None,
        store: Store,
        mirror: Mirror,
        shows: Shows,
        in_thread: InThread,
        nameservers: Callable[[], Mapping[str, Sequence[str]]],
        changed: Callable[[], object],
    ) -> None:
        self._settings = settings
        self._zone = zone
        self._mirror = mirror
        self._wall = wall
        self.key = key
        self._copies = SealedCopies(own, self.key, store, mirror, reactor)
        self.kept = KeptAcme(
            own,
            zone,
            store,
            mirror,
            self._copies,
            wall,
            in_thread,
            wanted=self._wanted,
            nameservers=nameservers,
            settings=lambda: settings().told,
            caa=lambda: settings().caa,
        )
        self.in_use = CertificatesInUse(own, self.key, mirror, shows, in_thread, changed)
        self._process = process
        self._is_running = False
        self._errors: dict[str, str] = {}
        mirror.subscribe(self._registry_changed)

    def start(self) -> None:
        """Begin to order, and to seal for others."""
        self._is_running = True
        self._copies.start()
        if self._process is not None:
            self._process.start()

    def stop(self) -> Deferred[None]:
        """Order no more, and let another edge; what is shown stays."""
        if not self._is_running:
            return succeed(None)
        self._is_running = False
        self._copies.stop()
        stopped = self._process.stop() if self._process is not None else succeed(None)
        return stopped.addCallback(lambda _: Deferred.fromCoroutine(self.kept.unlock()))

    def look(self) -> None:
        """Let the process see what is wanted now."""
        if self._is_running and self._process is not None:
            self._process.look()

    async def renew(self, name: str) -> object:
        """Have a certificate ordered anew now; empty: all of them."""
        names = [name] if name else [order.name for order in self.kept.orders()]
        if not names:
            raise CertificateUnknown("no certificate was ordered yet; warp certificate status says what is under way")
        wished = [await self.kept.wish(each, revoke=False) for each in names]
        self.look()
        return [self._described(order) for order in wished]

    async def revoke(self, name: str) -> object:
        """Have a certificate revoked, and ordered anew."""
        wished = await self.kept.wish(name, revoke=True)
        self.look()
        return self._described(wished)

    def described(self) -> object:
        """Describe each certificate, and who orders it."""
        account = self._mirror.acme_account
        settings = self._settings()
        known = {order.name: order for order in self.kept.orders()}
        wanted = {names[0]: names for names in self._wanted()}
        return {
            "directory": settings.directory,
            "email": settings.email,
            "account": account.url if account is not None else "",
            "certificates": [
                self._described(known[name]) if name in known else _not_ordered(name, wanted[name])
                for name in sorted({*known, *wanted})
            ],
        }

    def collect(self) -> Iterator[Metric]:
        """Yield what a scrape reads."""
        ends = GaugeMetricFamily(
            "warp_edge_acme_certificate_expires_timestamp_seconds",
            "When a certificate ends that was ordered.",
            labels=["name"],
        )
        failing = GaugeMetricFamily(
            "warp_edge_acme_order_failures", "Orders in a row that came to nothing.", labels=["name"]
        )
        for order in self.kept.orders():
            if order.expires_at:
                ends.add_metric([order.name], order.expires_at)
            failing.add_metric([order.name], order.failures)
        yield from (ends, failing)

    def _wanted(self) -> Sequence[Sequence[str]]:
        return self._settings().wanted(self._zone)

    def _described(self, order: Order) -> dict[str, Any]:
        wanted = {names[0] for names in self._wanted()}
        return {
            "name": order.name,
            "names": list(order.names),
            "state": order.step,
            "is_wanted": order.name in wanted,
            "issued_at": order.issued_at,
            "expires_at": order.expires_at,
            "renew_at": order.renew_at,
            "not_before": order.not_before,
            "failures": order.failures,
            "error": order.error,
            "failed_at": order.failed_at,
            "revoke": order.revoke,
            "not_shown": self.in_use.problems.get(order.name, ""),
        }

    def _registry_changed(self, changes: Sequence[Change]) -> None:
        """Say at this edge, too, why an order came to nothing."""
        for change in changes:
            if isinstance(change.after, AcmeOrder):
                order = next((each for each in self.kept.orders() if each.name == change.after.name), None)
                error = order.error if order is not None else ""
                if error and error != self._errors.get(change.after.name):
                    self._log.warn("no certificate for {name} was issued: {error}", name=change.after.name, error=error)
                self._errors[change.after.name] = error


def _not_ordered(name: str, names: Sequence[str]) -> dict[str, Any]:
    return (
        {"name": name, "names": list(names), "state": "wanted", "is_wanted": True}
        | dict.fromkeys(("issued_at", "expires_at", "renew_at", "not_before", "failures", "failed_at"), 0)
        | {"error": "", "revoke": False, "not_shown": ""}
    )

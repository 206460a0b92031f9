"""
The routes that the agent serves now: their numbers, where each leads, and how its origin is doing.

A route keeps its number as long as its hostname, path and origin stay the same, whatever else changes in the
settings, such as how many requests it takes, so a reload disturbs no stream and no pooled connection. A route that a
reload removed still answers for `RETIRED_SECONDS`, because the edge may have sent a request to it before it heard.

An origin's health is what `agent.health` finds, where the rule says how to probe it: edges choose by that. Elsewhere it
is the result of the last attempt to connect to it, which edges only show; while it does not answer, it is tried again
every `PROBE_SECONDS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

import msgspec
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.logger import Logger

from warp_base.reactor import as_reactor
from warp_twisted.agent.health.checks import Check, Checks
from warp_twisted.agent.origins import BuiltIn, Dial
from warp_twisted.agent.origins.asking import asked_text
from warp_twisted.agent.origins.dial import Attempt, DialResult, OriginDial, probe, refuse
from warp_twisted.agent.origins.ingress import Ingress, Rule
from warp_twisted.agent.origins.left_out import LeftOut
from warp_twisted.agent.origins.prepared import OriginKey, PreparedIngress, RouteKey, origin_key
from warp_twisted.agent.origins.probing import wanted_checks
from warp_twisted.agent.origins.splice import Traffic
from warp_twisted.agent.origins.tls import UnusableFile
from warp_twisted.errors import InvalidSettings
from warp_twisted.tunnel import Turn
from warp_twisted.tunnel.stream_transport import StreamTransport
from warp_twisted.wire.control import OriginHealth, RouteOffer
from warp_twisted.wire.preamble import OpeningCode, encode_opening
from warp_twisted.wire.streams import Stream

RETIRED_SECONDS = 30.0
PROBE_SECONDS = 5.0
PROBES_PER_TURN = 20  # some 2 ms
PROBE_PAUSE_SECONDS = 0.01
COMPLAINT_SECONDS = 60.0  # from one warning of an origin that ends TLS to the next

_NOWHERE = IPv4Address("TCP", "127.0.0.1", 0)  # built-in origins have no address


@dataclass(slots=True)
class OriginState:
    """
    One origin, shared by all routes that lead to it.

    :ivar access: how it is reached.
    :ivar last: how the last attempt to reach it ended, None before the first.
    :ivar probe: the attempt to connect that is under way.
    :ivar routes: those that are offered and lead to it.
    :ivar complained_at: when the log last said that TLS with it failed after the handshake.
    """

    text: str
    access: Dial | BuiltIn
    last: DialResult | None = None
    probe: Attempt | None = None
    routes: "list[Route]" = field(default_factory=list)
    complained_at: float = float("-inf")

    @property
    def is_healthy(self) -> bool:
        """Whether the origin answered the last time; an origin that was never tried is given the benefit."""
        return self.last is None or self.last.is_connected


class Route:
    """
    One offered route: what the edge was told, where it leads, and what has passed.

    :ivar check: what probes its origin; None: nothing does.
    :ivar told: what edges have heard of its health, as of `standing`.
    """

    __slots__ = ("_dial_ended", "check", "offer", "origin", "told", "traffic")

    def __init__(
        self, offer: RouteOffer, origin: OriginState, dial_ended: Callable[["Route", DialResult], None]
    ) -> None:
        self.offer = offer
        self.origin = origin
        self.traffic = Traffic()
        self.check: Check | None = None
        self.told = (True, False)
        self._dial_ended = dial_ended

    @property
    def is_healthy(self) -> bool:
        """Whether its origin is: by its probes, or by the last attempt to connect to it."""
        return self.origin.is_healthy if self.check is None else self.check.is_healthy

    @property
    def detail(self) -> str:
        """What was wrong the last time; empty: nothing."""
        if self.check is not None:
            return self.check.detail
        return self.origin.last.detail if self.origin.last is not None else ""

    @property
    def standing(self) -> tuple[bool, bool]:
        """Whether it is healthy, and whether probes say that it is not."""
        is_healthy = self.is_healthy
        return is_healthy, not is_healthy and self.check is not None

    def health(self) -> OriginHealth:
        """Return its health as the edge hears it."""
        return OriginHealth(
            route_id=self.offer.id, healthy=self.is_healthy, detail=self.detail, probed=self.check is not None
        )

    def dial_ended(self, result: DialResult) -> None:
        """Note how connecting to the origin for one stream went."""
        self._dial_ended(self, result)


class Routes:
    """
    The table of routes, by number.

    :param reactor: to dial with, and the clock.
    :param turn: shared by all tunnels of the process.
    :param health_changed: called with a route whenever its origin begins or ceases to be healthy.
    :param chance: spreads probes.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        turn: Turn,
        health_changed: Callable[[Route], None],
        chance: Random | None = None,
    ) -> None:
        self._reactor = reactor
        self._checks = Checks(reactor, chance or Random())  # noqa: S311 -- for jitter, not for secrets
        self._turn = turn
        self._health_changed = health_changed
        self._routes: dict[int, Route] = {}
        self._numbers: dict[RouteKey, int] = {}
        self._calls: set[IDelayedCall] = set()
        self._origins: dict[OriginKey, OriginState] = {}
        self._next_number = 0
        self._probe_call: IDelayedCall | None = None

    @property
    def offered(self) -> Sequence[Route]:
        """The routes that the settings ask for, in the order in which the edge must try them."""
        return [self._routes[number] for number in self._numbers.values()]

    @property
    def offers(self) -> Sequence[RouteOffer]:
        """What the edges are told of `offered`."""
        return [self._routes[number].offer for number in self._numbers.values()]

    @property
    def origins(self) -> Sequence[OriginState]:
        """The origins that the routes lead to."""
        return list(self._origins.values())

    def prepare(self, ingress: Ingress, *, is_start: bool = False) -> PreparedIngress:
        """
        Find out how the origins of rules are reached; changes nothing.

        It reads files, and takes up to 0.1 ms for each rule, so a reload calls it in a thread.

        :param is_start: leave out origins whose file cannot be used (`origins.left_out`): the others are served.
            Later, with other rules, an origin that is served already stays as it is.
        :raises InvalidSettings: if a file that the rules name cannot be used, and it is not left out.
        """
        accesses: dict[OriginKey, Dial | BuiltIn] = {}
        keys = [origin_key(rule) for rule in ingress.rules]
        for index, (key, rule) in enumerate(zip(keys, ingress.rules, strict=True)):
            if key not in accesses:
                try:
                    accesses[key] = rule.origin.access(self._reactor)
                except UnusableFile as error:
                    if not is_start and key not in self._origins:
                        raise InvalidSettings(f"ingress[{index}].{error}") from error
                    self._log.warn("ingress[{index}].{error}; the others are served", index=index, error=str(error))
                    accesses[key] = self._left_out(rule, error) if is_start else self._origins[key].access
                except InvalidSettings as error:
                    raise InvalidSettings(f"ingress[{index}].{error}") from error
        routes = [
            ((offer.hostname, offer.path, keys[offer.rule]), ingress.rules[offer.rule]) for offer in ingress.offers
        ]
        return PreparedIngress(ingress, routes, accesses, asked_text(ingress.policies))

    def _left_out(self, rule: Rule, error: UnusableFile) -> Dial:
        def read() -> IStreamClientEndpoint:
            access = rule.origin.access(self._reactor)
            assert isinstance(access, Dial)  # noqa: S101 -- those inside the agent read no file
            return access.endpoint

        return Dial(
            LeftOut(as_reactor(self._reactor), read, str(error)), tls=True, timeout=rule.request.connect_timeout
        )

    def replace(self, prepared: PreparedIngress) -> bool:
        """
        Serve other rules from now on.

        :returns: whether the offer to the edges changed.
        """
        offers = self.offers
        origins = {key: self._origin(key, access) for key, access in prepared.accesses.items()}
        for origin in self._origins.values():
            origin.routes = []
        before, self._origins = self._numbers, origins
        self._numbers = {}
        for route_key, rule in prepared.routes:
            self._offer(route_key, before, rule)
        for route in self.offered:
            route.origin.routes.append(route)
        self._check(prepared.routes)
        retired = [number for route_key, number in before.items() if route_key not in self._numbers]
        if retired:
            self._later(RETIRED_SECONDS, self._forget, retired)
        return offers != self.offers

    def _check(self, routes: "Sequence[tuple[RouteKey, Rule]]") -> None:
        """Probe the origins of these routes as their rules say, and tell of each route that is judged otherwise now."""
        asked = [(key, self._origins[key[2]], rule) for key, rule in routes]
        keys, wanted = wanted_checks(self._reactor, asked)
        checks = self._checks.replace(wanted, self._check_changed)
        for route_key, number in self._numbers.items():
            route = self._routes[number]
            route.check = checks.get(keys.get(route_key))
            self._tell(route)

    def _check_changed(self, check: Check) -> None:
        for route in self.offered:
            if route.check is check:
                self._tell(route)

    def _tell(self, route: Route) -> None:
        """Tell of a route's health, if that is news."""
        if route.standing != route.told:
            route.told = route.standing
            self._health_changed(route)

    def stream_opened(self, stream: Stream, route_id: int) -> None:
        """Connect a stream to the origin of its route, or answer why not."""
        route = self._routes.get(route_id)
        if route is None:
            refuse(stream, OpeningCode.NO_SUCH_ROUTE, f"the agent has no route {route_id}")
            return
        access = route.origin.access
        if isinstance(access, Dial):
            rejected = partial(self._tls_rejected, route) if access.tls else None
            OriginDial(self._reactor, access, stream, route.traffic, route.dial_ended, rejected)
        else:
            route.traffic.opened += 1
            self._serve(access, stream)

    def _serve(self, access: BuiltIn, stream: Stream) -> None:
        protocol = access.factory.buildProtocol(_NOWHERE)
        if protocol is None:
            refuse(stream, OpeningCode.OVERLOADED, "the built-in origin takes no more connections")
            return
        stream.write(encode_opening(OpeningCode.OPENED))
        StreamTransport(stream, protocol, turn=self._turn, host=_NOWHERE, peer=_NOWHERE).start()

    def probe_all(self) -> None:
        """Find out how every origin is doing, so that people need not wait for a visitor to tell them."""
        self._checks.start()
        self._probe_some(list(self._origins.values()))

    def services_at(self, urls: Mapping[int, str]) -> dict[str, str]:
        """
        Say what is reached at each URL: the service of the first rule that has it, in the order of the rules.

        :param urls: route → URL; several routes have one URL where only their paths differ.
        """
        services: dict[str, str] = {}
        for route in self.offered:
            if (url := urls.get(route.offer.id)) is not None:
                services.setdefault(url, route.offer.service)
        return services

    def stop(self) -> None:
        """Forget every timer."""
        for call in [*self._calls, *([self._probe_call] if self._probe_call else [])]:
            call.cancel()
        self._calls.clear()
        self._checks.stop()
        self._probe_call = None
        for origin in self._origins.values():
            if origin.probe is not None:
                origin.probe.cancel()
                origin.probe = None

    def _origin(self, key: OriginKey, access: Dial | BuiltIn) -> OriginState:
        known = self._origins.get(key)
        if known is not None:
            known.access = access  # a file such as originRequest.ca may hold something else now
            return known
        return OriginState(key[0], access)

    def _offer(self, key: RouteKey, before: Mapping[RouteKey, int], rule: Rule) -> None:
        number = before.get(key)
        if number is None:
            number, self._next_number = self._next_number, self._next_number + 1
            hostname, path, origin_key = key
            offer = RouteOffer(
                id=number, hostname=hostname, path=path, service=origin_key[0], protocol=rule.origin.protocol
            )
            self._routes[number] = Route(offer, self._origins[origin_key], self._dial_ended)
        route = self._routes[number]
        route.offer = msgspec.structs.replace(
            route.offer, max_requests=rule.max_requests, host_header=rule.host_header, own_scheme=rule.own_scheme
        )
        self._numbers[key] = number

    def _forget(self, numbers: Sequence[int]) -> None:
        """No request can be on its way to these routes any more."""
        for number in numbers:
            del self._routes[number]

    def _later(self, seconds: float, function: Callable[..., None], *arguments: object) -> None:
        """Call a function later, unless the table is stopped before."""

        def run() -> None:
            self._calls.discard(call)
            function(*arguments)

        call = self._reactor.callLater(seconds, run)
        self._calls.add(call)

    def _dial_ended(self, route: Route, result: DialResult) -> None:
        if not result.is_connected:
            route.traffic.failed += 1
        self._note_result(route.origin, result)

    def _tls_rejected(self, route: Route, reason: str) -> None:
        """An origin has ended TLS after the handshake, as it does that wants another client certificate."""
        route.traffic.failed += 1
        origin, now = route.origin, self._reactor.seconds()
        if now - origin.complained_at >= COMPLAINT_SECONDS:
            origin.complained_at = now
            self._log.warn("origin {origin} ends TLS: {reason}; visitors see 502", origin=origin.text, reason=reason)

    def _note_result(self, origin: OriginState, result: DialResult) -> None:
        was_healthy, origin.last = origin.is_healthy, result
        if origin.is_healthy == was_healthy:
            return
        if result.is_connected:
            self._log.info("origin {origin} answers again", origin=origin.text)
        else:
            self._log.warn("origin {origin} does not answer: {reason}", origin=origin.text, reason=result.detail)
        for route in origin.routes:
            self._tell(route)
        self._probe_later()

    def _probe_later(self) -> None:
        if self._probe_call is None and any(not origin.is_healthy for origin in self._origins.values()):
            self._probe_call = self._reactor.callLater(PROBE_SECONDS, self._probe_unhealthy)

    def _probe_unhealthy(self) -> None:
        self._probe_call = None
        self._probe_some([origin for origin in self._origins.values() if not origin.is_healthy])
        self._probe_later()

    def _probe_some(self, origins: Sequence[OriginState]) -> None:
        """Probe origins, a few in a turn: a thousand that are away at once must not hold up those that answer."""
        for origin in origins[:PROBES_PER_TURN]:
            self._probe(origin)
        if len(origins) > PROBES_PER_TURN:
            self._later(PROBE_PAUSE_SECONDS, self._probe_some, origins[PROBES_PER_TURN:])

    def _probe(self, origin: OriginState) -> None:
        if origin.probe is not None or not isinstance(origin.access, Dial):
            return

        def done(result: DialResult) -> None:
            origin.probe = None
            self._note_result(origin, result)

        attempt = probe(self._reactor, origin.access, done)
        if attempt.is_pending:
            origin.probe = attempt

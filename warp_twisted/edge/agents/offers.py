"""
Judging what an agent offers: may this certificate serve these hostnames, and what is each route called?

Pure but for the names that are handed out, which the registry keeps; the caller does what follows from the answer.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from warp_twisted.ca.issue import AgentIdentity
from warp_twisted.edge.errors import OfferRefused
from warp_twisted.edge.settings import Limits
from warp_twisted.errors import InvalidName
from warp_twisted.http1.host_rewriting import BadHostHeader, parse_rewriting
from warp_twisted.names import Hostname, HostnamePattern, check_labels
from warp_twisted.wire.control import CONTROL_VERSION, Hello, RouteOffer

_NOT_USED_UP = "the token was not used up"
MAX_HOSTNAMES_BYTES = 40_000  # with 32 labels at their longest well below `registry.store.MAX_VALUE_BYTES`


@dataclass(frozen=True, slots=True)
class Offer:
    """
    What an agent may serve on one tunnel.

    :param routes: as offered, each with the hostname (or `*.` pattern) it is served under.
    :param labels: the agent's own and those of its join token, which win.
    :param left_out: hostnames that it offers and may not serve → why.
    """

    routes: tuple[RouteOffer, ...]
    labels: Mapping[str, str]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def hostnames(self) -> tuple[Hostname, ...]:
        """Every hostname once, in the order offered."""
        return tuple(dict.fromkeys(Hostname(route.hostname) for route in self.routes))

    def covers(self, other: "Offer") -> bool:
        """Whether another offer, beside this one, publishes no name that is not published for this one."""
        return self.labels == other.labels and set(self.hostnames) >= set(other.hostnames)


def check_hello(hello: Hello, identity: AgentIdentity, limits: Limits) -> None:
    """
    Refuse a hello that no answer can be given to.

    :raises OfferRefused: if it speaks another version, is not of the agent whose certificate was shown, or is too long.
    """
    if hello.version != CONTROL_VERSION:
        raise OfferRefused("version", f"this edge speaks version {CONTROL_VERSION}, not {hello.version}")
    if hello.agent_id != identity.id:
        raise OfferRefused("not_allowed", f"the certificate is for agent {identity.id}, not {hello.agent_id}")
    check_count(hello.routes, limits)


def check_number(routes: int, limits: Limits) -> None:
    """
    Refuse more routes than a tunnel may have.

    :raises OfferRefused: saying so.
    """
    if routes > limits.routes_per_tunnel:
        raise OfferRefused("not_allowed", f"{routes} routes; {limits.routes_per_tunnel} is most on one tunnel")


def check_count(routes: Sequence[RouteOffer], limits: Limits) -> None:
    """
    Refuse more routes than a tunnel may have, two with one number, or what can be no Host.

    :raises OfferRefused: saying so.
    """
    check_number(len(routes), limits)
    if len({route.id for route in routes}) != len(routes):
        raise OfferRefused("not_allowed", "two routes have the same number")
    for route in routes:
        try:
            parse_rewriting(route.host_header, route.own_scheme)
        except BadHostHeader as error:
            raise OfferRefused("not_allowed", str(error)) from error


def check_size(routes: Sequence[RouteOffer]) -> None:
    """
    Refuse more hostnames than the registry can hold of one tunnel, beside its labels.

    :raises OfferRefused: saying so.
    """
    if sum(map(len, {route.hostname for route in routes})) > MAX_HOSTNAMES_BYTES:
        raise OfferRefused("not_allowed", f"the hostnames have more than {MAX_HOSTNAMES_BYTES} characters together")


def check_wishes(
    hostnames: Sequence[str], patterns: Sequence[HostnamePattern], is_reserved: Callable[[str], bool]
) -> None:
    """
    Refuse hostnames that an agent is going to offer if its join token does not permit them, or no names to be given.

    :param is_reserved: whether a hostname belongs to the zone itself.
    :raises OfferRefused: naming the first, and what the token permits.
    """
    permitted = ", ".join(str(pattern) for pattern in patterns)
    for text in dict.fromkeys(hostnames):
        if not text:
            is_permitted = any(pattern.is_wildcard for pattern in patterns)
            wish = "a name of the edge's choice"
        else:
            wanted = _parse(text)
            if is_reserved(wanted.text):
                raise OfferRefused("not_allowed", f"{wanted} is kept for the zone itself; {_NOT_USED_UP}")
            is_permitted = any(_covers(pattern, wanted) for pattern in patterns)
            wish = wanted.text
        if not is_permitted:
            raise OfferRefused(
                "not_allowed",
                f"{wish} is not permitted by the join token, which permits {permitted}; {_NOT_USED_UP}",
            )


def merge_labels(own: Mapping[str, str], given: Mapping[str, str]) -> Mapping[str, str]:
    """
    Join the labels that an agent gives itself with those of its join token, which win.

    :raises OfferRefused: if the agent's own are no labels.
    """
    merged = {**own, **given}
    try:
        check_labels(merged)
    except InvalidName as error:
        raise OfferRefused("not_allowed", str(error)) from error
    return merged


def leave_out(
    routes: Sequence[RouteOffer], patterns: Sequence[HostnamePattern], is_reserved: Callable[[str], bool]
) -> Mapping[str, str]:
    """
    Return the hostnames that an agent may not serve → why, unless that is all that it offers.

    A whole hostname is left out, never one of its paths: another route would serve what was meant for it.
    """
    reasons: dict[str, str] = {}
    for hostname in dict.fromkeys(route.hostname for route in routes if route.hostname):
        try:
            _check_hostname(hostname, patterns, is_reserved)
        except OfferRefused as refusal:
            reasons[hostname] = str(refusal)
    return reasons if any(route.hostname not in reasons for route in routes) else {}


async def name_routes(
    routes: Sequence[RouteOffer],
    patterns: Sequence[HostnamePattern],
    is_reserved: Callable[[str], bool],
    give_name: Callable[[], Awaitable[Hostname]],
) -> tuple[RouteOffer, ...]:
    """
    Return the routes with the hostnames they are served under.

    :param patterns: what the agent's certificate allows.
    :param is_reserved: whether a hostname belongs to the zone itself.
    :param give_name: returns the agent's name, for routes that are offered without one.
    :raises OfferRefused: naming the first hostname that is not allowed.
    """
    named = []
    for route in routes:
        hostname = _check_hostname(route.hostname, patterns, is_reserved) if route.hostname else await give_name()
        named.append(route if route.hostname == hostname else msgspec.structs.replace(route, hostname=hostname))
    return tuple(named)


def _check_hostname(text: str, patterns: Sequence[HostnamePattern], is_reserved: Callable[[str], bool]) -> str:
    wanted = _parse(text)
    if is_reserved(wanted.text):
        raise OfferRefused("not_allowed", f"{wanted} is kept for the zone itself")
    if not any(_covers(pattern, wanted) for pattern in patterns):
        allowed = ", ".join(str(pattern) for pattern in patterns)
        raise OfferRefused(
            "not_allowed",
            f"{wanted} is not allowed by the agent's certificate, which allows {allowed}; leave it out,"
            " or enroll with an empty state directory and a join token that permits it",
        )
    return wanted.text


def _parse(text: str) -> HostnamePattern:
    try:
        return HostnamePattern.parse(text)
    except InvalidName as error:
        raise OfferRefused("not_allowed", str(error)) from error


def _covers(pattern: HostnamePattern, wanted: HostnamePattern) -> bool:
    """Whether everything that `wanted` stands for is allowed by `pattern`."""
    if not wanted.is_wildcard:
        return pattern.allows(Hostname(wanted.text))
    return pattern.is_wildcard and wanted.text[1:].endswith(pattern.text[1:])

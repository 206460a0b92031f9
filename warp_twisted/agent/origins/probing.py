"""
Which probes the ingress rules ask for, and how each is begun: over the same connection that visitors' requests take.

An origin is probed once for all routes that lead there and ask it in the same way. What is done with the verdicts is
`agent.health`'s and the table's of routes.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import partial
from typing import Protocol, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from warp_twisted.agent.health.answer import Answer, request_bytes
from warp_twisted.agent.health.checks import Begin
from warp_twisted.agent.health.probe import Probe
from warp_twisted.agent.health.settings import Health
from warp_twisted.agent.origins import BuiltIn, Dial
from warp_twisted.agent.origins.dial import explain
from warp_twisted.agent.origins.ingress import Rule


class Reached(Protocol):
    """An origin, and how it is reached now; `routes.OriginState` is one."""

    @property
    def text(self) -> str:
        """The service in its normal form."""

    @property
    def access(self) -> Dial | BuiltIn:
        """How it is reached; a reload may change it."""


Key = TypeVar("Key", bound=Hashable)


def wanted_checks(
    reactor: IReactorTime, routes: Iterable[tuple[Key, Reached, Rule]]
) -> tuple[Mapping[Key, Hashable], Mapping[Hashable, tuple[str, Health, Begin]]]:
    """
    Return what is to be probed.

    :param routes: key, origin and rule of each route.
    :returns: the key of the check for each route that has one, and what `Checks.replace` is told of it.
    """
    keys: dict[Key, Hashable] = {}
    wanted: dict[Hashable, tuple[str, Health, Begin]] = {}
    for key, origin, rule in routes:
        if rule.health is not None:
            check = keys[key] = origin.text, rule.request, rule.health, rule.probe_host
            wanted[check] = origin.text, rule.health, partial(_begin, reactor, origin, rule.health, rule.probe_host)
    return keys, wanted


def _begin(reactor: IReactorTime, origin: Reached, health: Health, host: str, done: Callable[[str], None]) -> Probe:
    access = origin.access
    assert isinstance(access, Dial)  # noqa: S101 -- `ingress` refuses probes of what is inside the agent
    return Probe(
        reactor,
        access.endpoint,
        tls=access.tls,
        timeout=health.timeout_seconds,
        request=request_bytes(health, host) if health.path is not None else None,
        answer=Answer(health),
        explain=_explain,
        done=done,
    )


def _explain(failure: Failure) -> str | None:
    reason = explain(failure)
    return None if reason is None else reason[1]

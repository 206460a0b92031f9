"""
Holds back the URLs of `warp up` until every name server of the zone answers their hostnames.

Whoever opens a URL the moment it is printed must find it. A secondary hears of a new name a moment after the edge, and
a resolver that asks it earlier remembers for seconds that there is no such name. If a server does not answer in time
the URL is printed all the same, and which server does not, and what it says. Names that are local to the machine, and
those outside the fleet's zone, are nobody's to wait for.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol
from urllib.parse import urlsplit

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_base.reactor import Reactor
from warp_twisted.agent.events import Event, NameUnanswered, Observer, Published
from warp_twisted.cli.expose.name_servers import ask_server, unanswered

WAIT_SECONDS = 10.0
MAX_HOSTNAMES = 16  # that are asked for; others are taken to be there with the first


class Wait(Protocol):
    """Waits until name servers answer; see `cli.expose.name_servers`."""

    def __call__(
        self, hostnames: Sequence[str], name_servers: Mapping[str, Sequence[str]], seconds: float
    ) -> Deferred[list[NameUnanswered]]:
        """Fire with who does not answer what, at the latest some seconds after the time that is given."""


class AnsweredNames:
    """
    An observer in front of another.

    :param tell: hears every event, `Published` when its names are answered.
    """

    _log = Logger()

    def __init__(self, tell: Observer, wait: Wait) -> None:
        self._tell = tell
        self._wait = wait
        self._asked: set[str] = set()
        self._waiting: Deferred[None] | None = None

    def tell(self, event: Event) -> None:
        """Pass an event on, now or later; what is published next takes the place of what is held back."""
        if not isinstance(event, Published):
            self._tell(event)
            return
        self.stop()
        names = [name for name in _hostnames(event) if name not in self._asked][:MAX_HOSTNAMES]
        if names and event.name_servers:
            self._waiting = Deferred.fromCoroutine(self._tell_later(event, names))
            self._waiting.addErrback(self._failed)
        else:
            self._tell(event)

    def stop(self) -> None:
        """Wait no more; what is held back is never told."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()

    async def _tell_later(self, event: Published, names: Sequence[str]) -> None:
        missing = await self._wait(names, event.name_servers, WAIT_SECONDS)
        self._asked.update(names)
        self._tell(event)
        for each in missing:
            self._tell(each)

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("the name servers could not be asked", failure=failure)


def answered_names(reactor: Reactor, tell: Observer) -> AnsweredNames:
    """Return the observer that asks the servers over the network."""

    def wait(
        hostnames: Sequence[str], name_servers: Mapping[str, Sequence[str]], seconds: float
    ) -> Deferred[list[NameUnanswered]]:
        return Deferred.fromCoroutine(
            unanswered(reactor, partial(ask_server, reactor), hostnames, name_servers, seconds)
        )

    return AnsweredNames(tell, wait)


def _hostnames(event: Published) -> list[str]:
    """Return the hostnames of the URLs that the zone's servers answer for."""
    zone = event.zone
    if zone == "localhost" or zone.endswith(".localhost"):
        return []
    found = (urlsplit(url).hostname or "" for url in (*event.urls, *event.plain_urls))
    return list(dict.fromkeys(name for name in found if name == zone or name.endswith(f".{zone}")))

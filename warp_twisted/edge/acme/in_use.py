"""
The ordered certificates that visitors are shown: at every edge as soon as the registry has them.

Each is opened and made ready in a thread. One that cannot be used is named in the log and left out; what was shown in
its place stays.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from warp_base.reactor import InThread
from warp_twisted.edge.acme.sealing_key import SealingKey
from warp_twisted.edge.certificates.directory import Certificate
from warp_twisted.edge.certificates.ordered import load_ordered
from warp_twisted.registry.acme.records import OrderedCertificate
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Change


class Shows(Protocol):
    """Who shows certificates; see `edge.certificates.directory`."""

    def use_ordered(self, certificates: Mapping[str, Certificate]) -> None:
        """Show these, too, from the next handshake on."""


class CertificatesInUse:
    """
    The certificates of one edge.

    :param own: this edge's name.
    :param mirror: heard from now on; it should not have been started yet.
    :param changed: called when others are in use than before, as DNS says which hostnames have HTTPS.
    """

    _log = Logger()

    def __init__(
        self,
        own: str,
        key: SealingKey,
        mirror: Mirror,
        shows: Shows,
        in_thread: InThread,
        changed: Callable[[], object],
    ) -> None:
        self._own = own
        self._key = key
        self._mirror = mirror
        self._shows = shows
        self._in_thread = in_thread
        self._changed = changed
        self._used: dict[str, tuple[OrderedCertificate, Certificate]] = {}
        self._problems: dict[str, str] = {}
        self._working: Deferred[None] | None = None
        self._is_stale = False
        mirror.subscribe(self._registry_changed)

    @property
    def problems(self) -> Mapping[str, str]:
        """Say of each certificate that cannot be used, why."""
        return self._problems

    def stop(self) -> None:
        """Follow no more."""
        if self._working is not None:
            self._working.cancel()

    def settled(self) -> Deferred[None]:
        """Return a Deferred that fires when everything that the mirror said until now is in use."""
        done: Deferred[None] = Deferred()
        if self._working is None:
            done.callback(None)
        else:
            self._working.addBoth(lambda result: done.callback(None))
        return done

    def _registry_changed(self, changes: Sequence[Change]) -> None:
        if any(isinstance(change.after or change.before, OrderedCertificate) for change in changes):
            self._is_stale = True
            self._look()

    def _look(self) -> None:
        if self._working is None and self._is_stale:
            self._is_stale = False
            self._working = Deferred.fromCoroutine(self._follow())
            self._working.addErrback(lambda failure: self._log.failure("certificates are not followed", failure))
            self._working.addCallback(self._followed)

    def _followed(self, result: None) -> None:
        self._working = None
        self._look()

    async def _follow(self) -> None:
        """Take what the mirror has now."""
        used: dict[str, tuple[OrderedCertificate, Certificate]] = {}
        for name, kept in list(self._mirror.ordered_certificates.items()):
            known = self._used.get(name)
            if known is not None and (known[0].chain, _own_copy(known[0], self._own)) == (
                kept.chain,
                _own_copy(kept, self._own),
            ):
                used[name] = known
                continue
            try:
                used[name] = kept, await self._in_thread(partial(self._load, kept))
                self._problems.pop(name, None)
            except ValueError as error:
                if self._problems.get(name) != str(error):
                    self._problems[name] = str(error)
                    self._log.warn("an ordered certificate is not used: {name}: {error}", name=name, error=error)
                if known is not None:
                    used[name] = known
        there = self._mirror.ordered_certificates.keys()
        self._problems = {name: text for name, text in self._problems.items() if name in there}
        self._used = used
        self._shows.use_ordered({name: certificate for name, (_, certificate) in used.items()})
        self._changed()

    def _load(self, kept: OrderedCertificate) -> Certificate:
        key = self._key.open(kept, self._own)
        if key is None:
            raise ValueError("it is not sealed for this edge yet; another edge that has it seals it")
        return load_ordered(kept.name, kept.chain, key)


def _own_copy(kept: OrderedCertificate, own: str) -> object:
    return kept.copies.get(own)

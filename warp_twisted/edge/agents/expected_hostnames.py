"""
Which hostnames this edge served when it was last seen, so that a restart shows nobody a 404 for one of them.

Agents are back within moments of a restart, but visitors come sooner, and DNS follows what the edge publishes. So an
edge that starts lets agents in first, and everybody else when the hostnames of before are served again, or after
`timeouts.settle`. Where systemd holds the sockets, visitors wait that long; elsewhere they are refused at connecting.
DNS keeps these hostnames meanwhile (`registry.published.grace`), and those that do not come back in time are answered
503 (`edge.routes.table`), as if their last tunnel had gone with the restart.

The names are kept in a file of the state directory, written while the edge runs: a crash needs them too.
"""

import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from threading import Lock

import msgspec
from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Change, Tunnel, Value

KEEP_SECONDS = 5.0
MAX_FILE_BYTES = 16 << 20  # a fleet's worth of hostnames

Perform = Callable[[Callable[[], None]], Deferred[None]]


class ExpectedHostnames:
    """
    The hostnames of before, and of now.

    :param path: of the file.
    :param mirror: heard from now on; it should not have been started yet.
    :param edge: this edge's name.
    :param perform: runs a function that waits for the disk, such as in a thread.
    """

    _log = Logger()

    def __init__(self, path: Path, mirror: Mirror, edge: str, clock: IReactorTime, perform: Perform = execute) -> None:
        self._path = path
        self._edge = edge
        self._clock = clock
        self._perform = perform
        self._served: dict[str, int] = {}  # hostname → tunnels of this edge that serve it
        self._missing: set[str] = set()  # of those of before, while they are waited for
        self._all_back: Deferred[None] | None = None
        self._kept: frozenset[str] | None = None
        self._is_changed = True
        self._versions = itertools.count(1)
        self._written = 0
        self._file = Lock()
        self._keeping = LoopingCall(self._keep)
        self._keeping.clock = clock
        mirror.subscribe(self._registry_changed)

    async def wait(self, expected: Iterable[str], seconds: float) -> None:
        """Wait until every hostname of before, which `read` returned, is served again, for at most so long."""
        self._missing = {hostname for hostname in expected if hostname not in self._served}
        if not self._missing:
            return
        self._log.info("waiting for the agents of {count} hostnames", count=len(self._missing))
        self._all_back = Deferred()
        try:
            await self._all_back.addTimeout(seconds, self._clock, onTimeoutCancel=lambda result, timeout: None)
        finally:
            self._all_back = None
        if self._missing:
            some = ", ".join(sorted(self._missing)[:5])
            self._log.warn("{count} hostnames are not back, such as {some}", count=len(self._missing), some=some)
            self._missing = set()

    def start_keeping(self) -> None:
        """Note what is served from now on."""
        self._keeping.start(KEEP_SECONDS)

    def stop_keeping(self) -> None:
        """Note what is served at this moment, and no more."""
        if self._keeping.running:
            self._keeping.stop()
            try:
                self._write(next(self._versions), frozenset(self._served))
            except OSError:
                self._not_written(Failure())

    def _registry_changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._count(change.before, -1)
            self._count(change.after, +1)
        if self._all_back is not None and not self._missing and not self._all_back.called:
            self._all_back.callback(None)

    def _count(self, value: Value | None, step: int) -> None:
        if not isinstance(value, Tunnel) or value.edge != self._edge or value.draining:
            return
        for hostname in value.hostnames:
            count = self._served.get(hostname, 0) + step
            if count:
                self._served[hostname] = count
                self._missing.discard(hostname)
            else:
                del self._served[hostname]
        self._is_changed = True

    def _keep(self) -> Deferred[None] | None:
        if not self._is_changed:
            return None
        self._is_changed = False
        version, served = next(self._versions), frozenset(self._served)
        return self._perform(lambda: self._write(version, served)).addErrback(self._not_written)

    def _write(self, version: int, served: frozenset[str]) -> None:
        """Write the file, unless a later version was written already; runs in any thread."""
        with self._file:
            if version < self._written or served == self._kept:
                return
            self._written, self._kept = version, served
            beside = self._path.with_name(f".{self._path.name}.new")
            beside.write_bytes(msgspec.json.encode(sorted(served)))
            os.replace(beside, self._path)

    def _not_written(self, failure: Failure) -> None:
        failure.trap(OSError)
        self._log.warn(
            "{path} cannot be written: {error}", path=str(self._path), error=getattr(failure.value, "strerror", "")
        )

    def read(self) -> frozenset[str]:
        """Return the hostnames of before; none where there is no file, or one that cannot be understood."""
        try:
            with self._path.open("rb") as file:
                return frozenset(msgspec.json.decode(file.read(MAX_FILE_BYTES), type=list[str]))
        except FileNotFoundError:
            return frozenset()
        except (OSError, msgspec.MsgspecError) as error:
            self._log.warn("{path} cannot be read: {error}", path=str(self._path), error=str(error))
            return frozenset()

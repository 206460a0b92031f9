"""
Which hostnames this edge served when it was last seen, so that a restart shows nobody a 404 for one of them.

Agents are back within moments of a restart, but visitors come sooner, and DNS follows what the edge publishes. So an
edge that starts lets agents in first, and everybody else when the hostnames of before are served again, or after
`timeouts.settle`. Where systemd holds the sockets, visitors wait that long; elsewhere they are refused at connecting.

The names are kept in a file of the state directory, written while the edge runs: a crash needs them too.
"""

import os
from pathlib import Path

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from warp_twisted.registry.mirror import Mirror

KEEP_SECONDS = 5.0
MAX_FILE_BYTES = 16 << 20  # a fleet's worth of hostnames


class ExpectedHostnames:
    """
    The hostnames of before, and of now.

    :param path: of the file.
    :param edge: this edge's name.
    """

    _log = Logger()

    def __init__(self, path: Path, mirror: Mirror, edge: str, clock: IReactorTime) -> None:
        self._path = path
        self._mirror = mirror
        self._edge = edge
        self._clock = clock
        self._kept: frozenset[str] | None = None
        self._keeping = LoopingCall(self._keep)
        self._keeping.clock = clock

    async def wait(self, seconds: float) -> None:
        """Wait until every hostname of before is served again, for at most so long."""
        expected = self._read()
        missing = expected - self._served()
        if not missing:
            return
        everybody_back: Deferred[None] = Deferred()

        def look(changes: object) -> None:
            if not everybody_back.called and expected <= self._served():
                everybody_back.callback(None)

        self._log.info("waiting for the agents of {count} hostnames", count=len(missing))
        unsubscribe = self._mirror.subscribe(look)
        try:
            await everybody_back.addTimeout(seconds, self._clock, onTimeoutCancel=lambda result, timeout: None)
        finally:
            unsubscribe()
        if missing := expected - self._served():
            some = ", ".join(sorted(missing)[:5])
            self._log.warn("{count} hostnames are not back, such as {some}", count=len(missing), some=some)

    def start_keeping(self) -> None:
        """Note what is served from now on."""
        self._keeping.start(KEEP_SECONDS)

    def stop_keeping(self) -> None:
        """Note what is served at this moment, and no more."""
        if self._keeping.running:
            self._keeping.stop()
            self._keep()

    def _served(self) -> frozenset[str]:
        tunnels = (tunnel for tunnel in self._mirror.tunnels.values() if tunnel.edge == self._edge)
        return frozenset(hostname for tunnel in tunnels if not tunnel.draining for hostname in tunnel.hostnames)

    def _keep(self) -> None:
        served = self._served()
        if served == self._kept:
            return
        beside = self._path.with_name(f".{self._path.name}.new")
        try:
            beside.write_bytes(msgspec.json.encode(sorted(served)))
            os.replace(beside, self._path)
        except OSError as error:
            self._log.warn("{path} cannot be written: {error}", path=str(self._path), error=error.strerror)
        self._kept = served

    def _read(self) -> frozenset[str]:
        try:
            with self._path.open("rb") as file:
                return frozenset(msgspec.json.decode(file.read(MAX_FILE_BYTES), type=list[str]))
        except FileNotFoundError:
            return frozenset()
        except (OSError, msgspec.MsgspecError) as error:
            self._log.warn("{path} cannot be read: {error}", path=str(self._path), error=str(error))
            return frozenset()

"""A real etcd for tests: one member on loopback, with a directory of its own, ended with the test."""

import shutil
import signal
import tempfile
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from tests.case import reactor, until
from tests.system.ports import free_port


class EtcdProcess(ProcessProtocol):
    """
    One start of the program.

    :ivar said: the last of what it said, for a test that fails.
    :ivar ended: fires when it is gone.
    """

    def __init__(self) -> None:
        self.said = b""
        self.ended: Deferred[None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        """Keep the last of it."""
        self.said = (self.said + data)[-20_000:]

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        """Tell it."""
        self.ended.callback(None)


class EtcdPeer:
    """
    A member whose data outlives its process.

    :param tls: its options for TLS to its clients, beginning with `--cert-file`; none: it speaks plain HTTP.
    :ivar url: where clients ask it.
    """

    def __init__(self, *tls: str) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="warp-etcd-"))
        self._port, self._peer_port = free_port(), free_port()
        self._process: EtcdProcess | None = None
        self._tls = tls
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Start it, and wait until it takes connections."""
        peer = f"http://127.0.0.1:{self._peer_port}"
        arguments = (
            "etcd", "--name=one", f"--data-dir={self._directory / 'data'}",
            f"--listen-client-urls={self.url}", f"--advertise-client-urls={self.url}",
            *self._tls,
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=one={peer}",
        )  # fmt: skip
        self._process = EtcdProcess()
        reactor.spawnProcess(self._process, "/usr/bin/etcd", arguments, env={})
        process = self._process
        await until(lambda: b"ready to serve client requests" in process.said)

    async def end(self) -> None:
        """Kill it, if it runs; its data stays."""
        process, self._process = self._process, None
        if process is not None and process.transport is not None:
            process.transport.signalProcess("KILL")
            await process.ended

    async def remove(self) -> None:
        """End it, and its data."""
        await self.end()
        shutil.rmtree(self._directory, ignore_errors=True)

    def pause(self) -> None:
        """Let it answer nothing, while its connections stay, until `go_on`."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None, "etcd was not started"
        assert self._process.transport is not None
        self._process.transport.signalProcess(number)

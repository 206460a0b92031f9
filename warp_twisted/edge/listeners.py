"""
What this edge listens on: each listener under its name of `listen` in edge.yaml, opened, held back and closed by name.

It knows no protocol: `edge.node` hands it a factory for each. The DNS server opens its own ports.
"""

import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from warp_base.accepting import Option, accept_cheaply
from warp_base.reactor import Reactor
from warp_base.unix_port import ReplacingPort
from warp_twisted.errors import InvalidSettings
from warp_twisted.listen_text import server_endpoints

_TCP_INFO_BYTES = 32  # of struct tcp_info (linux/tcp.h): 8 numbers of a byte, then of four, of which this is the fifth
_UNACKED = struct.Struct("=I")
BACKLOG = 1024  # connections that wait to be accepted; Twisted's 50 are full after 2 ms of 25,000 connections a second

Name = Literal["http", "https", "tunnel", "metrics", "admin", "records"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundPorts:
    """Where the node listens, port 0 resolved; what was closed since is still there."""

    http: tuple[int, ...] = ()
    https: tuple[int, ...] = ()
    tunnel: tuple[int, ...] = ()
    dns: tuple[tuple[str, int], ...] = ()
    metrics: int | None = None


class Listeners:
    """
    The open listeners of one edge.

    :param handed: sockets that systemd handed to the process: name → descriptors.
    :ivar ports: where they listen; updated when one is opened.
    """

    _log = Logger()

    def __init__(self, reactor: Reactor, handed: Mapping[str, Sequence[int]]) -> None:
        self._reactor = reactor
        self._handed = handed
        self._open: dict[Name, list[IListeningPort]] = {}
        self.ports = BoundPorts()

    @property
    def names(self) -> frozenset[Name]:
        """Names of what is open."""
        return frozenset(self._open)

    async def open(
        self,
        name: Name,
        texts: Sequence[str] | str | None,
        factory: IProtocolFactory | None,
        options: Sequence[Option] = (),
    ) -> tuple[int, ...]:
        """
        Listen as the setting `listen.NAME` says.

        :param texts: Twisted endpoint strings, or one.
        :param factory: None if nothing is to be served; then nothing is listened on.
        :param options: of every connection.
        :returns: the port numbers; 0 for what has none.
        :raises InvalidSettings: naming the text that cannot be listened on; those before it stay open.
        """
        numbers: list[int] = []
        if factory is None:
            return ()
        for index, text in enumerate((texts,) if isinstance(texts, str) else texts or ()):
            key = f"listen.{name}" if isinstance(texts, str) else f"listen.{name}[{index}]"
            for endpoint in server_endpoints(self._reactor, text, key, self._handed):
                try:
                    port = await endpoint.listen(factory)
                except (ValueError, CannotListenError) as error:
                    raise InvalidSettings(f"{key}: {text}: {getattr(error, 'socketError', error)}") from error
                _lengthen_queue(port)
                accept_cheaply(port, options)
                self._open.setdefault(name, []).append(port)
                numbers.append(int(getattr(port.getHost(), "port", 0)))
                self._log.info("{key} is open: {text}, port {port}", key=key, text=text, port=numbers[-1])
        return tuple(numbers)

    def open_unix(
        self, name: Name, path: str, factory: "Factory[Any]", mode: int, *, takes_place: bool = False
    ) -> None:
        """
        Listen on a unix socket.

        :param takes_place: of a socket on which another process may listen still.
        :raises InvalidSettings: if it cannot be listened on.
        """
        try:
            if takes_place:
                port: IListeningPort = ReplacingPort(path, factory, mode, self._reactor)
                port.startListening()
            else:
                port = self._reactor.listenUNIX(path, factory, mode=mode)
        except CannotListenError as error:
            factory.doStop()  # Twisted starts the factory of a unix socket before it binds
            raise InvalidSettings(f"listen.{name}: {path}: {error.socketError}") from error
        self._open.setdefault(name, []).append(port)

    def hold_back(self, *names: Name) -> None:
        """Let connections wait in the queues of the sockets, rather than being refused, until `let_in`."""
        for port in self._named(names):
            port.stopReading()  # type: ignore[attr-defined]  # of every TCP and unix port of Twisted

    def let_in(self, *names: Name) -> None:
        """Accept the connections that wait, and those to come."""
        for port in self._named(names):
            port.startReading()  # type: ignore[attr-defined]

    def waiting(self, name: Name) -> int:
        """Return how many connections wait to be accepted, by whichever process has the same sockets (Linux)."""
        return sum(accept_queue(port) for port in self._named((name,)))

    async def close(self, *names: Name) -> None:
        """Listen no more; connections that exist stay."""
        for name in names:
            ports = self._open.pop(name, [])
            while ports:
                await maybeDeferred(ports.pop().stopListening)

    def _named(self, names: Sequence[Name]) -> list[IListeningPort]:
        return [port for name in names for port in self._open.get(name, ())]


def accept_queue(port: object) -> int:
    """Return the length of a TCP port's queue, which the kernel tells as `tcpi_unacked` of a listening socket."""
    listening = getattr(port, "socket", None)
    if not isinstance(listening, socket.socket) or listening.family not in (socket.AF_INET, socket.AF_INET6):
        return 0
    (count,) = _UNACKED.unpack_from(listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES), 24)
    return int(count)


def _lengthen_queue(port: IListeningPort) -> None:
    """Let more connections wait for their turn; those beyond are dropped by the kernel and tried again after 1 s."""
    listening = getattr(port, "socket", None)
    if isinstance(listening, socket.socket):
        listening.listen(BACKLOG)

"""
How a listening TCP port takes its connections: a few in one event, each with the least done for it.

It decides nothing about who is let in, which is the factory's to say. A port of Twisted accepts as many as wait, so a
flood of connections is one long piece of work; and for each it makes four needless system calls, checks an address that
the kernel told, writes two texts for logs that nobody reads, and waits at the end for one more event. Measured with a
connection for each request: 12 % of the edge's CPU time.

Options that are set on the listening socket are inherited by what it accepts (Linux: the child's structure is a copy,
`inet_csk_clone_lock`), so they cost nothing for each connection.
"""

import socket
from collections import deque
from collections.abc import Sequence
from errno import EAGAIN, ECONNABORTED, EINTR
from typing import Any, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.tcp import Connection, Port, Server
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_base.loop.event_loop import at_turn_end

ACCEPTED_AT_ONCE = 32  # about 1 ms; epoll tells again of those that still wait
ENDED_AT_ONCE = 100  # about 1 ms

Option = tuple[int, int, int]  # level, name, value; see setsockopt(2)

_log = Logger()
_DONE = Failure(ConnectionDone())


class Accepted(Server):
    """
    A connection that was accepted.

    :ivar ending: what ends it.
    """

    logstr = "Accepted"
    ending: "_Ending"
    _shouldShutdown = False  # nobody else has the socket: closing it says the same to the client

    def __init__(
        self,
        accepted: socket.socket,
        protocol: object,
        client: tuple[object, ...],
        port: Port,
        number: int,
        reactor: object,
    ) -> None:
        """Take an accepted socket; called as `Server` is."""
        Connection.__init__(self, accepted, protocol, reactor)  # type: ignore[arg-type]
        self.server = port
        self.client = client
        self.sessionno = number
        self.hostname = client[0]
        if len(client) != 2:
            self._addressType = IPv6Address
        self.startReading()
        self.connected = 1

    def __repr__(self) -> str:
        return f"<{type(self.__dict__.get('protocol')).__name__} #{self.sessionno}>"

    def loseConnection(self) -> None:
        """Close after what waits has been written: where nothing does, at the end of this turn."""
        if self.disconnecting or not self.connected:
            return
        if self._writeDisconnected or self.dataBuffer or self._tempDataBuffer or self.producer is not None:
            super().loseConnection()
            return
        self.disconnecting = 1
        self.stopReading()
        self.ending.add(self)

    def end(self) -> None:
        """Close now, as `connectionLost` does, with less to look at where nothing waits to be written."""
        if self.dataBuffer or self._tempDataBuffer or self.producer is not None:
            self.connectionLost(_DONE)
            return
        self.stopReading()
        self.stopWriting()  # `unregisterProducer` of one that ends asks to write
        self.disconnected = 1
        self.connected = 0
        self._closeSocket(True)
        protocol = self.protocol
        del self.protocol, self.socket, self.fileno
        protocol.connectionLost(_DONE)


class _Ending:
    """Connections that end with this turn of the reactor: one call for all of them, or for some where they are many."""

    _log = Logger()

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._waiting: deque[Accepted] = deque()

    def add(self, connection: Accepted) -> None:
        if not self._waiting:
            at_turn_end(self._reactor, self._end_all)
        self._waiting.append(connection)

    def _end_all(self) -> None:
        waiting = self._waiting
        for _ in range(min(len(waiting), ENDED_AT_ONCE)):
            connection = waiting[0]
            try:
                if connection.connected:  # not aborted since
                    connection.end()
            except Exception:
                self._log.failure("a connection's end")
            waiting.popleft()  # last, so that whoever is added meanwhile does not ask for another call
        if waiting:
            at_turn_end(self._reactor, self._end_all)


def accept_cheaply(port: object, options: Sequence[Option] = ()) -> bool:
    """
    Change how a port accepts.

    :param port: what listening returned.
    :param options: of every connection that it accepts.
    :returns: False for anything but a TCP port of Twisted, which then stays as it was.
    """
    if type(port) is not Port or port.socket.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    for option in options:
        port.socket.setsockopt(*option)

    ending = _Ending(cast(IReactorTime, port.reactor))

    def accept() -> None:
        _accept(port, ending)

    port.doRead = accept  # type: ignore[method-assign]
    return True


def _accept(port: Port, ending: _Ending) -> None:
    # Returns a descriptor; `accept` asks the listening socket for its family and kind each time.
    take = cast(Any, port.socket)._accept
    family = int(port.socket.family)
    factory: Any = port.factory  # None only for ports that were adopted without one, of which there are none
    for _ in range(ACCEPTED_AT_ONCE):
        try:
            descriptor, client = take()
        except OSError as error:
            if error.errno not in (EAGAIN, ECONNABORTED, EINTR):
                Port.doRead(port)  # it meets the error again, and knows what to do when there are no descriptors left
            return
        accepted = socket.socket(family, socket.SOCK_STREAM.value, 0, descriptor)
        connection = None
        try:
            protocol = factory.buildProtocol(_address(client))
            if protocol is None:
                accepted.close()
                continue
            number = port.sessionno
            port.sessionno = number + 1
            connection = Accepted(accepted, protocol, client, port, number, port.reactor)
            connection.ending = ending
            protocol.makeConnection(connection)
        except Exception:  # which the reactor would take for the port's, and close that
            _log.failure("a connection from {address} failed as it began", address=client[0])
            if connection is None:
                accepted.close()
            else:
                connection.abortConnection()


def _address(client: tuple[Any, ...]) -> IAddress:
    """Return what the kernel told as an address, without checking it again."""
    made: IPv4Address | IPv6Address
    if len(client) == 2:
        made = IPv4Address.__new__(IPv4Address)
    else:
        made = IPv6Address.__new__(IPv6Address)
        made.flowInfo, made.scopeID = client[2], client[3]
    made.type = "TCP"
    made.host, made.port = client[0], client[1]
    return made

"""
The line to the keeper: a socket of packets (SOCK_SEQPACKET, unix(7)) that the process inherits, and reads in turns.

What may be said on it is `keeper.messages`; what a word means is decided by whoever hears it. A packet that is no
message is logged and passed over; the end of the line is the end of the keeper.
"""

import os
import socket
from collections.abc import Callable, MutableMapping

from twisted.internet.abstract import FileDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_base.reactor import Reactor
from warp_twisted.keeper.messages import ASKED_OF_SERVING, MAX_BYTES, InvalidMessage, Message, Value, decode, encode

VARIABLE = "WARP_KEEPER_FD"
PACKETS_AT_ONCE = 8


def take_line(environment: MutableMapping[str, str]) -> socket.socket | None:
    """
    Take the line that a keeper handed to this process; None if there is no keeper.

    The variable goes out of the environment, and the socket is not passed on to programs that this process starts.

    :raises ValueError: if what the variable names is no such socket.
    """
    text = environment.pop(VARIABLE, "")
    if not text:
        return None
    try:
        line = socket.socket(fileno=int(text))
    except (ValueError, OSError) as error:
        raise ValueError(f"{VARIABLE}={text!r} names no socket: {error}") from error
    line.setblocking(False)
    os.set_inheritable(line.fileno(), False)
    return line


class Line(FileDescriptor):
    """
    Hears and says messages.

    :param line: from `take_line`; closed with this.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        line: socket.socket,
    ) -> None:
        super().__init__(reactor)
        self._line = line
        self._heard: Callable[[Message], None] = lambda message: None
        self._lost: Callable[[], None] = lambda: None

    def follow(self, heard: Callable[[Message], None], lost: Callable[[], None]) -> None:
        """
        Begin to hear.

        :param heard: called with each message.
        :param lost: called once when the keeper is gone.
        """
        self._heard, self._lost = heard, lost
        self.connected = 1
        self.startReading()

    def fileno(self) -> int:
        """Return the descriptor, for the reactor."""
        return self._line.fileno()

    def doRead(self) -> Exception | None:
        """Read some packets; the reactor calls again while there are more."""
        for _ in range(PACKETS_AT_ONCE):
            try:
                packet = self._line.recv(MAX_BYTES + 1)
            except BlockingIOError:
                return None
            except OSError as error:
                return error
            if not packet:
                return ConnectionResetError("the keeper has closed the line")
            self._take(packet)
        return None

    def _take(self, packet: bytes) -> None:
        try:
            message = decode(packet, "do", ASKED_OF_SERVING)
        except InvalidMessage as error:
            self._log.warn("the keeper says what is not understood, and that is passed over: {error}", error=error)
            self.say("refused", why=str(error))
            return
        self._heard(message)

    def say(self, word: str, **fields: Value) -> None:
        """Send a message; without a keeper it is lost, and `lost` is or was called."""
        try:
            self._line.send(encode(Message("is", word, fields)))
        except OSError as error:
            self._log.warn("the keeper was not told {word}: {error}", word=word, error=str(error))

    def connectionLost(self, reason: Failure) -> None:
        """The keeper is gone, or the line was closed here."""
        super().connectionLost(reason)
        self._line.close()
        self._lost()

    def close(self) -> None:
        """Hear nothing more, not even of `lost`."""
        if self.connected:
            self._lost = lambda: None
            self.stopReading()
            self.connected = 0
            self._line.close()

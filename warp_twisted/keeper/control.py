"""
The control socket: operators and `systemctl reload` ask the keeper for a reload, a hand-over, or how it is.

Who may connect is in the directory's and the socket's group; only the keeper's own user and root may name what is to be
started, as it runs with the keeper's rights.
"""

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from warp_twisted.keeper.actions import Launch
from warp_twisted.keeper.messages import ASKED_OF_KEEPER, MAX_BYTES, InvalidMessage, Message, decode, encode

MODE = 0o660
MAX_OPERATORS = 16
BACKLOG = 64  # who connects while these are taken is let in and closed
ASK_SECONDS = 10.0  # within which one who connects says what for
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_CREDENTIALS = struct.Struct("3i")


@dataclass(slots=True, eq=False)
class Operator:
    """
    Somebody at the control socket.

    :ivar asked: what for; None as long as nothing was said.
    :ivar until: when the connection is closed if nothing was said.
    """

    connection: socket.socket
    until: float
    asked: Message | None = None
    asked_at: float = 0.0

    @property
    def word(self) -> str:
        """What for; nothing as long as nothing was said."""
        return self.asked.word if self.asked is not None else ""

    @property
    def wanted(self) -> Launch | None:
        """Return what is to be started; None: the same as runs."""
        if self.asked is None or not self.asked.words("command"):
            return None
        return Launch(self.asked.text("python"), self.asked.words("command"), self.asked.text("mark"))

    def tell(self, word: str, **fields: int | float | str | tuple[str, ...]) -> None:
        """Answer; one who does not read, or is gone, misses it."""
        with contextlib.suppress(OSError):
            self.connection.send(encode(Message("is", word, fields)))


class ControlSocket:
    """
    The socket and who is connected.

    :param path: empty: there is none.
    :param descriptor: the open socket of an earlier keeper of this process.
    """

    def __init__(self, path: str, descriptor: int | None = None) -> None:
        self.path = path
        self.operators: list[Operator] = []
        self.socket: socket.socket | None = None
        if descriptor is not None:
            self.socket = socket.socket(fileno=descriptor)
        elif path:
            self.socket = _listen(path)
        if self.socket is not None:
            self.socket.setblocking(False)

    def accept(self, now: float) -> Operator | None:
        """
        Let one more in; None if nobody is there, or there are too many.

        :raises OSError: if there is no descriptor or no memory for it; who asked waits on.
        """
        if self.socket is None:
            return None
        try:
            connection, _ = self.socket.accept()
        except OSError as error:
            if error.errno in NO_ROOM:
                raise
            return None
        if len(self.operators) >= MAX_OPERATORS:
            connection.close()
            return None
        connection.setblocking(False)
        operator = Operator(connection, now + ASK_SECONDS)
        self.operators.append(operator)
        return operator

    def read(self, operator: Operator, now: float) -> bool | None:
        """
        Take what an operator says.

        :returns: whether that is a request; False: let the operator go, who was told why; None: nothing was said yet.
        """
        try:
            packet = operator.connection.recv(MAX_BYTES + 1)
        except BlockingIOError:
            return None
        except OSError:
            packet = b""
        if not packet or operator.asked is not None:  # gone, or talking on
            return False
        try:
            asked = decode(packet, "do", ASKED_OF_KEEPER)
        except InvalidMessage as error:
            operator.tell("failed", what=str(error))
            return False
        if asked.words("command") and not _is_trusted(operator.connection):
            operator.tell("failed", what="only root and the service's own user may say what is started")
            return False
        operator.asked, operator.asked_at = asked, now
        return True

    def let_go(self, operator: Operator) -> None:
        """Close a connection."""
        self.operators.remove(operator)
        operator.connection.close()

    def next_silent(self) -> float | None:
        """Return when the next is let go who does not say what for."""
        return min((each.until for each in self.operators if each.asked is None), default=None)

    def silent(self, now: float) -> Sequence[Operator]:
        """Return those who did not say in time what they want."""
        return [each for each in self.operators if each.asked is None and each.until <= now]


def _listen(path: str) -> socket.socket:
    """Bind beside and rename over, so that one left by a keeper that was killed is no obstacle."""
    beside = f"{path}.new"
    Path(beside).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(beside)
    Path(beside).chmod(MODE)
    listener.listen(BACKLOG)
    Path(beside).rename(path)
    return listener


def _is_trusted(connection: socket.socket) -> bool:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return _CREDENTIALS.unpack(credentials)[1] in (0, os.geteuid())

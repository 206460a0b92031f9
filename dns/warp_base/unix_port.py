"""
A listening unix socket that takes the place of another one: bound beside its path, then renamed over it.

While one process takes over from another, whoever connects finds a socket that somebody listens on at every moment: the
old one until the rename, the new one after it. Whoever ends last removes no socket but its own.
"""

import os
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory
from twisted.internet.unix import Port
from twisted.python.failure import Failure

BACKLOG = 50  # Twisted's


class ReplacingPort(Port):
    """
    Listens at a path.

    :param path: of the socket; in its directory there is room for another of the same name with `.new`.
    :raises CannotListenError: from `startListening`, if that cannot be.
    """

    def __init__(self, path: str, factory: "Factory[Any]", mode: int, reactor: IReactorTime) -> None:
        self._path = os.fsencode(path)
        self._beside = self._path + b".new"
        self._identity: tuple[int, int] | None = None
        super().__init__(self._beside, factory, BACKLOG, mode, reactor)

    def startListening(self) -> None:
        """Bind beside, listen, and take the place."""
        if os.path.lexists(self._beside):  # what a killed process left
            os.unlink(self._beside)
        super().startListening()
        os.rename(self._beside, self._path)
        self._identity = _identity(self._path)
        self._bindPath = self._path

    def connectionLost(self, reason: Failure) -> None:
        """Listen no more, and remove the socket unless another has taken its place."""
        if _identity(self._path) != self._identity:
            self._bindPath = b"\0"  # of no file: Twisted removes none
        super().connectionLost(reason)


def _identity(path: bytes) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino

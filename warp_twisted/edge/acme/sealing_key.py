"""
The key with which this edge opens what is sealed for it: made on it, kept in its state directory, never sent anywhere.

The registry has its public half in this edge's record. The issuing process reads the same file.
"""

from pathlib import Path

from twisted.logger import Logger

from warp_twisted.acme.sealing import new_private_key, open_sealed, public_key_of
from warp_twisted.ca.store import write_file
from warp_twisted.errors import InvalidSettings
from warp_twisted.registry.acme.records import Sealed

FILE = "sealing.key"


class SealingKey:
    """
    The key of one edge.

    :param state: the edge's state directory; the file is made there, if there is none.
    :ivar path: of the file.
    :ivar public: its public half.
    :raises InvalidSettings: if the file cannot be read or made: without it nothing could be opened after a restart.
    """

    _log = Logger()

    def __init__(self, state: Path) -> None:
        self.path = state / FILE
        try:
            self._private = _read_or_make(self.path)
            self.public = public_key_of(self._private)
        except OSError as error:
            raise InvalidSettings(f"state: {self.path}: {error.strerror or error}") from error
        except ValueError as error:
            raise InvalidSettings(
                f"state: {self.path}: {error}; remove it, and others seal what this edge needs to a new one"
            ) from error

    def open(self, sealed: Sealed, edge: str) -> str | None:
        """
        Return the secret of a record; None if there is no copy for this key.

        :raises ValueError: if the copy is damaged.
        """
        copy = sealed.copies.get(edge)
        if copy is None or copy.key != self.public:
            return None
        return open_sealed(self._private, copy.text, sealed.about)


def _read_or_make(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        private = new_private_key()
        write_file(path, private, 0o600, overwrite=False)
        return private

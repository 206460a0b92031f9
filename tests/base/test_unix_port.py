"""Tests of unix sockets that take one another's place, on a real file system."""

import os
import socket
from pathlib import Path

from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol

from tests.case import AsyncTestCase, reactor, until
from warp_base.unix_port import ReplacingPort


class Greeting(Protocol):
    """Says who it is."""

    def connectionMade(self) -> None:
        """Greet, and hang up."""
        assert isinstance(self.factory, Greeter)
        self.transport.write(self.factory.name)  # type: ignore[union-attr]  # connected
        self.transport.loseConnection()  # type: ignore[union-attr]


class Greeter(Factory[Greeting]):
    """Listens under a name."""

    protocol = Greeting

    def __init__(self, name: bytes) -> None:
        self.name = name


class ReplacingPortTests(AsyncTestCase):
    """Two listeners of one path."""

    async def prepare(self) -> None:
        """Listen with the first."""
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.path = os.path.relpath(self.directory / "s")
        self.old = self.listen(b"old")

    def listen(self, name: bytes) -> ReplacingPort:
        """Listen with another."""
        port = ReplacingPort(self.path, Greeter(name), 0o660, reactor)
        port.startListening()
        self.addCleanup(lambda: port.connected and port.stopListening())
        return port

    async def answer(self) -> bytes:
        """Return who answers."""
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(self.path)
            line.setblocking(False)
            said: list[bytes] = []

            def hears() -> bool:
                try:
                    said.append(line.recv(100))
                except BlockingIOError:
                    return False
                return True

            await until(hears)
            return said[0]

    async def test_one_after_the_other(self) -> None:
        """Whoever came last is asked; the one before removes nothing when it ends, the last leaves nothing."""
        self.assertEqual(await self.answer(), b"old")
        new = self.listen(b"new")
        self.assertEqual(await self.answer(), b"new")
        await maybeDeferred(self.old.stopListening)
        self.assertEqual((await self.answer(), os.stat(self.path).st_mode & 0o777), (b"new", 0o660))
        self.assertEqual([path.name for path in self.directory.iterdir()], ["s"])
        await maybeDeferred(new.stopListening)
        self.assertEqual(list(self.directory.iterdir()), [])

    async def test_after_a_kill(self) -> None:
        """What a process left that was killed between two steps is in nobody's way."""
        Path(f"{self.path}.new").touch()
        self.listen(b"new")
        self.assertEqual(await self.answer(), b"new")
        os.unlink(self.path)

    async def test_no_directory(self) -> None:
        """A path at which there can be no socket is refused."""
        port = ReplacingPort(str(self.directory / "no" / "s"), Greeter(b"x"), 0o660, reactor)
        self.assertRaises(CannotListenError, port.startListening)

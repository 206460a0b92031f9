"""
A small program that a keeper starts in tests: it serves on the sockets it is handed, and follows the keeper's words.

`python -m tests.keeper.serving FILE`: FILE says how it behaves, in one word; it is read when the process starts and at
SIGHUP. Each visitor gets the process number; one who says `hold` is kept until the process has drained.
"""

import json
import os
import selectors
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

HOLD = b"hold"
MAX_HELD = 50


class Serving:
    """The program."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.behaviour = file.read_text().strip()
        self.selector = selectors.DefaultSelector()
        self.line = socket.socket(fileno=int(os.environ["WARP_KEEPER_FD"]))
        self.held: list[socket.socket] = []
        self.is_draining = False
        count = int(os.environ.get("LISTEN_FDS", "0")) if os.environ.get("LISTEN_PID") == str(os.getpid()) else 0
        self.listeners = [socket.socket(fileno=3 + index) for index in range(count)]
        self.woken, self.wake = socket.socketpair()

    def notify(self, text: str) -> None:
        """Tell what is meant for systemd."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.sendto(text.encode(), os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))

    def say(self, word: str, **fields: object) -> None:
        """Tell the keeper."""
        self.line.send(json.dumps({"is": word, **fields}).encode())

    def run(self) -> int:
        """Serve until there is nothing to serve."""
        self.wake.setblocking(False)
        signal.set_wakeup_fd(self.wake.fileno())
        for number in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, lambda number, frame: None)
        if self.behaviour == "end":
            return 3
        if self.behaviour == "fail":
            self.say("failed", why="the test wants it so")
            return 1
        if self.behaviour == "garbage":
            self.line.send(b"what?")
        elif self.behaviour == "plain":
            self.accept(True)
            self.notify("READY=1\nSTATUS=plainly")
        elif self.behaviour != "silent":
            self.say("prepared")
        self.selector.register(self.line, selectors.EVENT_READ, self.obey)
        self.selector.register(self.woken, selectors.EVENT_READ, self.take_signals)
        seconds = int(os.environ.get("WATCHDOG_USEC", "0")) / 2e6
        while not (self.is_draining and not self.held):
            for key, _ in self.selector.select(seconds or None):
                key.data()
            if seconds and self.behaviour != "no-beat":
                self.notify("WATCHDOG=1")
        return 0

    def obey(self) -> None:
        """Do what the keeper says."""
        packet = self.line.recv(65536)
        if not packet:
            sys.exit(0)
        word = json.loads(packet)["do"]
        if word == "take" and self.behaviour == "end-when-taking":
            sys.exit(4)
        if word == "take" and self.behaviour == "slow-when-taking":
            self.notify("EXTEND_TIMEOUT_USEC=500000000")
            return
        if word == "take" and self.behaviour != "silent-when-taking":
            self.accept(True)
            self.notify(f"READY=1\nSTATUS=serving as {self.behaviour}")
            self.say("serving")
            if self.behaviour == "end-in-watch":
                self.accept(False)
                sys.exit(5)
        elif word == "release" and self.behaviour != "silent-when-releasing":
            self.say("released", tunnels=2, hostnames=3)
        elif word == "drain":
            self.accept(False)
            self.is_draining = True
            self.notify(f"STATUS=finishes {len(self.held)} WebSockets")
        elif word == "resume":
            self.is_draining = False
            self.accept(True)

    def accept(self, is_on: bool) -> None:
        """Let visitors in, or no more."""
        for listener in self.listeners:
            with suppress(KeyError, ValueError):
                self.selector.unregister(listener)
            if is_on:
                listener.setblocking(False)
                self.selector.register(listener, selectors.EVENT_READ, lambda listener=listener: self.visit(listener))

    def visit(self, listener: socket.socket) -> None:
        """Serve one visitor."""
        try:
            visitor, _ = listener.accept()
        except OSError:  # another process was quicker
            return
        visitor.setblocking(True)
        said = visitor.recv(16)
        visitor.send(str(os.getpid()).encode())
        if said == HOLD and len(self.held) < MAX_HELD:
            self.held.append(visitor)
            self.selector.register(visitor, selectors.EVENT_READ, lambda: self.let_go(visitor))
        else:
            visitor.close()

    def let_go(self, visitor: socket.socket) -> None:
        """One who was held goes."""
        self.selector.unregister(visitor)
        self.held.remove(visitor)
        visitor.close()

    def take_signals(self) -> None:
        """Read the file again, or end."""
        for number in self.woken.recv(16):
            if number == signal.SIGTERM and self.behaviour == "slow-stop":
                self.notify("STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=900000000")
                self.accept(False)
                self.is_draining = True
                return
            if number == signal.SIGTERM:
                sys.exit(0)
            self.behaviour = self.file.read_text().strip()
            if self.behaviour == "plain":
                self.notify("READY=1\nSTATUS=plainly again")
            elif self.behaviour == "refused":
                self.say("refused", why="zone: expected a name")
            else:
                self.say("reloaded", later=["listen", "zone"] if self.behaviour == "later" else [])


if __name__ == "__main__":
    sys.exit(Serving(Path(sys.argv[1])).run())

"""
Questions over UDP at times of our own choosing, and how long each answer takes.

dnsperf tells neither whether an answer was cut (TC) nor how long the longest wait was.
"""

from __future__ import annotations

import select
import socket
import time
from collections import Counter
from types import TracebackType

from benchmarks.dns.zones import ZONE
from benchmarks.load.lookups import answered, question

_TRUNCATED = 0x02
_NUMBERS = 0x10000


class Asker:
    """
    One client on loopback, for the length of a `with` block.

    :ivar waits: seconds from each question to its answer, whatever that said.
    :ivar answered: how often each name was answered in full with an address.
    """

    def __init__(self, port: int) -> None:
        self.waits: list[float] = []
        self.answered: Counter[str] = Counter()
        self._asked: dict[int, tuple[str, float]] = {}
        self._number = 0
        self._lost = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.setblocking(False)
        self._socket.connect(("127.0.0.1", port))

    def __enter__(self) -> Asker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    @property
    def unanswered(self) -> int:
        """How many questions have no answer yet."""
        return len(self._asked) + self._lost

    def ask(self, name: str) -> None:
        """Ask for the address of a name of the zone."""
        self._number = (self._number + 1) % _NUMBERS
        self._lost += self._asked.pop(self._number, None) is not None
        self._asked[self._number] = (name, time.monotonic())
        try:
            self._socket.send(question(self._number, f"{name}.{ZONE}"))
        except OSError:  # its buffer is full: as good as lost on the way
            return

    def wait_until(self, instant: float) -> None:
        """Take answers until then."""
        while True:
            rest = instant - time.monotonic()
            readable, _, _ = select.select([self._socket], [], [], max(0.0, rest))
            if not readable:
                return
            self._take()

    def _take(self) -> None:
        while True:
            try:
                message = self._socket.recv(4096)
            except OSError:
                return
            found = self._asked.pop(int.from_bytes(message[:2], "big"), None)
            if found is None:
                continue
            name, asked_at = found
            self.waits.append(time.monotonic() - asked_at)
            if answered(message) is not None and not message[2] & _TRUNCATED:
                self.answered[name] += 1


def ask_steadily(port: int, names: list[str], count: int, per_second: float) -> Asker:
    """Ask so many questions at a steady rate, the names one after the other, and wait a second for the last answers."""
    began = time.monotonic()
    with Asker(port) as asker:
        for number in range(count):
            asker.ask(names[number % len(names)])
            asker.wait_until(began + (number + 1) / per_second)
        asker.wait_until(time.monotonic() + 1)
    return asker

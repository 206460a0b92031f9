"""
The line from the edge that started this process: its standard input.

A byte means that there may be something to do; the end means that the edge has ended, and the process with it.
"""

import os
import select
import time

from warp_twisted.acme.errors import EdgeGone

_READ_BYTES = 4096


class EdgeLine:
    """
    Waits, and listens to the edge meanwhile.

    :param descriptor: of the pipe's reading end.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_called = False

    def pause(self, seconds: float) -> None:
        """
        Wait for so many seconds, whatever the edge says.

        :raises EdgeGone: when the edge has ended.
        """
        ends_at = time.monotonic() + seconds
        while True:
            left = max(ends_at - time.monotonic(), 0.0)
            if not self._listen(left):
                return

    def wait(self, seconds: float) -> None:
        """
        Wait for so many seconds, or until the edge says that there may be something to do, be it before.

        :raises EdgeGone: when the edge has ended.
        """
        if not self._is_called:
            self._listen(seconds)
        self._is_called = False

    def _listen(self, seconds: float) -> bool:
        readable, _, _ = select.select([self._descriptor], [], [], seconds)
        if not readable:
            return False
        if not os.read(self._descriptor, _READ_BYTES):
            raise EdgeGone
        self._is_called = True
        return True

"""Pipes whose reader has stopped, for programs that write their log into one."""

import os


def full_pipe() -> tuple[int, int, int]:
    """Return both ends of a pipe that takes no byte more, reading first, and how many bytes are in it."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    filled = 0
    try:
        while True:
            filled += os.write(writing, b"x" * 4096)
    except BlockingIOError:
        pass
    os.set_blocking(writing, True)  # the flag goes with the pipe to the program
    return reading, writing, filled


def read_all(descriptor: int) -> bytes:
    """Read a pipe until all who write to it have closed it, and close it."""
    found = b""
    while data := os.read(descriptor, 65536):
        found += data
    os.close(descriptor)
    return found

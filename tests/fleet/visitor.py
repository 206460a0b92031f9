"""
A visitor who asks ten times a second, to be run in the hosts' network: `visitor.py ADDRESS HOSTNAME`.

It asks until its standard input ends, each time on a connection of its own, and then prints as JSON how often it asked,
how often it was answered well, and the longest time without a good answer, counted from the first one on.
"""

import json
import select
import socket
import sys
import time

EVERY_SECONDS = 0.1
PATIENCE_SECONDS = 5.0


def is_served(address: str, hostname: str) -> bool:
    try:
        with socket.create_connection((address, 80), PATIENCE_SECONDS) as connection:
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {hostname}\r\nConnection: close\r\n\r\n".encode())
            return connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


def main(address: str, hostname: str) -> None:
    asked = answered = 0
    longest, last = 0.0, None
    while True:
        begun = time.monotonic()
        asked += 1
        if is_served(address, hostname):
            answered += 1
            now = time.monotonic()
            longest = max(longest, now - (now if last is None else last))
            last = now
        rest = max(0.0, begun + EVERY_SECONDS - time.monotonic())
        if select.select([sys.stdin], [], [], rest)[0]:
            break
    if last is not None:
        longest = max(longest, time.monotonic() - last)
    print(json.dumps({"asked": asked, "answered": answered, "longest_seconds": round(longest, 2)}))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""
Which of these TCP ports answer, to be run on a host or beside the hosts: `probe.py ADDRESS PORT...`.

A port answers when the connection is accepted or refused by the host itself; a firewall that drops says nothing.
Prints each port that answers, with `open` or `refused`.
"""

import socket
import sys
from concurrent.futures import ThreadPoolExecutor

WAIT_SECONDS = 1.0


def look(address: str, port: int) -> str | None:
    try:
        with socket.create_connection((address, port), WAIT_SECONDS):
            return f"{port} open"
    except ConnectionRefusedError:
        return f"{port} refused"
    except OSError:
        return None


if __name__ == "__main__":
    address, *ports = sys.argv[1:]
    with ThreadPoolExecutor(len(ports)) as pool:
        for found in pool.map(lambda port: look(address, int(port)), ports):
            if found:
                print(found)

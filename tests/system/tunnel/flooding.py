"""
Agents that misbehave, in a process of their own: each connection sends the same bytes again and again, and reconnects.

    python -m tests.system.tunnel.flooding PORT ROOT CHAIN KEY COUNT HEXADECIMAL

The bytes follow the frame that opens the control stream. It runs until it is killed.
"""

import contextlib
import socket
import ssl
import sys
import threading

OPEN_CONTROL = bytes.fromhex("00 01 0001 00000001 00000000")
SENT_BYTES = 64 * 1024


def flood(port: int, context: ssl.SSLContext, data: bytes) -> None:
    """Send, and come back when hung up on."""
    piece = data * max(1, SENT_BYTES // len(data))
    while True:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port)) as plain,
            context.wrap_socket(plain, server_hostname="edge1.example.org") as secured,
        ):
            secured.sendall(OPEN_CONTROL)
            while True:
                secured.sendall(piece)


def main(port: str, root: str, chain: str, key: str, count: str, data: str) -> None:
    """Run so many of them."""
    context = ssl.create_default_context(cafile=root)
    context.load_cert_chain(chain, key)
    context.set_alpn_protocols(["warp/1"])
    for _ in range(int(count)):
        threading.Thread(target=flood, args=(int(port), context, bytes.fromhex(data))).start()


if __name__ == "__main__":
    main(*sys.argv[1:])

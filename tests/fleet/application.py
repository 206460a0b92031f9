"""
An application behind an agent, to be run on an origin with the host's own Python: `application.py PORT`.

`/` says which host answers and repeats the query, `/slow?seconds=N` writes a line each tenth of a second,
`/large?mib=N` is so many mebibytes, each of bytes that say which it is, `/echo` is a WebSocket. It listens on every
address, so that only the firewall keeps visitors from it. While the file SICK is there, every third `/` fails.
"""

import base64
import hashlib
import itertools
import os
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

SICK = "/run/application-is-sick"
NUMBERS = itertools.count()
WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


class Application(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if asked.path == "/echo":
            self.echo()
            return
        if asked.path == "/large":
            self.download(int(parse_qs(asked.query)["mib"][0]))
            return
        if asked.path != "/slow":
            is_failing = os.path.exists(SICK) and next(NUMBERS) % 3 == 0
            self.answer(f"{socket.gethostname()} {asked.query}\n".encode(), 500 if is_failing else 200)
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(int(float(parse_qs(asked.query)["seconds"][0]) * 10)):
            line = b"%d\n" % number
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.flush()
            time.sleep(0.1)
        self.wfile.write(b"0\r\n\r\n")

    def download(self, mebibytes: int) -> None:
        """Send a file of so many mebibytes."""
        self.send_response(200)
        self.send_header("Content-Length", str(mebibytes << 20))
        self.end_headers()
        for number in range(mebibytes):
            self.wfile.write(bytes([number % 256]) * (1 << 20))

    def echo(self) -> None:
        """Accept a WebSocket, and send back whatever comes."""
        digest = hashlib.sha1((self.headers["Sec-WebSocket-Key"] + WEBSOCKET_GUID).encode()).digest()
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "websocket")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
        self.end_headers()
        while heard := self.connection.recv(1 << 16):
            self.connection.sendall(heard)
        self.close_connection = True

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer.address_family = socket.AF_INET6
    ThreadingHTTPServer.request_queue_size = 4096  # everybody who waited while the edge restarted comes at once
    ThreadingHTTPServer(("::", int(sys.argv[1])), Application).serve_forever()

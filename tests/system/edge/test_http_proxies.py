"""Tests of nginx and HAProxy as HTTP proxies in front of the edge: each request is its own visitor's."""

import json
import re
import socket
from pathlib import Path

from twisted.internet.defer import execute

from tests.case import AsyncTestCase, reactor
from tests.system.edge.harness import LOOPBACK, EdgeHarness, answer_each, get, status_of
from tests.system.edge.test_proxies import FrontProxy
from warp_twisted.edge.policy.delivery.following import PolicyFollower
from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.edge.visitors.http_proxies import HttpProxies
from warp_twisted.policy.sources.prefixes import PrefixSet

ANN, BOB = "127.0.0.9", "127.0.0.10"
FORGED = "203.0.113.66"
POLICY = f"""
defaults: {{ban: {{refusals: 2, within: 1h, for: 1h}}}}
rules:
  - name: not-bob
    match: {{path: /private}}
    sources: {{allow: [{ANN}]}}
  - name: nobody
    match: {{path: /nobody}}
    deny: true
"""
NGINX = """
daemon off; user root; worker_processes 1;
pid {here}/nginx.pid;
error_log {here}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {here}/body; proxy_temp_path {here}/proxy; fastcgi_temp_path {here}/fastcgi;
  uwsgi_temp_path {here}/uwsgi; scgi_temp_path {here}/scgi;
  upstream edge {{ server {edge}; keepalive 1; }}
  server {{
    listen {front};
    location / {{
      proxy_pass http://edge;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto https;
    }}
  }}
}}
"""
HAPROXY = """
global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  http-reuse always
listen front
  bind fd@3
  option forwardfor
  http-request set-header X-Forwarded-Proto https
  server edge {edge}
"""


def is_whole(answer: bytes) -> bool:
    """Whether an answer has arrived to its end; a visitor that leaves before would cost the proxy its connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return length is not None and len(body) >= int(length[1])


class NginxTests(AsyncTestCase):
    """nginx, with one connection to the edge for all visitors."""

    timeout = 30

    async def prepare(self) -> None:
        edge = self.edge = EdgeHarness(reactor)
        edge.origin.answer = answer_each()
        visitors = edge.visitors
        visitors.http_proxies = HttpProxies(PrefixSet.of([LOOPBACK]), say_scheme=True)
        visitors.policy = PolicyInForce()
        file = Path(self.mktemp())
        file.write_text(POLICY)
        PolicyFollower(visitors.policy, reactor, execute).begin(str(file), str(file.parent))
        await edge.start()
        self.clean_up_with(edge.stop)
        here = Path(self.mktemp()).absolute()
        here.mkdir()
        with socket.create_server((LOOPBACK, 0)) as listener:
            listener.setblocking(False)
            self.port = listener.getsockname()[1]
            self.clean_up_with(self.proxy(here, listener, f"{LOOPBACK}:{edge.visitor_port}").stop)

    def proxy(self, here: Path, listener: socket.socket, edge: str) -> FrontProxy:
        """Start the proxy."""
        configuration = here / "nginx.conf"
        configuration.write_text(NGINX.format(here=here, edge=edge, front=f"{LOOPBACK}:{self.port}"))
        # NGINX names the listening sockets that it inherits, as from the process before it in an upgrade.
        return FrontProxy(["/usr/sbin/nginx", "-c", str(configuration), "-p", str(here)], listener, NGINX="3;")

    async def ask(self, address: str, path: bytes = b"/", *lines: bytes) -> tuple[int, dict[str, object]]:
        """Ask from an address; return the status, and the line of the access log."""
        client = await self.edge.visitor(self.port, address)
        client.send(get(path, *lines))
        await client.when(lambda: is_whole(client.received))
        client.close()
        line: dict[str, object] = json.loads(self.edge.access_lines()[-1])
        return status_of(client.received), line

    async def test_each_its_own(self) -> None:
        """On one pooled connection, log, policy and origin know each request's visitor, and nobody can forge it."""
        for _ in range(3):
            for address, private in ((ANN, 200), (BOB, 403)):
                status, line = await self.ask(address)
                self.assertEqual((status, line["visitor"], line["scheme"]), (200, address, "https"))
                seen = self.edge.origin.seen.rpartition(b"GET ")[2]
                self.assertIn(f"\r\nX-Forwarded-For: {address}\r\n".encode(), seen)
                self.assertIn(b"\r\nX-Forwarded-Proto: https\r\n", seen)
                forged = f"X-Forwarded-For: {FORGED}".encode(), f"X-Forwarded-For: {ANN}".encode()
                status, line = await self.ask(address, b"/private", *forged)
                self.assertEqual((status, line["visitor"]), (private, address))
        self.assertNotIn(FORGED.encode(), self.edge.origin.seen)
        self.assertEqual(self.edge.metrics.connections, 1)

    async def test_a_ban(self) -> None:
        """Who is banned is told so, on a connection that goes on for others; here behind two proxies."""
        self.edge.visitors.http_proxies = HttpProxies(PrefixSet.of(["127.0.0.0/8"]))
        banned, other = b"X-Forwarded-For: 203.0.113.9", b"X-Forwarded-For: 203.0.113.10"
        for reason in ("policy-denied", "policy-denied", "banned"):
            status, line = await self.ask(ANN, b"/nobody", banned)
            self.assertEqual((status, line["visitor"], line["reason"]), (403, "203.0.113.9", reason))
        self.assertEqual((await self.ask(ANN, b"/", banned))[0], 403)
        self.assertEqual((await self.ask(ANN, b"/", other))[0], 200)
        self.assertEqual(self.edge.metrics.connections, 1)


class HaProxyTests(NginxTests):
    """HAProxy, which adds a field of its own behind those of the visitor."""

    def proxy(self, here: Path, listener: socket.socket, edge: str) -> FrontProxy:
        """Start the proxy."""
        configuration = here / "haproxy.cfg"
        configuration.write_text(HAPROXY.format(edge=edge))
        return FrontProxy(["/usr/sbin/haproxy", "-db", "-f", str(configuration)], listener)

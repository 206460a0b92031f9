"""Tests of `warp up --host-header` with a whole fleet: an application that answers to no name but its own."""

import json
from collections.abc import Mapping
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from twisted.internet.threads import deferToThread

from tests.case import AsyncTestCase
from tests.system.demo.program import SERVING, DemoPrograms


class OwnNameOnly(BaseHTTPRequestHandler):
    """What development servers and frameworks do: refuse foreign hosts and origins, and name themselves in answers."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer to localhost alone."""
        name = f"localhost:{self.connection.getsockname()[1]}"
        status = 302 if self.headers["Host"] == name else 403
        if self.headers.get("Origin", f"http://{name}") != f"http://{name}":
            status = 400
        self.send_response(status)
        if status == 302:
            self.send_header("Location", f"http://{name}/there?by={self.headers['X-Forwarded-Host']}")
            self.send_header("Set-Cookie", "a=b; Domain=localhost; Path=/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


class HostHeaderTests(AsyncTestCase):
    """A demo, such an application, and `warp up` in another process."""

    timeout = 60

    async def prepare(self) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), OwnNameOnly)
        self.addCleanup(self.server.server_close)
        Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(deferToThread, self.server.shutdown)
        self.demos = DemoPrograms()
        self.clean_up_with(self.demos.close)
        await self.demos.start().printed(SERVING)

    async def ask(self, *options: str) -> tuple[int, Mapping[str, str], str]:
        """Expose the application, and ask it from its own page; return status, headers and the site that was asked."""
        program = self.demos.run("up", "--json", *options, str(self.server.server_address[1]))
        await program.printed('"published"')
        events = [json.loads(line) for line in program.output.splitlines() if line.startswith("{")]
        (site,) = next(event for event in events if event["event"] == "published")["plain_urls"]
        status, fields = await deferToThread(self.fetch, site)
        return status, fields, site

    def fetch(self, site: str) -> tuple[int, Mapping[str, str]]:
        """Fetch a page over HTTP, as a page of the site would."""
        port = self.demos.info().http_port
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/", headers={"Host": site.removeprefix("http://"), "Origin": site})
        response = connection.getresponse()
        connection.close()
        return response.status, dict(response.getheaders())

    async def test_without(self) -> None:
        """The visitor's name reaches the application, which refuses it."""
        self.assertEqual((await self.ask())[0], 400)

    async def test_rewrite(self) -> None:
        """It answers, and what it says of itself leads back to the name that the visitor used."""
        status, fields, site = await self.ask("--host-header", "rewrite")
        name = site.removeprefix("http://")
        self.assertEqual((status, fields["Location"]), (302, f"{site}/there?by={name}"))
        self.assertEqual(fields["Set-Cookie"], f"a=b; Domain={name.partition(':')[0]}; Path=/")

    async def test_name(self) -> None:
        """With a name Host is that and no more is changed, so the application finds the page's Origin foreign."""
        self.assertEqual((await self.ask("--host-header", "localhost"))[0], 400)

"""Tests of `warp_twisted.demo.visitor`, against the demo's application and a name server of two answers."""

import hashlib
import json
import shutil
import time
from datetime import UTC, datetime
from typing import cast

from twisted.internet.address import IPv4Address
from twisted.internet.protocol import DatagramProtocol

from dns import message, rcode, rrset
from tests.case import AsyncTestCase, reactor
from warp_twisted.ca.issue import issue_root, new_key, to_pem
from warp_twisted.demo.application import DemoApplication
from warp_twisted.demo.visitor import Visitor


class _NameServer(DatagramProtocol):
    """Knows `app.warp.example`, denies `gone.warp.example`, and fails for all other names."""

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        answer = message.make_response(message.from_wire(datagram))
        name = answer.question[0].name.to_text()
        if name == "app.warp.example.":
            answer.answer.append(rrset.from_text(name, 5, "IN", "A", "127.0.0.1"))
        else:
            answer.set_rcode(rcode.NXDOMAIN if name == "gone.warp.example." else rcode.SERVFAIL)
        assert self.transport is not None
        self.transport.write(answer.to_wire(), addr)


class VisitorTests(AsyncTestCase):
    """A visitor, whose every name leads to loopback."""

    timeout = 20

    async def prepare(self) -> None:
        self.application = DemoApplication(reactor, reactor)
        await self.application.start()
        self.clean_up_with(self.application.stop)
        port = reactor.listenUDP(0, _NameServer(), "127.0.0.1", 8192)
        self.addCleanup(port.stopListening)
        root = issue_root(new_key(), "test", datetime.fromtimestamp(time.time(), UTC))
        address = cast(IPv4Address, port.getHost())
        self.visitor = Visitor(reactor, address.port, to_pem(root))
        self.clean_up_with(self.visitor.leave)

    def url(self, path: str, scheme: str = "http") -> str:
        """Return a page's address under a name that nobody resolves."""
        return f"{scheme}://app.warp.example:{self.application.port}{path}"

    async def test_get_and_post(self) -> None:
        """Pages are fetched and bodies sent, with the hostname as it was asked for."""
        answer = await self.visitor.get(self.url("/echo"))
        self.assertEqual(answer.status, 200)
        self.assertIn(["host", f"app.warp.example:{self.application.port}"], json.loads(answer.body)["headers"])
        answer = await self.visitor.post(self.url("/upload"), b"warp" * 1000)
        self.assertEqual(json.loads(answer.body)["sha256"], hashlib.sha256(b"warp" * 1000).hexdigest())

    async def test_first_event(self) -> None:
        """An event stream is read up to its first event, and left."""
        self.assertIn(b"data: event 1", await self.visitor.first_event(self.url("/events")))

    async def test_websocket(self) -> None:
        """What is sent over a WebSocket comes back."""
        self.assertEqual(await self.visitor.websocket_echo(self.url("/ws", "ws"), "grüße"), "grüße")

    async def test_lookup(self) -> None:
        """Addresses are found, and a name that does not exist has none: with dig and without."""
        for has_dig in (True, False):
            if not has_dig:
                self.patch(shutil, "which", lambda name: None)
            self.assertEqual(await self.visitor.lookup("app.warp.example"), ["127.0.0.1"])
            self.assertEqual(await self.visitor.lookup("gone.warp.example"), [])

    async def test_lookup_that_fails(self) -> None:
        """An answer that is neither is an error rather than "no such name"."""
        self.patch(shutil, "which", lambda name: None)
        with self.assertRaisesRegex(ValueError, "DNS answered SERVFAIL for broken.warp.example"):
            await self.visitor.lookup("broken.warp.example")

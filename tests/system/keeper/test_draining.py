"""Tests of a process that drains below a real keeper: what reaches it, and what ends it."""

import contextlib
import json
import socket
from time import monotonic

from tests.system.keeper.kept_edge import KeptEdgeTestCase

CUT_SECONDS = 1.0  # the registry is read twice a second
OTHER = "198.51.100.7"  # a visitor who comes through a proxy
LIFETIME = 8  # seconds of agents' certificates
EXPIRY_SECONDS = 30  # in which each tunnel is looked at: whether its certificate has ended


class DrainingTests(KeptEdgeTestCase):
    """WebSockets that stay at processes which others have followed."""

    sections = {"ca": {"agent_lifetime": LIFETIME}, "forwarding": {"x_forwarded_for": ["127.0.0.1"]}}

    def websocket(self, fields: str = "") -> socket.socket:
        """Open one at the process that serves."""
        connection, head = self.visitors.connect("/socket", f"Upgrade: websocket\r\nConnection: Upgrade\r\n{fields}")
        self.addCleanup(connection.close)
        self.assertTrue(head.startswith(b"HTTP/1.1 101"), head)
        return connection

    def echoes(self, connection: socket.socket) -> bool:
        """Return whether it goes on."""
        with contextlib.suppress(OSError):
            connection.sendall(b"x")
            return connection.recv(1) == b"x"
        return False

    def seconds_until_cut(self, connection: socket.socket) -> float:
        """Wait for its end."""
        began_at = monotonic()
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(connection.recv(1), b"")
        return monotonic() - began_at

    def draining(self) -> int:
        """Return how many processes drain."""
        return len(self.ask("status").words("draining"))

    def test_what_reaches_it(self) -> None:
        """Certificates that are renewed elsewhere keep its tunnels, a ban and a revocation cut what it holds."""
        banned, kept = self.websocket(f"X-Forwarded-For: {OTHER}\r\n"), self.websocket()
        self.ask("restart")
        until = monotonic() + LIFETIME + EXPIRY_SECONDS + 2
        while monotonic() < until:
            self.assertTrue(self.echoes(banned) and self.echoes(kept))
        self.warp("ban", "add", OTHER)
        seconds = {"ban": self.seconds_until_cut(banned)}
        self.assertTrue(self.echoes(kept))
        (agent,) = {tunnel["agent"] for tunnel in json.loads(self.warp("status", "--json"))["tunnels"]}
        self.warp("agent", "revoke", agent)
        seconds["revocation"] = self.seconds_until_cut(kept)
        self.until(lambda: not self.draining())
        self.assertIn("ended with status 0", self.log.read_text())
        print(f"\nseconds until cut: {seconds}")
        self.assertLess(max(seconds.values()), CUT_SECONDS)

    def test_too_many(self) -> None:
        """Before a third old process drains, the oldest ends in order, and who asked hears what that cuts."""
        sockets = [self.websocket()]
        for _ in range(2):
            self.ask("restart")
            sockets.append(self.websocket())
        self.assertTrue(all(map(self.echoes, sockets)))
        oldest = self.ask("status").words("draining")[0]
        self.ask("restart")
        self.assertIn(f"process {oldest}, which is ended, finishes 1 WebSocket", self.steps)
        self.seconds_until_cut(sockets[0])
        self.assertTrue(all(map(self.echoes, sockets[1:])))
        self.until(lambda: self.draining() == 2)
        log = self.log.read_text()
        self.assertIn("this process is told to end, and cuts what it has left: 1 WebSocket", log)
        self.assertNotIn("SIGKILL", log)

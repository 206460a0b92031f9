"""How an edge starts and stops: what is open when, and what is left when it does not come up."""

import json
import socket
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tests.case import until
from tests.system.edge.live import HOST, ZONE, make_node
from tests.system.edge.test_admin import AdminTestCase
from warp_twisted.errors import InvalidSettings
from warp_twisted.registry.errors import StoreInUse
from warp_twisted.registry.model import Edge, Tunnel
from warp_twisted.testing import RecordingDelegate
from warp_twisted.wire.control import Accepted


class RestartTests(AdminTestCase):
    """An edge that was restarted waits for its agents before it lets visitors in."""

    sections: dict[str, object] = {"timeouts": {"drain": 1, "settle": 5}}

    async def test_visitors_wait_for_agents(self) -> None:
        """After a restart visitors wait in the socket's queue, and records are not shown, until the agents are back."""
        agent = await self.agent()
        await agent.register(f"app.{ZONE}")
        await self.node.stopService()
        self.node = make_node(self.directory, **self.sections)
        self.node.startService()
        self.addCleanup(self.stop, self.node)
        await until(lambda: bool(self.node.ports.tunnel))
        self.assertFalse(self.node.started.called)
        self.assertEqual((await self.call("GET", "/v1/records"))[0], 503)
        self.assertEqual((await self.call("GET", "/ready"))[1]["parts"]["listeners"], False)

        def visit() -> bytes:
            with socket.create_connection((HOST, self.node.ports.http[0]), timeout=5) as visitor:
                visitor.sendall(b"GET / HTTP/1.1\r\nHost: other.warp.test\r\nConnection: close\r\n\r\n")
                return visitor.recv(100)

        visiting = deferToThread(visit)
        agent.port = self.port
        agent.delegate.messages.clear()
        agent.delegate.losses.clear()
        self.assertIsInstance(await agent.register(f"app.{ZONE}"), Accepted)
        await self.node.started
        self.assertIn(b" 404 ", await visiting)
        self.assertEqual((await self.call("GET", "/v1/records"))[0], 200)

    async def test_stop_in_the_middle_of_the_start(self) -> None:
        """A stop while agents are waited for takes everything down again, and the next start finds the same state."""
        await self.node.stopService()
        (self.directory / "state" / "served.json").write_text(json.dumps([f"app.{ZONE}"]))
        node = make_node(self.directory, **self.sections)
        node.startService()
        await until(lambda: bool(node.ports.tunnel))
        await node.stopService()
        self.assertEqual((node.parts.listeners.names, node.started.called), (frozenset(), False))
        self.assertEqual(json.loads((self.directory / "state" / "served.json").read_text()), [f"app.{ZONE}"])
        with self.assertRaises(OSError):
            socket.create_connection((HOST, node.ports.tunnel[0]), timeout=1)


class FailureTests(AdminTestCase):
    """What stops an edge from starting, and that nothing of it stays."""

    async def refused(self, **sections: Any) -> str:
        """Return the reason why an edge of other files does not start."""
        directory = Path(self.mktemp())
        directory.mkdir()
        listen = {"admin": None, "metrics": None} | sections.pop("listen", {})
        node = make_node(directory, listen=listen, **sections)
        try:
            node.startService()
            await node.started
        except InvalidSettings as error:
            reason = str(error)
        else:
            self.fail("the edge started")
        await node.stopService()
        self.assertEqual((node.parts.listeners.names, node.running), (frozenset(), False))
        make_node(directory, listen=listen).parts.store.close()  # its state is free again
        return reason

    async def test_port_in_use(self) -> None:
        """A port that is taken is named."""
        taken = f"tcp:{self.port}:interface=127.0.0.1"
        self.assertIn(taken, await self.refused(listen={"tunnel": [taken]}))
        self.assertIn(taken, await self.refused(listen={"http": [taken]}))

    async def test_not_an_endpoint(self) -> None:
        """Text that is no endpoint is named."""
        self.assertIn("nonsense:x", await self.refused(listen={"http": ["nonsense:x"]}))

    async def test_admin_socket_that_cannot_be(self) -> None:
        """A socket that cannot be made is named, with the reason."""
        path = str(self.directory / ("x" * 120))
        self.assertIn("too long", await self.refused(listen={"admin": path}))

    async def test_state_in_use(self) -> None:
        """A second edge on the same state directory is refused before it touches anything."""
        self.assertRaises(StoreInUse, make_node, self.directory)

    async def test_access_log_that_cannot_be_written(self) -> None:
        """An access log in a directory that is not there is named, and the state stays free."""
        directory = Path(self.mktemp())
        directory.mkdir()
        error = self.assertRaises(InvalidSettings, make_node, directory, log={"access": "/nonexistent/access.log"})
        self.assertIn("log.access: /nonexistent/access.log", str(error))
        await make_node(directory).parts.store.close()

    async def test_dns_port_in_use(self) -> None:
        """A port that DNS cannot have is named, though it is asked for last."""
        host, port = self.node.ports.dns[0]
        self.assertIn(str(port), await self.refused(listen={"dns": [f"{host}:{port}"]}))


class DrainTests(AdminTestCase):
    """A planned stop."""

    async def test_order(self) -> None:
        """Agents are told, listeners close, names that nobody else serves stay, operators see it until it is over."""
        agent = await self.agent()
        await agent.register(f"app.{ZONE}")
        draining: Deferred[None] = self.node.drain()
        await until(lambda: bool(agent.delegate.drains))
        self.assertTrue(self.published(f"app.{ZONE}"))
        self.assertFalse(self.published(f"_warp-edge._tcp.{ZONE}"))
        await draining
        with self.assertRaises(OSError):
            socket.create_connection((HOST, self.port), timeout=1)
        self.assertEqual((await self.call("GET", "/live"))[0], 200)
        self.assertFalse(agent.tunnels[0].is_over)
        await self.node.stopService()
        await until(lambda: agent.tunnels[0].is_over)


class DrainAloneTests(AdminTestCase):
    """How long a stop waits for what does not end by itself."""

    sections: dict[str, object] = {"timeouts": {"drain": 300, "drain_alone": 0.5, "settle": 0, "origin_connect": 60}}

    async def drain_with_a_request(self) -> tuple["Deferred[None]", socket.socket, RecordingDelegate]:
        """Begin to drain while a request waits for an agent that does not answer, and see what agents are told."""
        agent = await self.agent()
        await agent.register(f"app.{ZONE}")
        visitor = socket.create_connection((HOST, self.node.ports.http[0]), timeout=5)
        self.addCleanup(visitor.close)
        visitor.sendall(f"GET / HTTP/1.1\r\nHost: app.{ZONE}\r\n\r\n".encode())
        await until(lambda: agent.tunnels[0].stream_count > 0)
        draining = self.node.drain()
        await until(lambda: bool(agent.delegate.drains))
        return draining, visitor, agent.delegate

    async def test_nowhere_to_go(self) -> None:
        """The only edge of a registry stops soon, as visitors who come meanwhile have no other."""
        draining, visitor, told = await self.drain_with_a_request()
        self.assertEqual([each.deadline_seconds for each in told.drains], [0.5])
        visitor.setblocking(False)
        await draining
        self.assertRaises(BlockingIOError, visitor.recv, 1)  # it was waited for until the end

    async def test_beside_another(self) -> None:
        """Where another edge takes agents and visitors, what is under way has all its time."""
        other = Edge(name="b", addresses=("192.0.2.4",), tunnel_port=1)
        self.node.parts.mirror.learn({other.key: other})
        draining, visitor, told = await self.drain_with_a_request()
        self.assertEqual([each.deadline_seconds for each in told.drains], [300])
        self.assertFalse(draining.called)
        visitor.close()
        # Its agent is at this edge alone, so visitors are let in until it has moved.
        visitor = socket.create_connection((HOST, self.node.ports.http[0]), timeout=5)
        self.addCleanup(visitor.close)
        visitor.sendall(f"GET / HTTP/1.1\r\nHost: other.{ZONE}\r\nConnection: close\r\n\r\n".encode())
        self.assertTrue((await deferToThread(visitor.recv, 100)).startswith(b"HTTP/1.1 404 "))
        [agent] = {tunnel.agent for tunnel in self.node.parts.mirror.tunnels.values()}
        moved = Tunnel(id="t-1", agent=agent, slot=0, edge="b")
        self.node.parts.mirror.learn({moved.key: moved})
        await draining
        with self.assertRaises(OSError):
            socket.create_connection((HOST, self.node.ports.http[0]), timeout=1)

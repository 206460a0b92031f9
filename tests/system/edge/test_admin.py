"""The admin interface of a live edge, over its unix socket."""

import http.client
import json
import os
import socket
import stat
from typing import Any

from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.threads import deferToThread

from tests.case import reactor, short_directory_of, until
from tests.system.edge.live import ZONE, make_node
from tests.system.edge.test_identity import LiveEdgeTestCase
from warp_dns.beside.records import EdgeRecords
from warp_twisted.edge.operators.bodies import MAX_BODY_BYTES
from warp_twisted.edge.operators.published import MAX_WATCHERS
from warp_twisted.edge.operators.record_watch import RecordWatch
from warp_twisted.errors import InvalidSettings
from warp_twisted.wire.control import OriginHealth


class UnixConnection(http.client.HTTPConnection):
    """HTTP on a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=5)
        self.path = path

    def connect(self) -> None:
        """Connect to the socket's path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(5)
        self.sock.connect(self.path)


class AdminTestCase(LiveEdgeTestCase):
    """Calls from a thread, so that the edge in the reactor can answer."""

    @property
    def path(self) -> str:
        """Where the socket is."""
        return str(self.directory / "admin.sock")

    def call(self, method: str, target: str, body: object = None) -> "Deferred[tuple[int, Any]]":
        """Make one call; fires with status and decoded answer."""

        def work() -> tuple[int, Any]:
            connection = UnixConnection(self.path)
            text = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
            connection.request(method, target, text)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            is_json = answer.headers["content-type"].startswith("application/json")
            return answer.status, json.loads(content) if is_json else content.decode()

        return deferToThread(work)


class CallsTests(AdminTestCase):
    """Each call of the table in architecture.md."""

    def test_mode(self) -> None:
        """The socket is for its owner and group only."""
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o660)

    async def test_tokens(self) -> None:
        """Tokens are made, listed without their secret, and revoked."""
        wish = {"hostnames": ["*.team.warp.test"], "labels": {"release": "stable"}, "ttl_seconds": 60, "uses": 2}
        status, made = await self.call("POST", "/v1/tokens", wish)
        self.assertEqual((status, made["uses_left"], made["hostnames"]), (200, 2, ["*.team.warp.test"]))
        self.assertTrue(made["token"].startswith("warp1-"))
        status, listed = await self.call("GET", "/v1/tokens")
        self.assertEqual((status, [token["id"] for token in listed]), (200, [made["id"]]))
        self.assertNotIn("token", listed[0])
        self.assertNotIn("secret", json.dumps(listed))
        self.assertEqual((await self.call("DELETE", f"/v1/tokens/{made['id']}"))[0], 200)
        self.assertEqual((await self.call("GET", "/v1/tokens"))[1], [])
        self.assertEqual((await self.call("DELETE", f"/v1/tokens/{made['id']}"))[0], 404)

    async def test_bad_tokens(self) -> None:
        """What cannot be a token is refused with a sentence."""
        wishes: tuple[object, ...] = (
            None,
            {},
            {"hostnames": []},
            {"hostnames": ["a.*.example"]},
            {"hostnames": ["*.elsewhere.example"]},
            {"hostnames": ["*.warp.test"], "uses": 0},
            {"hostnames": ["*.warp.test"], "ttl_seconds": -1},
            {"hostnames": ["*.warp.test"], "labels": {"-": "x"}},
            {"hostnames": ["*.warp.test"], "unknown": 1},
            b"not json",
            b"x" * (MAX_BODY_BYTES + 1),
        )
        for wish in wishes:
            status, answer = await self.call("POST", "/v1/tokens", wish)
            self.assertEqual(status, 400, answer)
            self.assertTrue(answer["error"])

    async def test_agents(self) -> None:
        """Agents are listed with their tunnels, and revoked."""
        agent = await self.agent()
        await agent.register(f"app.{ZONE}")
        status, listed = await self.call("GET", "/v1/agents")
        self.assertEqual((status, listed[0]["id"], listed[0]["tunnels"]), (200, agent.id, 1))
        status, _ = await self.call("DELETE", f"/v1/agents/{agent.id}", {"reason": "stolen"})
        self.assertEqual(status, 200)
        await until(lambda: agent.tunnels[0].is_over)
        _, listed = await self.call("GET", "/v1/agents")
        self.assertEqual((listed[0]["id"], listed[0]["reason"]), (agent.id, "stolen"))
        self.assertEqual((await self.call("DELETE", "/v1/agents/a-unknown"))[0], 404)

    async def test_status(self) -> None:
        """The status shows edges, tunnels, routes and agents."""
        agent = await self.agent()
        await agent.register(f"app.{ZONE}", labels={"release": "canary"})
        status, shown = await self.call("GET", "/v1/status")
        self.assertEqual(status, 200)
        self.assertEqual((shown["edge"]["name"], shown["edge"]["ready"], shown["edge"]["tunnels"]), ("edge1", True, 1))
        self.assertEqual([edge["name"] for edge in shown["edges"]], ["edge1"])
        (tunnel,) = shown["tunnels"]
        self.assertEqual(
            (tunnel["agent"], tunnel["hostnames"], tunnel["labels"], tunnel["address"]),
            (agent.id, [f"app.{ZONE}"], {"release": "canary"}, "127.0.0.1"),
        )
        self.assertEqual([(route["hostname"], route["tunnels"]) for route in shown["routes"]], [(f"app.{ZONE}", 1)])
        self.assertEqual([each["id"] for each in shown["agents"]], [agent.id])
        agent.tunnels[0].send_control(OriginHealth(route_id=0, healthy=False, detail="connection refused"))
        await until(lambda: bool(next(iter(self.node.parts.tunnels.registrations.by_id.values())).unhealthy))
        _, shown = await self.call("GET", "/v1/status")
        self.assertEqual(shown["routes"][0]["unhealthy"], {agent.id: "connection refused"})

    async def test_records(self) -> None:
        """The records are those that DNS publishes."""
        agent = await self.agent()
        await agent.register(f"app.{ZONE}")
        status, records = await self.call("GET", "/v1/records")
        self.assertEqual(status, 200)
        self.assertIn(
            {"name": f"app.{ZONE}", "type": "A", "ttl": 5, "rdata": "127.0.0.1", "edge": "edge1"},
            records[f"app.{ZONE}"],
        )

    async def test_live_and_ready(self) -> None:
        """A live edge says that it is, and which parts serve."""
        self.assertEqual(await self.call("GET", "/live"), (200, {"live": True}))
        status, ready = await self.call("GET", "/ready")
        self.assertEqual((status, ready["ready"]), (200, True))
        self.assertEqual(set(ready["parts"]), {"listeners", "registry", "records", "accepting", "policy", "dns"})

    async def test_metrics(self) -> None:
        """Metrics of control side, data path and DNS are on one page."""
        agent = await self.agent()
        await agent.register(f"app.{ZONE}")
        status, text = await self.call("GET", "/metrics")
        self.assertEqual(status, 200)
        for line in (
            "warp_edge_tunnels 1.0",
            "warp_edge_tunnels_registered_total 1.0",
            'warp_edge_ready{part="dns"} 1.0',
        ):
            self.assertIn(line, text)
        for family in ("warp_edge_requests_total", "warp_dns_queries_total", "warp_edge_streams"):
            self.assertIn(family, text)

    async def test_no_such_call(self) -> None:
        """Unknown calls and methods are errors in the same form as all others."""
        self.assertEqual(await self.call("GET", "/v1/nothing"), (404, {"error": "no such call"}))
        self.assertEqual((await self.call("PUT", "/v1/tokens"))[0], 405)

    async def test_reload_without_a_file(self) -> None:
        """An edge that was not started from a file says that it cannot reload."""
        status, answer = await self.call("POST", "/v1/reload")
        self.assertEqual((status, "configuration file" in answer["error"]), (409, True))

    async def test_drain(self) -> None:
        """A drained edge tells its agents, and is not ready; names of its own stay in DNS; its socket answers."""
        agent = await self.agent()
        await agent.register(f"app.{ZONE}")
        self.assertEqual((await self.call("POST", "/v1/drain"))[1], {"draining": True})
        await until(lambda: bool(agent.delegate.drains))
        self.assertTrue(self.published(f"app.{ZONE}"))
        status, ready = await self.call("GET", "/ready")
        self.assertEqual((status, ready["parts"]["accepting"]), (503, False))

    async def test_observation_over_tcp(self) -> None:
        """The metrics listener serves what monitoring may see, and nothing else."""
        port = self.node.ports.metrics

        def get(target: str) -> int:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", target)
            status = connection.getresponse().status
            connection.close()
            return status

        for target, expected in (("/live", 200), ("/ready", 200), ("/metrics", 200), ("/v1/status", 404)):
            self.assertEqual(await deferToThread(get, target), expected)


class WatchTests(AdminTestCase):
    """Records as they change."""

    def open(self) -> UnixConnection:
        """Begin to watch."""
        connection = UnixConnection(self.path)
        connection.request("GET", "/v1/records?watch=1")
        return connection

    async def test_watch(self) -> None:
        """A watcher is sent the records as they are, then each change, one JSON object a line."""
        agent = await self.agent()
        connection = self.open()
        answer = await deferToThread(connection.getresponse)
        first = json.loads(await deferToThread(answer.readline))
        self.assertIn(f"edge1.{ZONE}", first)

        async def next_of_the_hostname() -> list[dict[str, object]]:
            while True:
                line = json.loads(await deferToThread(answer.readline))
                if f"app.{ZONE}" in line:
                    return list(line[f"app.{ZONE}"])

        await agent.register(f"app.{ZONE}")
        came = await next_of_the_hostname()
        self.assertEqual(came[0]["rdata"], "127.0.0.1")
        agent.tunnels[0].close()
        self.assertEqual(await next_of_the_hostname(), [])
        connection.close()
        await until(lambda: not self.node.parts.admin._published._watchers)

    async def test_slow_watcher_is_not_buffered_without_bound(self) -> None:
        """Changes that a watcher does not read are merged, and it catches up with the latest."""
        agent = await self.agent()
        connection = self.open()
        await until(lambda: bool(self.node.parts.admin._published._watchers))
        (watcher,) = self.node.parts.admin._published._watchers
        assert isinstance(watcher, RecordWatch)
        watcher._stream.pauseProducing()
        for _ in range(3):
            await agent.register(f"app.{ZONE}")
            agent.tunnels.pop().close()
            await until(lambda: not self.published(f"app.{ZONE}"))
        self.assertEqual(watcher._waiting[f"app.{ZONE}"], ())
        watcher._stream.resumeProducing()
        await until(lambda: not watcher._waiting)
        answer = await deferToThread(connection.getresponse)
        await deferToThread(answer.readline)
        self.assertEqual(json.loads(await deferToThread(answer.readline))[f"app.{ZONE}"], [])
        connection.close()

    async def test_too_many_watchers(self) -> None:
        """Watchers over the limit are refused."""
        connections = [await deferToThread(self.open) for _ in range(MAX_WATCHERS)]
        await until(lambda: len(self.node.parts.admin._published._watchers) == MAX_WATCHERS)
        status, _ = await self.call("GET", "/v1/records?watch=1")
        self.assertEqual(status, 503)
        for connection in connections:
            connection.close()
        await until(lambda: not self.node.parts.admin._published._watchers)

    async def test_stop_ends_watchers(self) -> None:
        """A stopping edge ends the answers that go on for ever."""
        connection = self.open()
        answer = await deferToThread(connection.getresponse)
        await deferToThread(answer.readline)
        await self.node.stopService()
        last = (await deferToThread(answer.read)).splitlines()  # it takes no agents any more
        self.assertIn({f"_warp-edge._tcp.{ZONE}": []}, [json.loads(line) for line in last])
        connection.close()


class SocketTests(AdminTestCase):
    """The socket's file."""

    async def test_stale_socket(self) -> None:
        """A socket that a killed edge left is taken over."""
        await self.node.stopService()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
            left.bind(self.path)
        self.node = await self.start()
        self.assertEqual((await self.call("GET", "/live"))[0], 200)

    async def test_socket_in_use(self) -> None:
        """A socket on which another edge answers is not taken, and nothing of the second edge stays."""
        other = self.directory / "other"
        other.mkdir()
        listen = {"admin": self.path, "metrics": None}
        node = make_node(other, listen=listen)
        self.assertRaises(InvalidSettings, node.startService)
        await node.stopService()
        self.assertEqual(node.parts.listeners.names, frozenset())
        self.assertEqual((await self.call("GET", "/live"))[0], 200)

    async def test_something_else_in_its_place(self) -> None:
        """A file that is no socket is never removed."""
        await self.node.stopService()
        with open(self.path, "w") as file:
            file.write("precious")
        node = make_node(self.directory)
        self.assertRaises(InvalidSettings, node.startService)
        await node.stopService()
        with open(self.path) as file:
            self.assertEqual(file.read(), "precious")
        os.unlink(self.path)


class RecordsSocketTests(AdminTestCase):
    """`listen.records`, the socket for a name server in a process of its own."""

    async def prepare(self) -> None:
        """Listen in a directory whose group the files in it get, as the role makes it."""
        self.place = short_directory_of(self)
        self.group = 65534 if os.getuid() == 0 else os.getgid()
        os.chown(self.place, -1, self.group)
        self.place.chmod(0o2750)
        self.sections = {"listen": {"records": self.path}}
        await super().prepare()

    @property
    def path(self) -> str:
        """Where the socket is."""
        return str(self.place / "records.sock")

    def test_mode(self) -> None:
        """The socket is for its owner, and for the group of its directory."""
        found = os.stat(self.path)
        self.assertEqual((stat.S_IMODE(found.st_mode), found.st_gid), (0o660, self.group))

    async def test_calls(self) -> None:
        """Records and readiness are there; what the admin interface has beside them is not."""
        self.assertIn(f"edge1.{ZONE}", (await self.call("GET", "/v1/records"))[1])
        self.assertEqual((await self.call("GET", "/ready"))[0], 200)

        def status(method: str, target: str) -> int:
            connection = UnixConnection(self.path)
            connection.request(method, target, b"{}")
            code = connection.getresponse().status
            connection.close()
            return code

        for method, target in (("GET", "/v1/status"), ("POST", "/v1/tokens"), ("POST", "/v1/drain")):
            self.assertEqual(await deferToThread(status, method, target), 404, target)

    async def test_name_server_follows(self) -> None:
        """The name server's own client is told of what comes and goes, also after the edge was started again."""
        current: DeferredQueue[bool] = DeferredQueue()
        records = EdgeRecords(reactor, self.path, 1000.0, current.put)
        records.start()
        self.addCleanup(records.stop)
        self.assertTrue(await current.get())
        await (await self.agent()).register(f"app.{ZONE}")
        await until(lambda: f"app.{ZONE}" in records.snapshot())
        await self.node.stopService()
        self.assertFalse(os.path.exists(self.path))
        await until(lambda: f"_warp-edge._tcp.{ZONE}" not in records.snapshot())
        self.assertIn(f"app.{ZONE}", records.snapshot())
        self.node = await self.start()
        await until(lambda: f"_warp-edge._tcp.{ZONE}" in records.snapshot())

    async def test_as_many_watchers_as_at_the_admin_socket(self) -> None:
        """Watchers over the limit are refused here, and take no place of those at the admin socket."""

        def open_watch(path: str) -> UnixConnection:
            connection = UnixConnection(path)
            connection.request("GET", "/v1/records?watch=1")
            return connection

        connections = [await deferToThread(open_watch, self.path) for _ in range(MAX_WATCHERS)]
        await until(lambda: len(self.node.parts.published._watchers) == MAX_WATCHERS)
        self.assertEqual((await self.call("GET", "/v1/records?watch=1"))[0], 503)
        connections.append(await deferToThread(open_watch, str(self.directory / "admin.sock")))
        answer = await deferToThread(connections[-1].getresponse)
        self.assertEqual(answer.status, 200)
        for connection in connections:
            connection.close()
        await until(lambda: not self.node.parts.published._watchers)

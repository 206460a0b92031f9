"""
Tests of guards on real sockets: agents with tunnels over TLS, origins of theirs, visitors, a receiver of notices.

The window of a guard is ten seconds at least, so each test that waits for one takes as long.
"""

import json
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.threads import deferToThread
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from tests.case import reactor, until
from tests.cli.invoke import invoke
from tests.system.agent.origins import listen_at, port_of
from tests.system.edge.harness import OriginConnection, RawConnection, RawOrigin, StubAgent, status_of
from tests.system.edge.live import HOST, ZONE
from tests.system.edge.test_policy_node import VisitedEdgeTestCase
from warp_twisted.routing.outliers import FAILURES
from warp_twisted.testing import RecordingDelegate
from warp_twisted.tunnel import TunnelProtocol
from warp_twisted.wire.control import Accepted
from warp_twisted.wire.streams import Stream

HOSTNAME = f"app.{ZONE}"
WINDOW = 10.0
GUARD = "guard: {selector: release=canary, over: 10s, minimum: 20"
REQUEST = f"GET / HTTP/1.1\r\nHost: {HOSTNAME}\r\n\r\n".encode()


class Serving(RecordingDelegate):
    """The agent's end of a tunnel: a byte pipe to its origin."""

    def __init__(self, origin_port: int) -> None:
        super().__init__()
        self._pipe = StubAgent(reactor, origin_port)

    def stream_opened(self, tunnel: TunnelProtocol, stream: Stream, route_id: int) -> None:
        """Connect it to the origin."""
        self._pipe.stream_opened(tunnel, stream, route_id)


class Release(RawOrigin):
    """
    An origin of one release, which answers with its name.

    :ivar statuses: of its answers, in turn; `seconds`: how long each takes.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.statuses: Sequence[int] = (200,)
        self.answered = 0
        self.seconds = 0.0
        self.answer = self.respond

    def respond(self, connection: OriginConnection) -> None:
        """Answer one request."""
        if not connection.received.endswith(b"\r\n\r\n"):
            return
        connection.take()
        status = self.statuses[self.answered % len(self.statuses)]
        self.answered += 1
        head = f"HTTP/1.1 {status} x\r\nX-Release: {self.name}\r\nContent-Length: 0\r\n\r\n".encode()
        reactor.callLater(self.seconds, lambda: None if connection.is_lost else connection.send(head))


class Receiver(Resource):
    """Where notices are told."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []

    def render_POST(self, request: Request) -> bytes:
        """Take one."""
        assert request.content is not None
        self.told.append(json.loads(request.content.read()))
        return b""


class GuardsTestCase(VisitedEdgeTestCase):
    """Two releases of an application, each with an agent and an origin."""

    timeout = 120

    async def prepare(self) -> None:
        self.sections = {"timeouts": {"drain": 1, "settle": 0}}
        await super().prepare()
        self.receiver = Receiver()
        site = Site(self.receiver)
        site.noisy = False
        self.notify = f"http://{HOST}:{await self.listen(site)}/hook"
        self.releases = {name: Release(name) for name in ("stable", "canary")}
        self.ports = {name: await self.listen(release) for name, release in self.releases.items()}
        self.clients: list[RawConnection] = []
        self.clean_up_with(self.hang_up)

    async def listen(self, factory: IProtocolFactory) -> int:
        """Listen until the test ends; return the port."""
        port = listen_at(TCP4ServerEndpoint(reactor, 0, interface=HOST), factory)
        self.addCleanup(port.stopListening)
        return port_of(port)

    async def serve_release(self, name: str) -> None:
        """Have an agent serve a release."""
        agent = await self.agent()
        agent.delegate = Serving(self.ports[name])
        answer = await agent.register(HOSTNAME, labels={"release": name})
        self.assertIsInstance(answer, Accepted, answer)

    async def hang_up(self) -> None:
        """Close what is left of connections."""
        for client in [*self.clients, *(each for release in self.releases.values() for each in release.connections)]:
            if not client.is_lost:
                client.abort()
                await client.lost()

    async def use(self, stable: int, canary: int, more: str = "", rules: str = "[]") -> None:
        """Apply a policy to the fleet, as `warp policy apply` does."""
        split = f"{{selector: release=stable, weight: {stable}}}, {{selector: release=canary, weight: {canary}}}"
        text = f"rules: {rules}\nrouting: [{{hostname: {HOSTNAME}, split: [{split}], {GUARD}{more}}}}}]"
        status, answer = await self.call("POST", "/v1/policy", text.encode())
        self.assertEqual((status, answer["in_force"]), (200, True), answer)

    async def ask_some(self, count: int, at_once: int = 5) -> Counter[tuple[str, int]]:
        """Ask some times, on a few connections; return how often which release answered with which status."""
        found: Counter[tuple[str, int]] = Counter()

        async def some(times: int) -> None:
            client = RawConnection()
            await connectProtocol(TCP4ClientEndpoint(reactor, HOST, self.node.ports.http[0]), client)
            self.clients.append(client)
            for _ in range(times):
                client.send(REQUEST)
                await client.when(lambda: b"\r\n\r\n" in client.received or client.is_lost)
                answer = client.take()
                name = answer.partition(b"X-Release: ")[2].partition(b"\r\n")[0].decode()
                found[name, status_of(answer)] += 1
            client.close()

        await gatherResults([Deferred.fromCoroutine(some(count // at_once)) for _ in range(at_once)])
        return found

    async def split(self) -> Any:
        """Return what an operator is told of the split."""
        _, (split,) = await self.call("GET", "/v1/splits")
        return split

    async def parts(self) -> Sequence[float]:
        """Return what stable and canary get."""
        return [share["part"] for share in (await self.split())["shares"]]

    async def until_worse(self, seconds: float = 2 * WINDOW) -> float:
        """Ask until the guard has found the canary worse; return for how long."""
        began = monotonic()
        while not (await self.split())["guard"]["action"]:
            await self.ask_some(20)
            self.assertLess(monotonic() - began, seconds, await self.split())
        return monotonic() - began


class BackTests(GuardsTestCase):
    """A canary that is taken back."""

    async def test_errors(self) -> None:
        """
        One that answers 500 every other time is taken back within its window, which is told, shown and kept.

        Neither a restart nor a policy that leaves the split alone undoes it; a reset does.
        """
        for name in self.releases:
            await self.serve_release(name)
        await self.use(50, 50, f", notify: '{self.notify}'")
        self.releases["canary"].statuses = (200, 500)
        self.assertLess(await self.until_worse(), WINDOW)
        self.assertEqual(set(await self.ask_some(40)), {("stable", 200)})
        self.assertEqual(await self.parts(), [1.0, 0.0])
        await until(lambda: bool(self.receiver.told))
        (told,) = self.receiver.told
        self.assertEqual((told["hostname"], told["selector"], told["action"]), (HOSTNAME, "release=canary", "back"))
        self.assertIn("does worse than the others, so it gets nothing any more: errors", told["text"])
        said = f"{HOSTNAME}: Guard of release=canary: worse (errors"
        for _ in range(2):
            ran = await deferToThread(invoke, "status", "--admin", self.path)
            self.assertIn(said, ran.output)
            self.assertIn("since edge1 found that, it gets nothing", ran.output)
            await until(lambda: HOSTNAME in self.node.parts.mirror.guarded)
            await self.restart()
            self.assertEqual(await self.parts(), [1.0, 0.0])
        await self.use(50, 50, f", notify: '{self.notify}'", "[{name: more}]")
        self.assertEqual(await self.parts(), [1.0, 0.0])
        status, _ = await self.call("DELETE", f"/v1/shifts/{HOSTNAME}")
        self.assertEqual((status, await self.parts()), (200, [0.5, 0.5]))
        self.assertEqual(len(self.receiver.told), 1)

    async def test_slow(self) -> None:
        """One that takes three times as long is taken back; its answers are good ones."""
        for name in self.releases:
            await self.serve_release(name)
        self.releases["stable"].seconds, self.releases["canary"].seconds = 0.1, 0.3
        await self.use(50, 50, ", p99: 1.5x")
        self.assertLess(await self.until_worse(), 2 * WINDOW)
        guard = (await self.split())["guard"]
        self.assertIn("took longer than 1.5 times the others' slowest hundredth", guard["reason"])
        self.assertEqual((guard["verdict"], await self.parts()), ("worse", [1.0, 0.0]))

    async def test_never_healthy(self) -> None:
        """A shift to a canary that never comes is taken back after a window."""
        await self.serve_release("stable")
        await self.use(90, 10, f", notify: '{self.notify}'")
        wish = {"hostname": HOSTNAME, "selector": "release=canary", "percent": 50}
        self.assertEqual((await self.call("POST", "/v1/shifts", wish))[0], 200)
        began = monotonic()
        found = await self.ask_some(20)
        await until(lambda: bool(self.receiver.told), 3 * WINDOW)
        self.assertGreater(monotonic() - began, WINDOW - 2)
        found += await self.ask_some(20)
        self.assertEqual(found, Counter({("stable", 200): 40}))  # nobody was lost meanwhile
        self.assertIn("none of its tunnels became healthy in 10 s", self.receiver.told[0]["reason"])
        self.assertEqual(await self.parts(), [1.0, 0.0])

    async def test_after_the_whole(self) -> None:
        """With all requests, when nobody is left to compare with, it is still judged, by what the others did last."""
        for name in self.releases:
            await self.serve_release(name)
        await self.use(50, 50)
        while (await self.split())["guard"]["verdict"] != "better":
            await self.ask_some(40)
        wish = {"hostname": HOSTNAME, "selector": "release=canary", "percent": 100}
        self.assertEqual((await self.call("POST", "/v1/shifts", wish))[0], 200)
        self.assertEqual(set(await self.ask_some(20)), {("canary", 200)})
        self.releases["canary"].statuses = (200, 503)
        await self.until_worse()
        self.assertEqual(await self.parts(), [1.0, 0.0])
        self.assertEqual(set(await self.ask_some(20)), {("stable", 200)})

    async def test_all_fail(self) -> None:
        """One that only fails is ejected at once, so it has too few requests to be judged by; it is taken back, too."""
        for name in self.releases:
            await self.serve_release(name)
        await self.use(50, 50)
        self.assertEqual(len(await self.ask_some(20)), 2)
        self.releases["canary"].statuses = (503,)
        failed = (await self.ask_some(40))["canary", 503]
        self.assertTrue(FAILURES <= failed <= FAILURES + 5, failed)  # five ask at once
        (ejected,) = (await self.split())["ejected"]
        self.assertEqual((ejected["selector"], ejected["state"]), ("release=canary", "ejected"))
        await self.until_worse()
        guard = (await self.split())["guard"]
        self.assertEqual(guard["reason"], "all of its origins fail, and none has given a good answer in 15 s")
        self.assertLess(self.releases["canary"].answered, 10 + FAILURES + 5 + 3)  # a probe or two beside these
        self.assertEqual(await self.parts(), [1.0, 0.0])


class ShiftTests(GuardsTestCase):
    """A shift that takes some time, with a guard."""

    async def shift(self, percent: float, seconds: float) -> None:
        """Shift the canary."""
        wish = {"hostname": HOSTNAME, "selector": "release=canary", "percent": percent, "over_seconds": seconds}
        self.assertEqual((await self.call("POST", "/v1/shifts", wish))[0], 200)

    async def test_held_and_frozen(self) -> None:
        """While nothing is known the shift stands still; a good canary lets it go on, a worse one freezes it."""
        for name in self.releases:
            await self.serve_release(name)
        await self.use(90, 10, ", on_worse: freeze")
        await self.shift(90, 8)
        began = monotonic()
        await until(lambda: monotonic() - began > 4)  # half of its time
        split = await self.split()
        self.assertEqual((split["shares"][1]["part"], split["guard"]["verdict"]), (0.1, "undecided"))
        while (await self.parts())[1] < 0.2:
            await self.ask_some(100)
            self.assertLess(monotonic() - began, 60)
        self.releases["canary"].statuses = (200, 502)
        await self.until_worse()
        part = (await self.parts())[1]
        self.assertTrue(0.2 <= part < 0.9, part)
        guard = (await self.split())["guard"]
        self.assertEqual((guard["action"], guard["verdict"]), ("freeze", "worse"))
        frozen = monotonic()
        await until(lambda: monotonic() - frozen > 3)
        self.assertEqual((await self.parts())[1], part)
        status, _ = await self.call("DELETE", f"/v1/shifts/{HOSTNAME}")
        self.assertEqual((status, await self.parts()), (200, [0.9, 0.1]))

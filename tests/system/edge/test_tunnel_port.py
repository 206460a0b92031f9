"""The tunnel port while strangers try to keep agents out, over real sockets: each address counts as a network."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread

from tests.case import until
from tests.system.edge.live import HOST, ZONE, ask, new_token
from tests.system.edge.test_identity import LiveEdgeTestCase
from warp_twisted.ca.tokens import parse_token
from warp_twisted.edge.agents.listening import STRANGERS_BURST
from warp_twisted.tunnel.contexts import ENROLL_PROTOCOL
from warp_twisted.wire.control import Accepted, Enrolled

STRANGERS = ("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5")
PATIENCE = 3.0


def connect(source: str, port: int) -> socket.socket:
    """Connect from an address of this machine, and say nothing."""
    return socket.create_connection((HOST, port), timeout=5, source_address=(source, 0))


def enroll_silently(source: str, port: int) -> socket.socket:
    """Shake hands as for an enrollment, and say nothing."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([ENROLL_PROTOCOL])
    return context.wrap_socket(connect(source, port))


def is_closed(connection: socket.socket) -> bool:
    """Whether the edge has hung up; what it said is read."""
    try:
        connection.settimeout(0)
        while connection.recv(65536):
            pass
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        pass
    return True


@contextmanager
def attack(port: int, each: int, begin: Callable[[str, int], socket.socket]) -> Iterator[list[socket.socket]]:
    """Keep so many connections of each stranger open; those that the edge closes are begun again."""
    over = Event()
    connections: list[tuple[str, socket.socket]] = []
    began: list[socket.socket] = []

    def work() -> None:
        while not over.is_set():
            connections[:] = [(source, each) for source, each in connections if not is_closed(each)]
            for source in STRANGERS:
                if sum(owner == source for owner, _ in connections) < each:
                    try:
                        connections.append((source, begin(source, port)))
                        began.append(connections[-1][1])
                    except OSError:
                        pass  # refused at once
            if all(sum(owner == source for owner, _ in connections) >= each for source in STRANGERS):
                over.wait(0.02)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        yield began
    finally:
        over.set()
        thread.join(10)
        for _, connection in connections:
            connection.close()


class TunnelPortTests(LiveEdgeTestCase):
    """Agents come in while strangers are silent."""

    sections = {"limits": {"handshakes": 40, "enrollment_burst": 1000, "enrollments_per_second": 100}}

    async def test_agent_among_silent_connections(self) -> None:
        """While strangers keep more connections than there is room for, an agent is let in within 3 s."""
        agent = await self.agent()
        listener = self.node.parts.tunnel_port.factory
        with attack(self.port, 30, connect) as began:
            await until(lambda: len(began) > 60 and len(listener.shaking_hands) >= 30, timeout=15)
            for slot in range(3):
                at = time.monotonic()
                self.assertIsInstance(await agent.register(f"app.{ZONE}", slot=slot), Accepted)
                self.assertLess(time.monotonic() - at, PATIENCE)
            self.assertLessEqual(len(listener.shaking_hands), 40)

    async def test_crowd_of_agents(self) -> None:
        """Of handshakes that come all at once most wait for later turns of the reactor, and all succeed."""
        agent = await self.agent()
        waited: list[int] = []
        looking = LoopingCall(lambda: waited.append(len(self.node.parts.tunnel_port.factory.turn.handshakes)))
        looking.start(0)
        self.addCleanup(looking.stop)
        tunnels = await gatherResults([Deferred.fromCoroutine(agent.dial()) for _ in range(30)])
        self.assertEqual(len(tunnels), 30)
        self.assertGreater(max(waited), 5)
        await until(lambda: not self.node.parts.tunnel_port.is_busy)

    async def test_new_agent_among_silent_connections(self) -> None:
        """So is one that enrolls, from a network that nobody came from before."""
        token = parse_token(await new_token(self.node))
        with attack(self.port, 30, connect) as began:
            await until(lambda: len(began) > 60, timeout=15)
            at = time.monotonic()
            answer, _ = await ask(self.port, token)
            self.assertIsInstance(answer, Enrolled)
            self.assertLess(time.monotonic() - at, PATIENCE)

    async def test_new_agent_among_silent_enrollments(self) -> None:
        """While strangers hold every place for enrollments, a new agent enrolls within 3 s."""
        token = parse_token(await new_token(self.node))
        listener = self.node.parts.tunnel_port.factory
        listener.max_enrollments = 16
        with attack(self.port, 8, enroll_silently) as began:
            await until(lambda: len(began) > 20 and len(listener.silent_enrollments) >= 12, timeout=15)
            at = time.monotonic()
            answer, _ = await ask(self.port, token)
            self.assertIsInstance(answer, Enrolled)
            self.assertLess(time.monotonic() - at, PATIENCE)
            self.assertLessEqual(listener.enrollments, 17)

    async def test_silence(self) -> None:
        """A connection that says nothing, and an enrollment that does not, are cut after the time for it."""
        listener = self.node.parts.tunnel_port.factory
        listener.silence_seconds = 0.05

        def end_of(begin: Callable[[str, int], socket.socket]) -> float:
            at = time.monotonic()
            with begin(HOST, self.port) as connection:
                try:
                    while connection.recv(65536):
                        pass
                except ConnectionResetError:
                    pass
            return time.monotonic() - at

        for begin in (connect, enroll_silently):
            self.assertLess(await deferToThread(end_of, begin), 2)
        self.assertEqual((len(listener.shaking_hands), listener.enrollments), (0, 0))

    async def test_rate_of_a_stranger(self) -> None:
        """A stranger that keeps connecting is refused after a burst; others and known agents are not."""
        agent = await self.agent()

        def count_refused() -> int:
            refused = 0
            for _ in range(int(STRANGERS_BURST) + 60):
                with connect(STRANGERS[0], self.port) as connection:
                    connection.sendall(b"nonsense")
                    try:
                        refused += connection.recv(1) == b""
                    except ConnectionResetError:
                        refused += 1
            return refused

        refused = await deferToThread(count_refused)
        self.assertGreater(refused, 20)
        self.assertIsInstance(await agent.register(f"app.{ZONE}"), Accepted)

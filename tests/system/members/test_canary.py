"""Two releases in a split, with agents that are programs: one is killed, or its origin fails, under load."""

from collections import Counter
from pathlib import Path
from signal import SIGKILL
from time import monotonic

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.task import LoopingCall

from tests.case import reactor, until
from tests.system.edge.harness import RawConnection, status_of
from tests.system.edge.live import HOST
from tests.system.members.beside import HOSTNAME, BesideTestCase, Machine, Origin, named_origin
from warp_twisted.routing.outliers import FAILURES, FIRST_SECONDS

VISITORS = 25
PAUSE = 0.05  # so that all together ask 500 times a second, as far as the machine can
REQUEST = f"GET / HTTP/1.1\r\nHost: {HOSTNAME}\r\n\r\n".encode()
SPLIT = "split: [{selector: release=stable, weight: 80}, {selector: release=canary, weight: 20}]"


class ReleaseOrigin(Origin):
    """An origin that answers with its name, and with the status that the test says."""

    statuses: dict[str, int] = {}

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        status = self.statuses.get(self.name, 200)
        body = self.name.encode()
        for _ in range(data.count(b"\r\n\r\n")):
            self.transport.write(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))


class CanaryTests(BesideTestCase):
    """One agent of each release, and visitors who ask again and again."""

    async def prepare(self) -> None:
        file = Path(self.mktemp()).absolute()
        file.write_text(f"routing: [{{hostname: {HOSTNAME}, {SPLIT}}}]\n")
        self.sections = {"policy": str(file), "timeouts": {"drain": 1, "settle": 0}}
        await super().prepare()
        self.patch(ReleaseOrigin, "statuses", {})
        self.answers: Counter[tuple[str, int]] = Counter()
        self.is_over = False
        self.clients: list[RawConnection] = []
        self.clean_up_with(self.hang_up)
        self.stable, self.canary = [await self.release(name) for name in ("stable", "canary")]
        await self.serve(self.stable, self.canary)

    def origin(self, name: str) -> int:
        """Let an origin of a release answer; return its port."""
        return named_origin(self, name, ReleaseOrigin)

    async def release(self, name: str) -> Machine:
        """Set a machine up whose agent says which release it serves."""
        machine = await self.machine(name)
        config = machine.directory / "agent.yaml"
        config.write_text(config.read_text() + f"labels: {{release: {name}}}\n")
        return machine

    async def hang_up(self) -> None:
        """Close what is left of visitors."""
        for client in self.clients:
            if not client.is_lost:
                client.abort()
                await client.lost()

    async def visit(self) -> None:
        """Be a visitor who asks on one connection until it is over."""
        client = RawConnection()
        await connectProtocol(TCP4ClientEndpoint(reactor, HOST, self.node.ports.http[0]), client)
        self.clients.append(client)
        asking = LoopingCall(lambda: Deferred.fromCoroutine(self.ask_again(client, asking)))
        await asking.start(PAUSE)

    async def ask_again(self, client: RawConnection, asking: LoopingCall) -> None:
        """Ask once, and count the answer."""
        client.send(REQUEST)
        await client.when(lambda: client.received.endswith((b"stable", b"canary")) or client.is_lost)
        answer = client.take()
        self.answers[answer.rpartition(b"\r\n\r\n")[2].decode(), status_of(answer) if answer else 0] += 1
        if self.is_over or client.is_lost:
            asking.stop()

    async def answered(self, count: int) -> None:
        """Wait for so many more answers."""
        wanted = self.answers.total() + count
        await until(lambda: self.answers.total() >= wanted, 60)

    async def test_killed(self) -> None:
        """A canary that is killed costs no GET: what it had under way is sent again, and the rest goes to others."""
        visitors = [Deferred.fromCoroutine(self.visit()) for _ in range(VISITORS)]
        began = monotonic()
        await self.answered(500)
        self.canary.program.signal(SIGKILL)
        await self.answered(1_000)
        self.is_over = True
        await gatherResults(visitors)
        rate = self.answers.total() / (monotonic() - began)
        self.assertEqual({status for _, status in self.answers}, {200}, (self.answers, f"{rate:.0f}/s"))
        self.assertGreater(self.answers["canary", 200], 50)
        self.assertEqual(len(self.tunnels), 2)
        sent_again = self.node.parts.serving.visitors.metrics.retries
        self.assertLessEqual(sent_again, VISITORS)

    async def test_failing(self) -> None:
        """An origin that answers 500 is ejected within its threshold, and comes back by itself when it is well."""
        visitors = [Deferred.fromCoroutine(self.visit()) for _ in range(VISITORS)]
        await self.answered(200)
        ejection = self.node.parts.serving.routes.ejection
        ReleaseOrigin.statuses["canary"] = 500
        await until(lambda: ejection.count == 1, 30)
        began = monotonic()
        await self.answered(100)
        failed = self.answers["canary", 500]
        self.assertTrue(FAILURES <= failed <= FAILURES + VISITORS, failed)  # what was under way fails as well
        await self.answered(500)
        self.assertEqual(self.answers["canary", 500], failed)
        ReleaseOrigin.statuses["canary"] = 200
        await until(lambda: ejection.count == 0, 2 * FIRST_SECONDS)
        self.assertGreater(monotonic() - began, FIRST_SECONDS / 2)
        served = self.answers["canary", 200]
        await self.answered(400)
        self.assertGreater(self.answers["canary", 200] - served, 40)
        self.is_over = True
        await gatherResults(visitors)
        self.assertEqual(set(self.answers), {("stable", 200), ("canary", 200), ("canary", 500)})

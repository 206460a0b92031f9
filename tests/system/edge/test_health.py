"""Three agents that probe their applications, an edge that steers by it, its visitors, and its DNS."""

from collections import Counter
from pathlib import Path

from twisted.internet.endpoints import TCP4ServerEndpoint

from tests.case import reactor, until
from tests.system.agent.origins import listen_at, port_of
from tests.system.agent.test_health import Application, status
from tests.system.edge.live import HOST, ZONE, new_token
from tests.system.edge.test_dns import DnsTestCase
from warp_twisted.agent.identity.enrollment import enroll_agent
from warp_twisted.agent.identity.state import StateDirectory
from warp_twisted.agent.service import AgentService
from warp_twisted.agent.settings import parse_settings
from warp_twisted.ca.tokens import parse_token
from warp_twisted.names import Hostname
from warp_twisted.registry.model import Edge, Tunnel

NAME = f"app.{ZONE}"
AGENT = """
tunnels: 2
ingress:
- {hostname: %s, service: "http://127.0.0.1:%d", health: {path: /healthz, interval: 1s, rise: 1, fall: 1}}
- {service: "http_status:404"}
"""


class Release(Application):
    """An application that says its name to visitors; probes see `answer`."""

    def __init__(self, name: str) -> None:
        super().__init__(status("200 OK"))
        self.name = name
        self.visits = 0

    def answer_to(self, request: bytes) -> bytes:
        """Answer a visitor well, whatever probes are told."""
        if request.startswith(b"GET /healthz"):
            return self.answer
        self.visits += 1
        return b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + self.name.encode()


class HealthTestCase(DnsTestCase):
    """An edge and three agents of one hostname."""

    routing = ""

    async def prepare(self) -> None:
        self.file = Path(self.mktemp()).absolute()
        self.file.write_text(self.routing or "{}")
        self.sections = {"policy": str(self.file), "timeouts": {"drain": 1, "settle": 0}}
        await super().prepare()
        self.releases = [Release(name) for name in "abc"]
        for release in self.releases:
            await self.begin(release)
        registrations = self.node.parts.tunnels.registrations
        await until(lambda: len(registrations.by_id) == 6)

    async def begin(self, release: Release) -> None:
        """Serve an application through an agent of its own."""
        listening = listen_at(TCP4ServerEndpoint(reactor, 0, interface=HOST), release)
        self.addCleanup(listening.stopListening)
        state = StateDirectory(Path(self.mktemp()))
        identity = await enroll_agent(reactor, state, parse_token(await new_token(self.node, NAME)))
        agent = AgentService(reactor, parse_settings(AGENT % (NAME, port_of(listening))), state, identity)
        agent.startService()

        async def stop() -> None:
            agent.stop_now()
            await agent.when_stopped()

        self.clean_up_with(stop)

    async def until_failing(self, *names: str) -> None:
        """Let the probes of these applications fail, of the others be good, and wait until the edge knows."""
        for release in self.releases:
            release.answer = status("500 Oh" if release.name in names else "200 OK")
        tunnels = self.node.parts.tunnels.registrations.by_id.values()
        await until(lambda: sum(bool(tunnel.failing) for tunnel in tunnels) == 2 * len(names))

    async def visits(self, count: int = 12) -> Counter[str]:
        """Visit the hostname some times; returns who answered how often, or with which status."""
        found: Counter[str] = Counter()
        for _ in range(count):
            code, _ = await self.visit(NAME)
            found[str(code)] += code != 200
        for release in self.releases:
            found[release.name] += release.visits
            release.visits = 0
        return +found

    async def addresses(self, name: str = NAME, kind: str = "A") -> set[str]:
        """Return what DNS says."""
        answer = await self.asked(name, kind)
        return {str(record).split()[-1] for rrset in answer.answer for record in rrset}


class SteeringTests(HealthTestCase):
    """Where requests go."""

    async def test_one_of_three(self) -> None:
        """An application whose probes fail gets nothing new, and its share again when it is well."""
        self.assertEqual(await self.visits(), {"a": 4, "b": 4, "c": 4})
        await self.until_failing("b")
        self.assertEqual(await self.visits(), {"a": 6, "c": 6})
        await self.until_failing()
        self.assertEqual(set(await self.visits()), {"a", "b", "c"})

    async def test_all_three(self) -> None:
        """Where no application is well one is tried; and the operator is told of each, and why."""
        await self.until_failing("a", "b", "c")
        self.assertEqual(set(await self.visits()), {"a", "b", "c"})
        _, told = await self.call("GET", "/v1/status")
        (route,) = told["routes"]
        self.assertEqual((set(route["unhealthy"].values()), len(route["failing"])), ({"it answers 500"}, 3))

    async def test_dns(self) -> None:
        """DNS names an edge behind which nobody is well only if nobody is anywhere; recovery shows at once."""
        other = Edge(name="edge2", addresses=("127.0.0.2",), http_port=80)
        tunnel = Tunnel(id="t-x", agent="x", slot=0, edge="edge2", hostnames=(Hostname(NAME),))
        # It has told what it has; nothing is relayed to it, which would keep this edge named for its applications.
        links: list[str] = ["edge2"]
        self.patch(self.node.parts.peers.links, "names", lambda: links)
        await self.node.parts.entry.refresh()
        for value in (other, tunnel):
            self.node.parts.mirror.learn({value.key: value})
        links.clear()
        await self.node.parts.entry.refresh()
        service = f"_http._tcp.{NAME}"

        async def are_named(*edges: str) -> None:
            while await self.addresses() != {{"edge1": HOST, "edge2": "127.0.0.2"}[edge] for edge in edges}:
                pass
            self.assertEqual(await self.addresses(service, "SRV"), {f"{edge}.{ZONE}." for edge in edges})

        await are_named("edge1", "edge2")
        await self.until_failing("a", "b")
        await are_named("edge1", "edge2")
        await self.until_failing("a", "b", "c")
        await are_named("edge2")
        await self.until_failing("a", "b")
        await are_named("edge1", "edge2")
        await self.until_failing("a", "b", "c")
        await are_named("edge2")
        self.node.parts.mirror.learn({tunnel.key: None})
        await are_named("edge1")
        self.assertEqual(set(await self.visits()), {"a", "b", "c"})


class RefusingTests(HealthTestCase):
    """An edge whose policy refuses where nobody is well."""

    routing = f"routing: [{{hostname: {NAME}, when_all_unhealthy: 503}}]"

    async def test_refused(self) -> None:
        """Every request is answered 503 by the edge, as long as nobody is well, and one that is well gets all."""
        self.assertEqual(sum((await self.visits()).values()), 12)
        await self.until_failing("a", "b", "c")
        self.assertEqual(await self.visits(), {"503": 12})
        await self.until_failing("a", "b")
        self.assertEqual(await self.visits(), {"c": 12})

"""A whole agent over time: edges that restart, drain and refuse, reloads, renewals, and its own drain."""

from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace

from twisted.internet.defer import gatherResults
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Factory

from tests.agent.links.ends import end_of
from tests.case import reactor
from tests.system.agent.base import AgentTestCase
from tests.system.agent.origins import Echo, Origin, unused_port
from tests.system.agent.stub_edge import StubEdge, cut
from warp_twisted.agent.errors import AgentRefused
from warp_twisted.agent.events import (
    CertificateRenewed,
    Protected,
    Published,
    Refused,
    Reloaded,
    ReloadRefused,
    TunnelDown,
    TunnelUp,
)
from warp_twisted.agent.service import AgentService
from warp_twisted.agent.settings import parse_settings
from warp_twisted.errors import InvalidSettings
from warp_twisted.tunnel import enrollment
from warp_twisted.wire import control
from warp_twisted.wire.control import ControlMessage, EnrollRefused, OriginHealth, ReturnRequest, RoutesChanged
from warp_twisted.wire.preamble import OpeningCode

POLICY = "policy: {sources: {allow: [192.0.2.0/24]}}"
ECHO = Factory.forProtocol(Echo)
ECHO.noisy = False


def reload(agent: AgentService, text: str) -> Sequence[str]:
    """Let an agent take other settings, as its runner does; returns the keys that wait for a restart."""
    settings = parse_settings(text)
    return agent.reload(settings, agent.routes.prepare(settings.ingress))


class LifecycleTestCase(AgentTestCase):
    """An echo on loopback, and a second edge when asked for."""

    def setUp(self) -> None:
        super().setUp()
        self.echo = self.serve(ECHO)

    def serve(self, factory: IProtocolFactory, port: int = 0) -> str:
        """Start an origin and return its service."""
        return f"tcp://127.0.0.1:{self.listen(factory, port)}"

    def second_edge(self) -> StubEdge:
        """Start another edge of the fleet."""
        edge = StubEdge(self.fleet, name="edge2")
        edge.listen()
        self.addCleanup(edge.stop)
        return edge

    async def assert_serves(self, edge: StubEdge, route: int = 0) -> None:
        """Check that a route answers through an edge's newest tunnel."""
        visit = edge.visit(route, b"hello")
        self.assertEqual(await visit.read(5), b"hello")
        visit.stream.end()


class TunnelTests(LifecycleTestCase):
    """Tunnels come, go and come back."""

    async def test_registers(self) -> None:
        """Every tunnel has a slot of its own, one session, and the same routes; what is published is told."""
        agent = await self.start(self.echo, tunnels=4)
        hellos = self.edge.hellos
        self.assertEqual(sorted(hello.slot for hello in hellos), [0, 1, 2, 3])
        self.assertEqual(len({hello.session for hello in hellos}), 1)
        self.assertEqual({hello.agent_id for hello in hellos}, {agent.identity.agent_id})
        self.assertEqual([route.service for route in hellos[0].routes], [self.echo])
        self.assertEqual(self.events_of(Published), [Published(urls={"https://brave-otter.warp.example": self.echo})])
        await self.assert_serves(self.edge)

    async def test_rules_of_one_hostname(self) -> None:
        """A URL that several rules share is told with the service of the first, not with the 404 of all other paths."""
        await self.start(f"ingress: [{{path: ^/api/, service: '{self.echo}'}}, {{service: 'http_status:404'}}]")
        await self.until(lambda: bool(self.events_of(Published)))
        self.assertEqual(self.events_of(Published), [Published(urls={"https://brave-otter.warp.example": self.echo})])

    async def test_edge_is_killed_and_returns(self) -> None:
        """All tunnels are back within five seconds of the edge's return, with the same slots."""
        await self.start(self.echo, tunnels=4)
        await self.edge.stop()
        await self.until(lambda: len(self.events_of(TunnelDown)) == 4)
        self.edge.hellos.clear()
        self.edge.listen()
        began = reactor.seconds()
        await self.edge.until(lambda: len(self.edge.tunnels) == 4)
        self.assertLess(reactor.seconds() - began, 5.0)
        self.assertEqual(sorted(hello.slot for hello in self.edge.hellos), [0, 1, 2, 3])
        await self.assert_serves(self.edge)

    async def test_spread_over_two_edges(self) -> None:
        """With two edges, each has half of the tunnels; when one is gone, the other has all."""
        other = self.second_edge()
        await self.start(self.echo, self.edge, other, tunnels=4)
        self.assertEqual((len(self.edge.tunnels), len(other.tunnels)), (2, 2))
        await other.stop()
        await self.edge.until(lambda: len(self.edge.tunnels) == 4)
        await self.assert_serves(self.edge)

    async def test_moves_back_to_an_edge_that_returns(self) -> None:
        """When an edge is there again, one tunnel after the other moves to it until both have the same."""
        other = self.second_edge()
        agent = await self.start(self.echo, self.edge, other, tunnels=2)
        await other.stop()
        await self.until(lambda: len(self.events_of(TunnelUp)) == 3)
        other.listen()
        agent._edges.answered(agent._edges.enrolled[1])  # as after FAILED_SECONDS
        agent._rebalancing.look()
        await other.until(lambda: len(other.tunnels) == 1)
        await self.edge.until(lambda: len(self.edge.tunnels) == 1)
        await self.until(lambda: agent.tunnels_up == 2)
        await self.assert_serves(other)

    async def test_follows_what_edges_say(self) -> None:
        """Edges that an edge names are dialed too, and remembered for the next start."""
        other = self.second_edge()
        self.edge.edges = [f"127.0.0.1:{self.edge.port}", f"127.0.0.1:{other.port}", "no address"]
        agent = await self.start(self.echo, tunnels=1)
        await self.until(lambda: bool(self.events_of(Published)))
        self.assertEqual((*agent.identity.seen_edges, "no address"), tuple(self.edge.edges))
        await self.edge.stop()
        await other.until(lambda: len(other.tunnels) == 1)
        self.flushLoggedErrors()

    async def test_edge_drains(self) -> None:
        """The agent moves to another edge; what is under way on the old tunnel goes on until the edge closes it."""
        other = self.second_edge()
        agent = await self.start(self.echo, self.edge, other, tunnels=1)
        old, new = (self.edge, other) if self.edge.tunnels else (other, self.edge)
        visit = old.visit(0, b"one ")
        await visit.read(4)
        old.tunnels[0].send_control(control.Drain(reason="the edge stops", deadline_seconds=5))
        old.answer = lambda message: control.Refused(code="draining", reason="use another", retry=True)
        await new.until(lambda: len(new.tunnels) == 1)
        await self.assert_serves(new)
        visit.stream.write(b"two")
        self.assertEqual(await visit.read(7), b"one two")
        late = old.visit(0, b"late")
        self.assertEqual(await late.read(4), b"late")
        self.assertNotEqual(new.hellos[0].slot, old.hellos[0].slot)
        await self.until(lambda: agent.tunnels_up == 1)

    async def test_refused_until_it_is_changed(self) -> None:
        """An agent whose offer is refused goes on trying, says why, and serves once the edge takes the offer."""
        answers = [control.Refused(code="not_allowed", reason="65 routes; 64 is most", retry=False), None]
        self.edge.answer = lambda message: answers.pop(0) if answers else None
        await self.start(self.echo)
        self.assertEqual(self.events_of(TunnelDown)[0].reason, "65 routes; 64 is most (not_allowed)")
        self.assertEqual(self.events_of(Refused), [])
        await self.assert_serves(self.edge)

    async def test_revoked(self) -> None:
        """A revocation is no refusal of routes; the agent ends with its reason, as one line of bounded length."""
        agent = await self.begin(self.echo, tunnels=2)
        await self.until(lambda: agent.tunnels_up == 2)
        reason = "agent a-1 was revoked: \x1b[2Jstolen\nlaptop " + "x" * 900
        self.edge.answer = lambda message: control.Refused(code="revoked", reason=reason, retry=False)
        for tunnel in list(self.edge.tunnels):
            tunnel.send_control(control.Refused(code="revoked", reason=reason, retry=False))
            tunnel.close(reason="revoked")
        error = await self.assert_fails(agent.when_refused(), AgentRefused)
        await agent.when_stopped()
        self.assertTrue(str(error).startswith("agent a-1 was revoked: [2Jstolen laptop xxx"), str(error))
        self.assertLessEqual(len(str(error)), 300 + len(" (revoked)"))
        self.assertEqual(self.events_of(ReloadRefused), [])

    async def test_refused_for_now(self) -> None:
        """An agent that may try again later does, and then serves."""
        answers = [control.Refused(code="overloaded", reason="full", retry=True), None]
        self.edge.answer = lambda message: answers.pop(0) if answers else None
        await self.start(self.echo)
        self.assertEqual(self.events_of(TunnelDown)[0].reason, "full (overloaded)")
        await self.assert_serves(self.edge)

    async def test_certificate_has_ended(self) -> None:
        """An agent whose certificate ended returns with its key, once for all its tunnels, before it dials."""
        agent = await self.start(self.echo, tunnels=3)
        before = agent.identity
        self.fleet.agent_lifetime = timedelta(days=30)
        self.pass_time_until(before.valid_until + 86400)
        for tunnel in list(self.edge.tunnels):
            cut(tunnel)
        await self.edge.until(lambda: len(self.edge.hellos) == 6)
        await self.until(lambda: agent.tunnels_up == 3)
        self.assertEqual((agent.identity.agent_id, self.fleet.returned, self.fleet.enrolled), (before.agent_id, 1, 1))
        self.assertNotEqual(agent.identity.chain_pem, before.chain_pem)
        self.assertEqual((self.directory / "state" / "chain.pem").read_text(), agent.identity.chain_pem)
        self.assertEqual(len(self.events_of(CertificateRenewed)), 1)
        await self.assert_serves(self.edge)

    async def test_clock_that_is_ahead(self) -> None:
        """An agent by whose clock alone its certificate has ended asks for the edge's, and dials with what it has."""
        agent = await self.start(self.echo)
        before = agent.identity
        self.wall.set(before.valid_until + 86400)
        cut(self.edge.tunnels[0])
        await self.edge.until(lambda: len(self.edge.hellos) == 2)
        await self.until(lambda: agent.tunnels_up == 1)
        self.assertEqual((self.fleet.returned, agent.identity.chain_pem), (0, before.chain_pem))
        self.assertLess(agent.clock.edge_time.now(), before.valid_until)
        self.assertEqual(self.events_of(CertificateRenewed), [])

    async def test_no_way_back(self) -> None:
        """An agent that may not return goes on trying, with the reason, and is back when it may."""
        refusals = [EnrollRefused(code="agent_unknown", reason="no record", retry_seconds=0.0)] * 2
        self.edge.gate = lambda request: refusals.pop() if refusals and isinstance(request, ReturnRequest) else None
        agent = await self.start(self.echo)
        self.pass_time_until(agent.identity.valid_until + 1)
        cut(self.edge.tunnels[0])
        await self.edge.until(lambda: len(self.edge.hellos) == 2)
        self.assertEqual([event.reason for event in self.events_of(TunnelDown)][1:], ["no record (agent_unknown)"] * 2)
        self.assertEqual((self.times_not_admitted, self.fleet.returned), (2, 1))

    async def test_revoked_while_away(self) -> None:
        """An agent that hears at its return that it was revoked ends with the reason."""
        agent = await self.start(self.echo)
        self.edge.gate = lambda request: EnrollRefused(code="revoked", reason="agent a-1 was revoked: stolen")
        self.pass_time_until(agent.identity.valid_until + 1)
        cut(self.edge.tunnels[0])
        error = await self.assert_fails(agent.when_refused(), AgentRefused)
        self.assertEqual(str(error), "agent a-1 was revoked: stolen (revoked)")
        await agent.when_stopped()

    async def test_edge_of_an_older_release(self) -> None:
        """An edge that sends no nonce is asked nothing, and the agent says so."""
        agent = await self.start(self.echo)
        self.patch(enrollment, "secrets", SimpleNamespace(token_hex=lambda count: ""))
        self.pass_time_until(agent.identity.valid_until + 1)
        cut(self.edge.tunnels[0])
        await self.until(lambda: len(self.events_of(TunnelDown)) > 1)
        self.assertIn("of a release that lets no agent return", self.events_of(TunnelDown)[1].reason)
        self.assertEqual(self.fleet.returned, 0)

    async def test_renews(self) -> None:
        """At half life the certificate is renewed over a tunnel, stored, and used for the next dial."""
        agent = await self.start(self.echo)
        before = agent.identity
        self.wall.set(before.renew_at + 1)
        agent._renewal.look()
        await self.until(lambda: len(self.events_of(CertificateRenewed)) == 1)
        self.assertNotEqual(agent.identity.chain_pem, before.chain_pem)
        self.assertEqual((self.directory / "state" / "chain.pem").read_text(), agent.identity.chain_pem)
        agent._renewal.look()
        await self.assert_serves(self.edge)  # what the agent sent before is there by now
        requests = [each for each in self.edge.messages if isinstance(each, control.RenewRequest)]
        self.assertEqual(len(requests), 1)
        cut(self.edge.tunnels[0])
        await self.edge.until(lambda: len(self.edge.hellos) == 2)
        await self.assert_serves(self.edge)


class HealthTests(LifecycleTestCase):
    """What the edge hears of origins."""

    async def test_health(self) -> None:
        """An origin that does not answer is reported, also to a tunnel that comes later, and so is its return."""
        port = unused_port()
        await self.start(f"tcp://127.0.0.1:{port}", tunnels=2)
        await self.edge.until(lambda: len(self.health()) == 2)
        self.assertEqual({(each.healthy, each.detail) for each in self.health()}, {(False, "connection refused")})
        self.serve(ECHO, port)
        await self.assert_serves(self.edge)
        await self.edge.until(lambda: len(self.health()) == 4)
        self.assertEqual({each.healthy for each in self.health()[2:]}, {True})

    def health(self) -> list[OriginHealth]:
        """Return what the edge heard so far."""
        return [each for each in self.edge.messages if isinstance(each, OriginHealth)]


class ReloadTests(LifecycleTestCase):
    """New settings while tunnels are up."""

    async def test_reload(self) -> None:
        """New routes are served through the same tunnels; a stream of an old route goes on."""
        agent = await self.start(self.echo, tunnels=2)
        tunnels = list(self.edge.tunnels)
        visit = self.edge.visit(0, b"one ")
        await visit.read(4)
        waits = reload(
            agent,
            "tunnels: 3\ningress: [{hostname: b.warp.example, service: hello-world}, {service: 'http_status:404'}]",
        )
        self.assertEqual(waits, ["tunnels"])
        self.assertEqual(self.events_of(Reloaded), [Reloaded(routes=1, needs_restart=["tunnels"])])
        await self.edge.until(lambda: len(self.changes()) == 2)
        (route,) = self.changes()[0].routes
        self.assertEqual((route.id, route.hostname, route.service), (1, "b.warp.example", "hello-world"))
        self.assertEqual(self.edge.tunnels, tunnels)
        visit.stream.write(b"two")
        self.assertEqual(await visit.read(7), b"one two")
        await self.assert_serves(self.edge, 0)  # a request that was on its way when the route went
        page = self.edge.visit(1, b"GET / HTTP/1.0\r\n\r\n")
        self.assertIn(b"Hello from Warp", await page.over)
        await self.until(lambda: agent.urls == {1: "https://b.warp.example"})

    async def test_reload_of_labels(self) -> None:
        """New labels are told with new tunnels, in whose favour the old ones finish; what they carry goes on."""
        agent = await self.start(self.echo, tunnels=2)
        visit = self.edge.visit(0, b"one ")
        await visit.read(4)
        self.assertEqual(reload(agent, f"tunnels: 2\nlabels: {{a: b}}\ningress: [{{service: '{self.echo}'}}]"), [])
        await self.edge.until(lambda: len(self.edge.hellos) == 4)
        self.assertEqual([hello.labels for hello in self.edge.hellos], [{}, {}, {"a": "b"}, {"a": "b"}])
        visit.stream.write(b"two")
        self.assertEqual(await visit.read(7), b"one two")
        visit.stream.end()
        await self.edge.until(lambda: len(self.edge.tunnels) == 2)
        await self.assert_serves(self.edge)

    async def test_reload_of_a_policy(self) -> None:
        """A hostname that comes with a policy is offered on new tunnels, with it, and never on those of before."""
        first = f"{{hostname: a.warp.example, service: '{self.echo}'}}"
        agent = await self.start(f"ingress: [{first}, {{service: 'http_status:404'}}]", tunnels=2)
        both = f"{first}, {{hostname: b.warp.example, service: '{self.echo}'}}"
        reload(agent, f"tunnels: 2\ningress: [{both}, {{service: 'http_status:404', {POLICY}}}]")
        await self.until(lambda: len(self.edge.hellos) == 4 and agent.tunnels_up == 2)
        self.assertEqual(self.changes(), [])
        found = [(len(hello.routes), bool(hello.policy), hello.requires) for hello in self.edge.hellos]
        self.assertEqual(found, [(1, False, [])] * 2 + [(2, True, ["policy"])] * 2)
        words = ["only from 192.0.2.0/24"]
        expected = Protected(hostnames={"a.warp.example": words, "b.warp.example": words})
        self.assertEqual(self.events_of(Protected), [expected])

    async def test_reload_of_a_host_header(self) -> None:
        """A Host of the rules' choice is offered on new tunnels, whose edges have to promise it, and on no old one."""
        agent = await self.start(f"ingress: [{{service: '{self.echo}'}}]", tunnels=2)
        reload(agent, f"tunnels: 2\ningress: [{{service: '{self.echo}', originRequest: {{httpHostHeader: intern}}}}]")
        await self.until(lambda: len(self.edge.hellos) == 4 and agent.tunnels_up == 2)
        self.assertEqual(self.changes(), [])
        found = [(hello.routes[0].host_header, hello.requires) for hello in self.edge.hellos]
        self.assertEqual(found, [("", [])] * 2 + [("intern", ["host-header"])] * 2)

    async def test_reload_of_a_policy_before_the_answer(self) -> None:
        """A tunnel whose hello lacks the policy is given up, whatever the edge is going to answer."""
        self.edge.holds_answers = True
        agent = await self.begin(self.echo)
        await self.edge.until(lambda: len(self.edge.hellos) == 1)
        reload(agent, f"ingress: [{{service: '{self.echo}', {POLICY}}}]")
        await self.edge.until(lambda: len(self.edge.hellos) == 2)
        self.edge.release()
        await self.until(lambda: agent.tunnels_up == 1)
        self.assertEqual([bool(hello.policy) for hello in self.edge.hellos], [False, True])
        await self.edge.until(lambda: len(self.edge.tunnels) == 1)  # the first has ended
        await self.assert_serves(self.edge)

    async def test_edge_that_enforces_nothing(self) -> None:
        """An agent with a policy leaves an edge that does not echo it; no stream reaches the origin meanwhile."""
        self.edge.enforces = False
        self.edge.holds_answers = True
        agent = await self.begin(f"ingress: [{{service: '{self.echo}', {POLICY}}}]")
        await self.edge.until(lambda: len(self.edge.hellos) == 1)
        visit = self.edge.visit(0, b"hello")
        self.assertEqual((await visit.opened).code, OpeningCode.DRAINING)
        self.edge.release()
        await self.until(lambda: bool(self.events_of(TunnelDown)))
        self.assertIn("does not enforce the policy", self.events_of(TunnelDown)[0].reason)
        self.assertEqual((agent.tunnels_up, visit.data), (0, b""))

    async def test_reload_of_edges(self) -> None:
        """Other edges are dialed, and the tunnel to the one of before serves until one of them has taken its place."""
        agent = await self.start(self.echo)
        other = StubEdge(self.fleet)
        other.listen()
        self.addCleanup(other.stop)
        rules = f"ingress: [{{service: '{self.echo}'}}]"
        closed = unused_port()
        self.assertEqual(reload(agent, f"edges: ['127.0.0.1:{closed}']\ntunnels: 1\n{rules}"), [])
        await self.until(lambda: bool(self.events_of(TunnelDown)))
        await self.assert_serves(self.edge)
        self.assertEqual(reload(agent, f"edges: ['127.0.0.1:{other.port}']\ntunnels: 1\n{rules}"), [])
        await other.until(lambda: len(other.tunnels) == 1)
        await self.assert_serves(other)
        await self.edge.until(lambda: not self.edge.tunnels)

    async def test_reload_while_a_tunnel_registers(self) -> None:
        """A tunnel whose hello spoke of the old routes hears of the new ones when it is up."""
        agent = await self.start(self.echo, tunnels=2)
        self.edge.holds_answers = True
        cut(self.edge.tunnels[0])
        await self.edge.until(lambda: len(self.edge.hellos) == 3)
        reload(agent, "ingress: [{service: hello-world}]")
        await self.edge.until(lambda: len(self.changes()) == 1)
        self.edge.release()
        await self.edge.until(lambda: len(self.changes()) == 2)
        self.assertEqual([change.routes[0].service for change in self.changes()], ["hello-world"] * 2)

    async def test_nothing_changed(self) -> None:
        """A reload of the same settings tells the edge nothing."""
        agent = await self.start(self.echo)
        self.assertEqual(reload(agent, f"tunnels: 1\ningress: [{{service: '{self.echo}'}}]"), [])
        await self.assert_serves(self.edge)  # what the agent sent before is there by now
        self.assertEqual(self.changes(), [])

    async def test_origin_whose_file_is_missing_at_the_start(self) -> None:
        """It is left out: visitors of it hear why, and the others are served; a reload of the others is taken."""
        text = "{path: a, service: 'https://x', originRequest: {ca: /nowhere}}"
        agent = await self.start(f"ingress: [{text}, {{service: '{self.echo}'}}]")
        await self.assert_serves(self.edge, 1)
        visit = self.edge.visit(0, b"x")
        opening = await visit.opened
        self.assertEqual(opening.code, OpeningCode.TLS_FAILED)
        self.assertIn("/nowhere cannot be read", opening.detail)
        more = f"tunnels: 1\ningress: [{text}, {{path: b, service: hello-world}}, {{service: 'http_status:404'}}]"
        self.assertEqual(reload(agent, more), [])

    async def test_bad_file_is_refused_whole(self) -> None:
        """Rules that name a file that is not there change nothing, not even the rules before them."""
        agent = await self.start(self.echo)
        bad = parse_settings(
            "ingress: [{path: a, service: hello-world}, {service: 'https://x', originRequest: {ca: /nowhere}}]"
        )
        error = self.assertRaises(InvalidSettings, agent.routes.prepare, bad.ingress)
        self.assertIn("ingress[1].originRequest.ca: /nowhere", str(error))
        await self.assert_serves(self.edge)
        self.assertEqual(self.changes(), [])

    async def test_edge_refuses_new_routes(self) -> None:
        """Routes that the edge does not take are taken back, and those before them are offered again."""
        agent = await self.start(self.echo)

        def answer(message: ControlMessage) -> ControlMessage | None:
            is_bad = isinstance(message, RoutesChanged) and message.routes[0].hostname == "not.allowed"
            return control.Refused(code="not_allowed", reason="not yours", retry=False) if is_bad else None

        self.edge.answer = answer
        rules = f"[{{hostname: not.allowed, service: '{self.echo}'}}, {{service: 'http_status:404'}}]"
        reload(agent, f"ingress: {rules}")
        await self.edge.until(lambda: len(self.changes()) == 2)
        self.assertEqual(self.changes()[1].routes[0].hostname, "")
        (event,) = self.events_of(ReloadRefused)
        self.assertIn("not yours", event.reason)
        await self.assert_serves(self.edge, self.changes()[1].routes[0].id)

    def changes(self) -> list[RoutesChanged]:
        """Return the changes of routes that the edge heard of."""
        return [each for each in self.edge.messages if isinstance(each, RoutesChanged)]


class DrainTests(LifecycleTestCase):
    """The agent stops: nothing is lost."""

    async def test_requests_under_way_finish(self) -> None:
        """Each stream that was open gets its whole answer, then the tunnels close and the agent is gone."""
        origin = Origin()
        agent = await self.start(self.serve(origin), tunnels=2)
        visits = []
        for tunnel in (0, 0, 1):
            coming = origin.next_connection()
            visits.append((self.edge.visit(0, b"question", tunnel), await coming))
        stopped = agent.stopService()
        await self.edge.until(lambda: len(self.edge.drains) == 2)
        for visit, connection in visits:
            await connection.read(8)
            connection.transport.write(b"answer" * 100_000)
            connection.transport.loseConnection()
            visit.stream.end()
        await gatherResults([visit.over for visit, _ in visits])
        self.assertEqual([visit.count for visit, _ in visits], [600_000] * 3)
        await stopped
        self.assertEqual(self.edge.tunnels, [])

    async def test_streams_on_their_way_are_served(self) -> None:
        """A stream that the edge opened before it heard of the drain is not refused."""
        agent = await self.start(self.echo)
        tunnel = self.edge.tunnels[0]
        stopped = agent.stopService()
        visit = self.edge.visit(0, b"hello")
        self.assertIs((await visit.opened).code, OpeningCode.OPENED)
        self.assertEqual(await visit.read(5), b"hello")
        visit.stream.end()
        await visit.over
        await stopped
        self.assertEqual(end_of(tunnel), "lost: the tunnel's connection was lost: Connection was closed cleanly.")

    async def test_deadline(self) -> None:
        """A stream that never ends holds the agent up until the deadline and no longer."""
        agent = await self.start(f"drain: 0.3\ningress: [{{service: '{self.echo}'}}]")
        visit = self.edge.visit(0, b"hello")
        await visit.read(5)
        began = reactor.seconds()
        await agent.stopService()
        self.assertLess(reactor.seconds() - began, 2.0)
        self.assertEqual(len(visit.errors), 1)

    async def test_stop_now(self) -> None:
        """A second request to stop ends the drain at once."""
        agent = await self.start(self.echo)
        visit = self.edge.visit(0, b"hello")
        await visit.read(5)
        stopped = agent.stopService()
        await self.edge.until(lambda: len(self.edge.drains) == 1)
        agent.stop_now()
        await stopped
        self.assertEqual(len(visit.errors), 1)

    async def test_stop_while_the_edge_is_away(self) -> None:
        """An agent that waits for its edge stops without waiting."""
        agent = await self.start(self.echo, tunnels=2)
        await self.edge.stop()
        await self.until(lambda: len(self.events_of(TunnelDown)) == 2)
        await agent.stopService()
        self.assertEqual(agent.tunnels_up, 0)
        self.assertEqual(len(self.events_of(TunnelUp)), 2)

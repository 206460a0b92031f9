"""Enrollment, renewal and revocation over real TLS."""

from pathlib import Path

from twisted.internet.defer import Deferred

from tests.case import AsyncTestCase, reactor, until
from tests.system.edge.live import ZONE, EnrolledAgent, ask, endpoint, enroll_agent, make_node, new_token
from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_twisted.ca.issue import Issuer, issue_agent, issue_root, key_to_pem, new_key, new_request, to_pem, utc
from warp_twisted.ca.tokens import JoinTokenText, parse_token
from warp_twisted.edge.node import EdgeNode
from warp_twisted.names import HostnamePattern, parse_hostname
from warp_twisted.registry.model import GivenName, encode
from warp_twisted.tunnel.endpoints import fetch_root
from warp_twisted.tunnel.errors import PeerNotTrusted
from warp_twisted.wire.control import (
    Accepted,
    Enrolled,
    EnrollRefused,
    Hello,
    Refused,
    Renewed,
    RenewRequest,
    RouteOffer,
)


class LiveEdgeTestCase(AsyncTestCase):
    """One edge on loopback."""

    sections: dict[str, object] = {}

    async def prepare(self) -> None:
        """Start it."""
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.agents: list[EnrolledAgent] = []
        self.node = await self.start()

    async def start(self) -> EdgeNode:
        """Start an edge on the same files."""
        node = make_node(self.directory, **self.sections)
        node.startService()
        await node.started
        self.addCleanup(self.stop, node)
        return node

    async def stop(self, node: EdgeNode) -> None:
        """Stop an edge that still runs."""
        for agent in self.agents:
            await agent.close()
        if node.running:
            await node.stopService()

    @property
    def port(self) -> int:
        """Where agents dial."""
        return self.node.ports.tunnel[0]

    async def agent(self, *patterns: str, share: str = "tests") -> EnrolledAgent:
        """Enroll an agent."""
        name = self.directory / f"agent{len(self.agents)}"
        agent = await enroll_agent(self.port, await new_token(self.node, *patterns, share=share), name)
        self.agents.append(agent)
        return agent

    def published(self, hostname: str) -> bool:
        """Whether the edge's DNS answers for a hostname, asked over UDP without the reactor's help."""
        return bool(self.node.parts.publication.records_of(hostname))


class EnrollmentTests(LiveEdgeTestCase):
    """From a join token to a tunnel."""

    async def test_token_to_tunnel(self) -> None:
        """A token makes an agent, whose certificate opens a tunnel, whose hostname is published."""
        agent = await self.agent("*.team.warp.test")
        self.assertEqual(agent.enrolled.hostnames, ["*.team.warp.test"])
        answer = await agent.register("app.team.warp.test")
        self.assertIsInstance(answer, Accepted)
        self.assertTrue(self.published("app.team.warp.test"))

    async def test_certificate_holds_to_its_patterns(self) -> None:
        """An agent is refused a hostname that its token did not allow."""
        agent = await self.agent("*.team.warp.test")
        answer = await agent.register("app.warp.test")
        assert isinstance(answer, Refused)
        self.assertEqual(answer.code, "not_allowed")
        self.assertFalse(self.published("app.warp.test"))

    async def refusal(self, token: JoinTokenText, csr_pem: str | None = None) -> str:
        """Return the code with which an enrollment is refused."""
        answer, _ = await ask(self.port, token, csr_pem)
        assert isinstance(answer, EnrollRefused), answer
        return answer.code

    async def test_wrong_fingerprint(self) -> None:
        """An edge with another root than the token's is not told the secret."""
        with self.assertRaises(PeerNotTrusted):
            await fetch_root(endpoint(self.port), "00" * 32, reactor=reactor)

    async def test_used_up(self) -> None:
        """A token for one agent lets no second one in."""
        text = parse_token(await new_token(self.node))
        answer, _ = await ask(self.port, text)
        self.assertIsInstance(answer, Enrolled)
        self.assertEqual(await self.refusal(text), "token_used_up")

    async def test_two_at_the_same_moment(self) -> None:
        """Of two agents that come at once with a token for one, one gets in."""
        text = parse_token(await new_token(self.node))
        both = [Deferred.fromCoroutine(ask(self.port, text)) for _ in range(2)]
        answers = [(await each)[0] for each in both]
        self.assertEqual(sorted(type(answer).__name__ for answer in answers), ["EnrollRefused", "Enrolled"])
        self.assertEqual(len(self.node.parts.mirror.agents), 1)

    async def test_expired(self) -> None:
        """A token lets nobody in after its time."""
        text = parse_token(await new_token(self.node, ttl_seconds=0.001))
        self.assertEqual(await self.refusal(text), "token_expired")

    async def test_unknown_token_and_wrong_secret(self) -> None:
        """A token of another id, and one with another secret, are refused in the same words."""
        good = parse_token(await new_token(self.node))
        other = JoinTokenText(good.edges, good.fingerprint, "0" * 16, good.secret)
        wrong = JoinTokenText(good.edges, good.fingerprint, good.id, "00" * 32)
        self.assertEqual([await self.refusal(token) for token in (other, wrong)], ["token_unknown"] * 2)

    async def test_revoked_token(self) -> None:
        """A revoked token lets nobody in; agents that it let in stay."""
        text = parse_token(await new_token(self.node, uses=5))
        await ask(self.port, text)
        await self.node.parts.enrollment.revoke_token(text.id)
        self.assertEqual(await self.refusal(text), "token_unknown")
        self.assertEqual(len(self.node.parts.mirror.agents), 1)

    async def test_bad_request_uses_nothing(self) -> None:
        """A certificate request that cannot be read is refused, and the token can still be used."""
        text = parse_token(await new_token(self.node))
        self.assertEqual(await self.refusal(text, "nonsense"), "bad_request")
        answer, _ = await ask(self.port, text)
        self.assertIsInstance(answer, Enrolled)


class EnrollmentRateTests(LiveEdgeTestCase):
    """Guessing is slow."""

    sections = {"limits": {"enrollments_per_second": 0.01, "enrollment_burst": 2}}

    async def test_rate(self) -> None:
        """Each request costs its address a unit, the connection for the root none; one too many hears when to retry."""
        text = parse_token(await new_token(self.node, uses=10))
        answers = [(await ask(self.port, text))[0] for _ in range(3)]
        self.assertEqual([isinstance(answer, Enrolled) for answer in answers], [True, True, False])
        refusal = answers[-1]
        assert isinstance(refusal, EnrollRefused)
        self.assertEqual(refusal.code, "too_many")
        self.assertTrue(90 < refusal.retry_seconds <= 100, refusal.retry_seconds)


class HandshakeTests(LiveEdgeTestCase):
    """Who is not let near a tunnel."""

    async def test_foreign_certificate(self) -> None:
        """An agent whose certificate another root signed gets no tunnel."""
        agent = await self.agent()
        key = new_key()
        root = Issuer(issue_root(key, "evil", utc(MACHINE_WALL_CLOCK.now())), key)
        patterns = [HostnamePattern.parse(f"*.{ZONE}")]
        leaf = issue_agent(root, key.public_key(), agent.id, patterns, utc(MACHINE_WALL_CLOCK.now()))
        agent.key_pem = key_to_pem(key)
        agent.use(to_pem(leaf))
        tunnel = await agent.dial()  # TLS 1.3: the client is done before the server has looked at its certificate
        await tunnel.disconnected()
        self.assertEqual(self.node.parts.tunnels.registrations.by_id, {})

    async def test_edges_own_certificate_is_no_agents(self) -> None:
        """A certificate of our CA that is not an agent's registers nothing."""
        agent = await self.agent()
        agent.key_pem = (self.directory / "state" / "tunnel.key").read_bytes()
        agent.use((self.directory / "state" / "tunnel.pem").read_text())
        tunnel = await agent.dial()
        await tunnel.disconnected()
        self.assertEqual(self.node.parts.tunnels.registrations.by_id, {})


class PatternTests(LiveEdgeTestCase):
    """What a wildcard does not stand for."""

    async def test_names_with_an_owner(self) -> None:
        """Visitors of the edge's own name, or of one given to another agent, do not reach an agent with a wildcard."""
        agent = await self.agent()
        await agent.register(f"*.{ZONE}")
        given = GivenName(hostname=parse_hostname(f"calm-otter-481.{ZONE}"), agent="a-other")
        await self.node.parts.store.put(given.key, encode(given))
        await until(lambda: given.hostname in self.node.parts.mirror.given_names)
        find = self.node.parts.serving.routes.find
        self.assertIsNotNone(find(f"app.{ZONE}", b"/"))
        for hostname in (f"edge1.{ZONE}", f"ns1.{ZONE}", f"_x.app.{ZONE}", given.hostname):
            self.assertIsNone(find(hostname, b"/"), hostname)


class RenewalTests(LiveEdgeTestCase):
    """Certificates that follow one another."""

    async def test_renewed_certificate_opens_a_tunnel(self) -> None:
        """A certificate that was renewed over the tunnel, for a new key, opens the next one."""
        agent = await self.agent()
        await agent.register(f"app.{ZONE}")
        key = new_key()
        agent.tunnels[0].send_control(RenewRequest(csr_pem=new_request(key)))
        await until(lambda: isinstance(agent.delegate.messages[-1], Renewed))
        renewed = agent.delegate.messages[-1]
        assert isinstance(renewed, Renewed)
        agent.key_pem = key_to_pem(key)
        agent.use(renewed.chain_pem)
        self.assertIsInstance(await agent.register(f"app.{ZONE}", slot=1), Accepted)

    async def test_the_edges_own_certificate_is_renewed(self) -> None:
        """The tunnel listener shows a new certificate without a restart, and live tunnels stay."""
        agent = await self.agent()
        await agent.register(f"app.{ZONE}")
        before = (self.directory / "state" / "tunnel.pem").read_text()
        await self.node.parts.tunnel_certificate._renew()
        self.assertNotEqual((self.directory / "state" / "tunnel.pem").read_text(), before)
        self.assertIsInstance(await agent.register(f"app.{ZONE}", slot=1), Accepted)
        self.assertFalse(agent.tunnels[0].is_over)


class RevocationTests(LiveEdgeTestCase):
    """An agent that must go."""

    async def test_revocation(self) -> None:
        """A revoked agent's live tunnels and names are gone within a second, and its certificate opens no more."""
        agent = await self.agent()
        for slot in range(4):
            await agent.register(f"app.{ZONE}", slot=slot)
        await self.node.parts.enrollment.revoke_agent(agent.id, "stolen")
        seconds = await until(lambda: not self.published(f"app.{ZONE}"), timeout=1)
        seconds += await until(lambda: all(tunnel.is_over for tunnel in agent.tunnels), timeout=1)
        self.assertLess(seconds, 1)
        answer = await agent.register(f"app.{ZONE}")
        assert isinstance(answer, Refused)
        self.assertEqual((answer.code, answer.retry), ("revoked", False))


class LeaseTests(LiveEdgeTestCase):
    """Names follow tunnels."""

    sections: dict[str, object] = {"dns": {"grace": 0}}

    async def test_name_goes_with_the_connection(self) -> None:
        """Without a grace a killed agent's name is gone as soon as the edge sees the connection end."""
        agent = await self.agent()
        await agent.register(f"app.{ZONE}")
        agent.tunnels[0].transport.abortConnection()  # type: ignore[union-attr]
        seconds = await until(lambda: not self.published(f"app.{ZONE}"), timeout=1)
        self.assertLess(seconds, 1)

    async def test_registration_is_published_in_time(self) -> None:
        """From the agent's dial to the published name it takes far less than 100 ms, 20 times in a row."""
        agent = await self.agent()
        times = []
        for number in range(20):
            tunnel = await agent.dial()
            hostname = f"h{number}.{ZONE}"
            route = RouteOffer(id=1, hostname=hostname)
            tunnel.send_control(
                Hello(version=1, software="t", agent_id=agent.id, session="s", slot=number, routes=[route])
            )
            times.append(await until(lambda name=hostname: self.published(name)))  # type: ignore[misc]
        self.assertLess(sorted(times)[-2], 0.1)

    async def test_restart(self) -> None:
        """Agents and tokens are known after a restart; tunnels are not, until they are dialed again."""
        agent = await self.agent()
        await agent.register(f"app.{ZONE}")
        spare = parse_token(await new_token(self.node))
        await agent.close()
        await self.node.stopService()
        self.node = await self.start()
        self.assertFalse(self.published(f"app.{ZONE}"))
        agent.port = self.port
        self.assertIsInstance(await agent.register(f"app.{ZONE}"), Accepted)
        answer, _ = await ask(self.port, spare)
        self.assertIsInstance(answer, Enrolled)

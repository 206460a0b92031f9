"""Tests of which agents may have a tunnel, and under which names."""

from tests.edge.agents.case import ControlTestCase
from tests.policy.document.test_asked import SOURCES, asked
from warp_twisted.edge.agents.admission import WAY_OUT
from warp_twisted.registry.model import AGENTS
from warp_twisted.wire.control import Accepted, Refused, RouteOffer, RoutesChanged


class NameTests(ControlTestCase):
    """What an agent may serve."""

    def test_given_name(self) -> None:
        """An agent that asks for no hostname gets a readable one, the same on each of its tunnels."""
        answers = []
        for slot in range(4):
            agent = self.control.connect()
            agent.hello("", slot=slot)
            answers.append(agent.answer(Accepted).hostnames[0])
        self.assertEqual(len(set(answers)), 1)
        self.assertRegex(answers[0], r"^[a-z]+-[a-z]+-[0-9]{3}\.warp\.example$")
        self.assertEqual(self.control.names(), answers[:1])

    async def test_labels_of_the_token_win(self) -> None:
        """An agent's own labels are published, but not against those of its join token."""
        await self.control.enrolled("a-2", release="stable")
        agent = self.control.connect("a-2")
        agent.hello("app.warp.example", labels={"release": "canary", "tier": "web"})
        records = [record.rdata for record in self.control.publication.records_of("app.warp.example")]
        self.assertIn('"release=stable,tier=web"', records)

    def test_wildcard_route(self) -> None:
        """A route may be a wildcard, where the certificate allows all of it."""
        agent = self.control.connect("a-1", "*.warp.example")
        agent.hello("*.team.warp.example")
        self.assertIsInstance(agent.messages[0], Accepted)
        other = self.control.connect("a-2", "*.team.warp.example")
        other.hello("*.warp.example")
        self.assertIsInstance(other.messages[0], Refused)

    def test_hostname_not_allowed(self) -> None:
        """A hostname outside the certificate is refused by name, with what is allowed."""
        answer = self.refused("app.other.example")
        self.assertEqual((answer.code, answer.retry), ("not_allowed", False))
        self.assertIn("app.other.example", answer.reason)
        self.assertIn("*.warp.example", answer.reason)

    def test_some_not_allowed(self) -> None:
        """Hostnames that are not allowed are left out and named, and the others are served, with their policy."""
        agent = self.control.connect()
        text = asked("x.example", sources=SOURCES)
        agent.hello("app.warp.example", "x.example", "edge1.warp.example", policy=text)
        accepted, refusal = agent.messages[-2:]
        assert isinstance(accepted, Accepted)
        assert isinstance(refusal, Refused)
        self.assertEqual(accepted.hostnames, {0: "app.warp.example"})
        self.assertEqual(self.control.names(), ["app.warp.example"])
        self.assertEqual((refusal.code, refusal.retry), ("not_allowed", False))
        self.assertIn("x.example is not allowed by the agent's certificate", refusal.reason)
        self.assertIn("2 hostnames are left out, such as this, and the others are served", refusal.reason)
        self.assertFalse(self.control.asked)  # it may not say what is enforced for hostnames of others

    def test_none_allowed(self) -> None:
        """Where nothing would be left the offer is refused, by the first name."""
        self.assertIn("x.example", self.refused("x.example", "y.example").reason)

    def test_path_of_a_hostname_that_is_left_out(self) -> None:
        """All routes of a hostname go, and routes that are offered later are taken whole or not at all."""
        agent = self.control.connect("a-1", "app.warp.example")
        routes = [
            RouteOffer(id=0, hostname="app.warp.example"),
            RouteOffer(id=1, hostname="b.warp.example", path="^/x"),
            RouteOffer(id=2, hostname="b.warp.example"),
        ]
        agent.hello(routes=routes)
        self.assertEqual(self.control.names(), ["app.warp.example"])
        self.assertIn("it is left out, and the others are served", agent.answer(Refused).reason)
        agent.send(RoutesChanged(routes=routes))
        self.assertIn("b.warp.example is not allowed", agent.answer(Refused).reason)

    def test_reserved_hostnames(self) -> None:
        """Nobody may take an edge's or a name server's name, though its pattern covers them."""
        for name in ("edge1.warp.example", "ns1.warp.example", "_acme-challenge.warp.example"):
            self.assertIn("kept for the zone", self.refused(name).reason)

    def test_not_a_hostname(self) -> None:
        """What is no hostname is refused."""
        for name in ("a..b", "*", "a b", "192.0.2.1"):
            self.assertEqual(self.refused(name).code, "not_allowed")

    def test_given_name_without_wildcard(self) -> None:
        """An agent that may serve one hostname only must name it."""
        end = self.control.connect("a-1", "app.warp.example")
        end.hello("")
        self.assertIn("*.example.org", end.answer(Refused).reason)

    def test_name_given_to_another(self) -> None:
        """The readable name of one agent is not served by another, whatever its certificate allows."""
        first = self.control.connect()
        first.hello("")
        (name,) = self.control.names()
        self.assertEqual(self.refused(name, agent="a-2").code, "conflict")

    def test_bad_labels(self) -> None:
        """Labels that break the grammar are refused."""
        self.assertIn("label", self.refused("app.warp.example", labels={"-bad": "x"}).reason)


class RevocationTests(ControlTestCase):
    """Agents that must not come back."""

    async def test_revocation_cuts_tunnels(self) -> None:
        """Revoking an agent cuts all its tunnels and withdraws its names in the next turn; others stay."""
        ends = [self.control.connect() for _ in range(2)]
        for slot, end in enumerate(ends):
            end.hello("app.warp.example", slot=slot)
        other = self.control.connect("a-2")
        other.hello("other.warp.example")
        await self.control.enrollment.revoke_agent("a-1", "stolen")
        self.control.clock.advance(0)
        self.assertEqual(self.control.names(), ["other.warp.example"])
        for end in ends:
            end.pair.pump()
            answer = end.answer(Refused)
            self.assertEqual((answer.code, answer.reason), ("revoked", "agent a-1 was revoked: stolen"))
            self.assertEqual(end.ending, ("REVOKED", answer.reason))
        other.pair.pump()
        self.assertIsNone(other.ending)

    async def test_revoked_agent_comes_back(self) -> None:
        """A revoked agent whose certificate is still valid is refused for good."""
        await self.control.enrollment.revoke_agent("a-1", "\x1b[31mstolen\n" + "x" * 1000)
        end = self.control.connect()
        end.hello("app.warp.example")
        answer = end.answer(Refused)
        self.assertEqual((answer.code, answer.retry), ("revoked", False))
        self.assertTrue(answer.reason.startswith("agent a-1 was revoked: [31mstolen xxx"), answer.reason)
        self.assertLess(len(answer.reason), 420)
        self.assertEqual(end.ending, ("NORMAL", answer.reason))

    async def test_agent_without_record(self) -> None:
        """An agent that is here without a record can be revoked too."""
        end = self.control.connect("a-9")
        end.hello("app.warp.example")
        await self.control.enrollment.revoke_agent("a-9")
        end.pair.pump()
        self.assertEqual(end.ending, ("REVOKED", "agent a-9 was revoked"))

    async def test_agent_that_nobody_knows(self) -> None:
        """An agent without record and tunnel can be revoked by its id, and is refused when it comes."""
        agent = "a-0123456789abcdef"
        await self.control.enrollment.revoke_agent(agent, "from before the backup")
        self.assertEqual(self.control.mirror.revocations[agent].reason, "from before the backup")
        end = self.control.connect(agent)
        end.hello("app.warp.example")
        self.assertEqual(end.answer(Refused).code, "revoked")
        reason = f"agent {agent} was revoked: from before the backup; {WAY_OUT}"
        self.assertEqual(end.ending, ("NORMAL", reason))

    async def test_record_that_is_deleted(self) -> None:
        """An agent whose record goes, without a revocation, is cut as well."""
        end = self.control.connect()
        end.hello("app.warp.example")
        await self.control.store.delete(AGENTS + "a-1")
        end.pair.pump()
        self.assertEqual(end.ending, ("REVOKED", "agent a-1 is no longer enrolled"))

    async def test_given_name_of_a_revoked_agent(self) -> None:
        """The name that was made up for a revoked agent is free again."""
        end = self.control.connect()
        end.hello("")
        await self.control.enrollment.revoke_agent("a-1")
        self.assertEqual(self.control.mirror.given_names, {})

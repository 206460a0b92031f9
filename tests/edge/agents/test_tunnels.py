"""Tests of an edge's tunnels: who may register, what is published, what replaces what, and what ends it."""

from datetime import timedelta
from typing import Any

from twisted.internet.defer import Deferred

from tests.case import AsyncTestCase
from tests.edge.control import NOW, Control, make_settings
from warp_twisted.ca.issue import new_key, new_request
from warp_twisted.edge.agents.offers import MAX_HOSTNAMES_BYTES
from warp_twisted.edge.agents.tunnels import EXPIRY_CHECK_SECONDS, MAX_WAITING_MESSAGES
from warp_twisted.edge.errors import OfferRefused
from warp_twisted.registry.model import AGENTS
from warp_twisted.wire.control import (
    Accepted,
    Drain,
    Hello,
    OriginHealth,
    Refused,
    Renewed,
    RenewRefused,
    RenewRequest,
    RouteOffer,
    RoutesChanged,
)


class TunnelsTestCase(AsyncTestCase):
    """An edge in memory, with one enrolled agent."""

    sections: dict[str, object] = {}

    async def prepare(self) -> None:
        """Start the edge."""
        self.control = Control(**self.sections)
        await self.control.start()
        await self.control.enrolled("a-1")
        self.clean_up_with(self.finish)

    async def finish(self) -> None:
        """Stop it."""
        await self.control.stop()
        self.assertEqual(self.control.clock.getDelayedCalls(), [])


class RegistrationTests(TunnelsTestCase):
    """From hello to accepted."""

    def test_accepted(self) -> None:
        """An agent that offers an allowed hostname is accepted, with its URL, the lease and the edges."""
        agent = self.control.connect()
        agent.hello("app.warp.example")
        (answer,) = agent.messages
        assert isinstance(answer, Accepted)
        self.assertEqual(
            (answer.edge, answer.hostnames, answer.urls, answer.lease_seconds, answer.edges),
            ("edge1", {0: "app.warp.example"}, {0: "https://app.warp.example"}, 30.0, ["192.0.2.1:7844"]),
        )
        self.assertEqual(answer.plain_urls, {0: "http://app.warp.example"})
        self.assertIn(answer.tunnel_id, self.control.tunnels.registrations.by_id)

    def test_published_at_once(self) -> None:
        """The hostname is routed and published before the agent is told, in the same instant."""
        agent = self.control.connect()
        before = self.control.clock.seconds()
        agent.hello("app.warp.example")
        self.assertEqual(self.control.clock.seconds(), before)
        self.assertEqual(self.control.names(), ["app.warp.example"])
        self.assertEqual(self.control.routes.hostnames, ["app.warp.example"])

    def test_withdrawn_at_once(self) -> None:
        """When the connection is lost, route and names are gone in the same instant."""
        agent = self.control.connect()
        agent.hello("app.warp.example")
        agent.pair.agent.close()
        agent.pair.pump()
        self.assertEqual((self.control.names(), self.control.routes.served), ([], {}))
        self.assertEqual(self.control.tunnels.registrations.by_id, {})

    def test_names_stay_for_the_lease_when_the_edge_is_gone(self) -> None:
        """A registered tunnel is under a lease, which ends when nobody keeps it alive."""
        agent = self.control.connect()
        agent.hello("app.warp.example")
        self.control.claims._sweep.stop()
        self.control.clock.advance(29)
        self.assertEqual(self.control.names(), ["app.warp.example"])
        self.control.clock.advance(2)
        self.assertEqual(self.control.names(), [])
        self.control.claims.start()

    def test_given_name(self) -> None:
        """An agent that asks for no hostname gets a readable one, the same on each of its tunnels."""
        answers = []
        for slot in range(4):
            agent = self.control.connect()
            agent.hello("", slot=slot)
            answers.append(agent.messages[0].hostnames[0])  # type: ignore[union-attr]
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

    def test_two_agents_form_a_pool(self) -> None:
        """Two agents on one hostname serve it together; the name stays until both are gone."""
        first, second = self.control.connect("a-1"), self.control.connect("a-2")
        first.hello("app.warp.example")
        second.hello("app.warp.example")
        first.pair.agent.close()
        first.pair.pump()
        self.assertEqual(self.control.names(), ["app.warp.example"])
        self.assertEqual(self.control.routes.hostnames, ["app.warp.example"])

    def test_wildcard_route(self) -> None:
        """A route may be a wildcard, where the certificate allows all of it."""
        agent = self.control.connect("a-1", "*.warp.example")
        agent.hello("*.team.warp.example")
        self.assertIsInstance(agent.messages[0], Accepted)
        other = self.control.connect("a-2", "*.team.warp.example")
        other.hello("*.warp.example")
        self.assertIsInstance(other.messages[0], Refused)

    def test_too_many_without_a_hello(self) -> None:
        """Only so many agents may be connected without having said hello; those that have do not count."""
        self.control.settings = make_settings(limits={"handshakes": 2})
        self.control.connect("a-1").hello("app.warp.example")
        for number in range(2):
            self.control.connect(f"a-{number + 2}")
        self.assertRaises(OfferRefused, self.control.tunnels.tunnel_proven, object())
        self.control.clock.pump([1] * 11)
        self.control.connect("a-4").hello("app.warp.example")
        self.assertEqual(len(self.control.tunnels.registrations.by_id), 2)

    def test_longest_offer_fits_the_registry(self) -> None:
        """The most that an agent may offer can be written down; more is refused, so it cannot block the registry."""
        self.control.settings = make_settings(limits={"routes_per_tunnel": 1000})
        names = [f"{'h' * 60}.{'i' * 60}.{number:04}.warp.example" for number in range(300)]
        labels = {f"{'p' * 150}{number}.example/{'k' * 63}": "v" * 63 for number in range(32)}
        agent = self.control.connect()
        agent.hello(*names[: MAX_HOSTNAMES_BYTES // len(names[0])], labels=labels)
        self.assertIsInstance(agent.messages[0], Accepted)
        self.assertEqual((len(self.control.names()) > 250, self.control.claims.is_failing), (True, False))
        other = self.control.connect("a-2")
        other.hello(*names)
        self.assertIn("characters together", other.messages[0].reason)  # type: ignore[union-attr]

    def test_no_hello(self) -> None:
        """An agent that says nothing is cut after the hello time-out."""
        agent = self.control.connect()
        self.control.clock.pump([1] * 11)
        agent.pair.pump()
        self.assertTrue(agent.is_lost)
        self.assertEqual(self.control.tunnels.registrations.counts.refused, {"no_hello": 1})


class RefusalTests(TunnelsTestCase):
    """Who is not accepted, and what it is told."""

    sections = {"limits": {"tunnels": 3, "tunnels_per_agent": 2, "routes_per_tunnel": 2}}

    def refused(self, *hostnames: str, agent: str = "a-1", **changes: object) -> Refused:
        """Say hello, expect a refusal, and check that nothing came of it."""
        before = self.control.names()
        end = self.control.connect(agent)
        end.hello(*hostnames, **changes)  # type: ignore[arg-type]
        answer = end.messages[-1]
        assert isinstance(answer, Refused), answer
        self.assertTrue(end.is_lost)
        self.assertEqual(self.control.names(), before)
        return answer

    def test_hostname_not_allowed(self) -> None:
        """A hostname outside the certificate is refused by name, with what is allowed."""
        answer = self.refused("app.other.example")
        self.assertEqual((answer.code, answer.retry), ("not_allowed", False))
        self.assertIn("app.other.example", answer.reason)
        self.assertIn("*.warp.example", answer.reason)

    def test_one_of_several_not_allowed(self) -> None:
        """One hostname that is not allowed refuses the whole offer."""
        self.assertIn("x.example", self.refused("app.warp.example", "x.example").reason)

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
        self.assertIn("*.example.org", end.messages[0].reason)  # type: ignore[union-attr]

    def test_other_agents_id(self) -> None:
        """An agent that introduces itself as another is refused."""
        self.assertIn("certificate is for agent a-1", self.refused("app.warp.example", agent_id="a-2").reason)

    def test_version(self) -> None:
        """Another version of the control protocol is refused."""
        self.assertEqual(self.refused("app.warp.example", version=2).code, "version")

    def test_bad_labels(self) -> None:
        """Labels that break the grammar are refused."""
        self.assertIn("label", self.refused("app.warp.example", labels={"-bad": "x"}).reason)

    def test_bad_path(self) -> None:
        """A path that the route table refuses is told as it says."""
        answer = self.refused(routes=[RouteOffer(id=1, hostname="app.warp.example", path="bad(")])
        self.assertIn("cannot be used", answer.reason)

    def test_two_routes_of_one_number(self) -> None:
        """Route numbers must differ."""
        routes = [RouteOffer(id=1, hostname="a.warp.example"), RouteOffer(id=1, hostname="b.warp.example")]
        self.assertIn("same number", self.refused(routes=routes).reason)

    def test_too_many_routes(self) -> None:
        """Routes over the limit are refused."""
        self.assertIn("2 is most", self.refused("a.warp.example", "b.warp.example", "c.warp.example").reason)

    def test_too_many_tunnels_of_an_agent(self) -> None:
        """A third tunnel of one agent is refused, to be tried again; a replacement is not."""
        for slot in range(2):
            self.control.connect().hello("app.warp.example", slot=slot)
        answer = self.refused("app.warp.example", slot=2)
        self.assertEqual((answer.code, answer.retry), ("overloaded", True))
        again = self.control.connect()
        again.hello("app.warp.example", slot=1)
        self.assertIsInstance(again.messages[0], Accepted)

    def test_too_many_tunnels_at_once(self) -> None:
        """Tunnels that wait for the same answer of the registry do not get past the limit together."""
        ends = [self.control.connect() for _ in range(4)]
        for slot, end in enumerate(ends):  # all hellos are under way before the first is answered
            routes = [RouteOffer(id=0, hostname="")]
            end.pair.agent.send_control(
                Hello(version=1, software="", agent_id="a-1", session="s", slot=slot, routes=routes)
            )
        waiting: list[Deferred[bool]] = []
        transact = self.control.store.transact

        async def slowly(*arguments: Any) -> bool:
            turn: Deferred[bool] = Deferred()
            waiting.append(turn)
            await turn
            return await transact(*arguments)

        self.patch(self.control.store, "transact", slowly)
        for end in ends:
            end.pair.pump()
        while waiting:
            waiting.pop(0).callback(True)
        for end in ends:
            end.pair.pump()
        self.assertEqual(len(self.control.tunnels.registrations.by_id), 2)

    def test_name_given_to_another(self) -> None:
        """The readable name of one agent is not served by another, whatever its certificate allows."""
        first = self.control.connect()
        first.hello("")
        (name,) = self.control.names()
        self.assertEqual(self.refused(name, agent="a-2").code, "conflict")

    def test_too_many_tunnels(self) -> None:
        """A tunnel over the edge's limit is refused, to be tried again; a replacement is not."""
        for number in range(3):
            self.control.connect(f"a-{number}").hello("app.warp.example")
        self.assertEqual(self.refused("app.warp.example", agent="a-9").code, "overloaded")
        again = self.control.connect("a-1")
        again.hello("app.warp.example", session="later")
        self.assertIsInstance(again.messages[0], Accepted)

    def test_draining_edge(self) -> None:
        """A draining edge refuses new tunnels, to be tried elsewhere."""
        self.control.tunnels.drain(30)
        answer = self.refused("app.warp.example")
        self.assertEqual((answer.code, answer.retry), ("draining", True))

    def test_messages_after_the_end(self) -> None:
        """What an agent said before it heard that its tunnel is closed does nothing."""
        end = self.control.connect()
        end.hello("app.warp.example")
        end.pair.agent.send_control(Drain())
        end.pair.agent.send_control(RoutesChanged(routes=[]))
        self.control.tunnels.cut("a-1", "for the test")
        end.pair.pump()
        self.assertTrue(end.is_lost)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_second_hello(self) -> None:
        """A second hello on one tunnel ends it."""
        end = self.control.connect()
        end.hello("app.warp.example")
        end.hello("app.warp.example")
        self.assertTrue(end.is_lost)

    def test_message_before_hello(self) -> None:
        """Anything before the hello ends the tunnel."""
        end = self.control.connect()
        end.send(RoutesChanged(routes=[]))
        self.assertTrue(end.is_lost)

    def test_flood_of_messages(self) -> None:
        """More messages than the edge keeps while it is busy end the tunnel."""
        end = self.control.connect()
        end.hello("app.warp.example")
        peer = next(iter(self.control.tunnels._peers.values()))
        peer.is_answering = True  # as if the registry had not answered yet
        for _ in range(MAX_WAITING_MESSAGES + 1):
            end.send(OriginHealth(route_id=0, healthy=True))
        self.assertTrue(end.is_lost)

    def test_flood_of_answered_messages(self) -> None:
        """Messages that are answered at once end the tunnel too, when they come without an end."""
        end = self.control.connect()
        end.hello("app.warp.example")
        request = RenewRequest(csr_pem="nonsense")
        for _ in range(100):
            end.pair.agent.send_control(request)
        end.pair.pump()
        self.assertTrue(end.is_lost)


class ReplacementTests(TunnelsTestCase):
    """The newest wins."""

    def test_same_slot(self) -> None:
        """A tunnel in the same slot replaces the stale one at once, and the names never go."""
        told: list[object] = []
        first = self.control.connect()
        first.hello("app.warp.example")
        self.control.publication.subscribe(told.append)
        second = self.control.connect()
        second.hello("app.warp.example")
        first.pair.pump()
        self.assertTrue(first.is_lost)
        self.assertIn("REPLACED", str(first.delegate.losses[0]))
        self.assertFalse(second.is_lost)
        self.assertEqual((self.control.names(), told), (["app.warp.example"], []))
        self.assertEqual(len(self.control.tunnels.registrations.by_id), 1)

    def test_other_slot(self) -> None:
        """Tunnels of one run in different slots live side by side."""
        first, second = self.control.connect(), self.control.connect()
        first.hello("app.warp.example", slot=0)
        second.hello("app.warp.example", slot=1)
        first.pair.pump()
        self.assertFalse(first.is_lost)
        self.assertEqual(len(self.control.tunnels.registrations.by_id), 2)

    def test_new_run_of_the_agent(self) -> None:
        """The first tunnel of a restarted agent replaces all that its last run left, whatever their slots."""
        old = [self.control.connect() for _ in range(3)]
        for slot, end in enumerate(old):
            end.hello("app.warp.example", slot=slot, session="old")
        new = self.control.connect()
        new.hello("app.warp.example", slot=0, session="new")
        for end in old:
            end.pair.pump()
        self.assertEqual([end.is_lost for end in old], [True] * 3)
        self.assertEqual(len(self.control.tunnels.registrations.by_id), 1)
        self.assertEqual(self.control.tunnels.registrations.counts.replaced, 3)

    def test_other_agents_slot(self) -> None:
        """Slots of different agents have nothing to do with each other."""
        first, second = self.control.connect("a-1"), self.control.connect("a-2")
        first.hello("app.warp.example")
        second.hello("app.warp.example")
        first.pair.pump()
        self.assertFalse(first.is_lost)


class LifeTests(TunnelsTestCase):
    """What happens while a tunnel lives."""

    def test_routes_changed(self) -> None:
        """New routes are applied by difference and accepted."""
        agent = self.control.connect()
        agent.hello("a.warp.example", "b.warp.example")
        agent.send(RoutesChanged(routes=[RouteOffer(id=5, hostname="b.warp.example")]))
        answer = agent.messages[-1]
        assert isinstance(answer, Accepted)
        self.assertEqual(answer.hostnames, {5: "b.warp.example"})
        self.assertEqual((self.control.names(), self.control.routes.hostnames), (["b.warp.example"],) * 2)

    def test_refused_routes_change_nothing(self) -> None:
        """New routes that are not allowed are refused, and the tunnel goes on with the old ones."""
        agent = self.control.connect()
        agent.hello("a.warp.example")
        for routes in (
            [RouteOffer(id=1, hostname="x.example")],
            [RouteOffer(id=1, hostname="b.warp.example", path="bad(")],
            [RouteOffer(id=1, hostname="b.warp.example"), RouteOffer(id=1, hostname="c.warp.example")],
        ):
            agent.send(RoutesChanged(routes=routes))
            self.assertIsInstance(agent.messages[-1], Refused)
        self.assertFalse(agent.is_lost)
        self.assertEqual((self.control.names(), self.control.routes.hostnames), (["a.warp.example"],) * 2)

    def test_agent_drains(self) -> None:
        """An agent that drains gets nothing new and its names go, while the tunnel stays."""
        agent = self.control.connect()
        agent.hello("a.warp.example")
        agent.send(Drain(reason="restart"))
        self.assertEqual(self.control.names(), [])
        self.assertEqual(len(self.control.routes.draining), 1)
        self.assertEqual(len(self.control.tunnels.registrations.by_id), 1)
        self.assertFalse(agent.is_lost)

    def test_name_stays_while_another_tunnel_serves_it(self) -> None:
        """The names of a draining tunnel stay as long as another tunnel serves them."""
        first, second = self.control.connect(), self.control.connect()
        first.hello("a.warp.example", slot=0)
        second.hello("a.warp.example", slot=1)
        first.send(Drain())
        self.assertEqual(self.control.names(), ["a.warp.example"])
        second.send(Drain())
        self.assertEqual(self.control.names(), [])

    def test_drain_before_hello(self) -> None:
        """An agent that drains before it registered is no error."""
        agent = self.control.connect()
        agent.send(Drain())
        agent.hello("a.warp.example")
        self.assertFalse(self.flushLoggedErrors())

    def test_edge_drains(self) -> None:
        """A draining edge tells its agents, and keeps their tunnels for what is under way."""
        agent = self.control.connect()
        agent.hello("a.warp.example")
        self.control.tunnels.drain(12.5)
        agent.pair.pump()
        self.assertEqual(agent.delegate.drains[-1].deadline_seconds, 12.5)
        self.assertFalse(agent.is_lost)

    async def test_stop_closes_tunnels(self) -> None:
        """Stopping closes every tunnel."""
        agent = self.control.connect()
        agent.hello("a.warp.example")
        await self.control.close_tunnels()
        agent.pair.pump()
        self.assertTrue(agent.is_lost)
        self.assertEqual(self.control.names(), [])

    def test_origin_health(self) -> None:
        """News of an origin's health is kept, without an answer; what is said of other routes is passed over."""
        agent = self.control.connect()
        agent.hello("a.warp.example", "b.warp.example")
        (tunnel,) = self.control.tunnels.registrations.by_id.values()
        agent.send(OriginHealth(route_id=0, healthy=False, detail="connection refused"))
        agent.send(OriginHealth(route_id=1, healthy=False))
        agent.send(OriginHealth(route_id=7, healthy=False))
        self.assertEqual(tunnel.unhealthy, {0: "connection refused", 1: ""})
        agent.send(OriginHealth(route_id=1, healthy=True))
        agent.send(RoutesChanged(routes=[RouteOffer(id=2, hostname="b.warp.example")]))
        self.assertEqual(tunnel.unhealthy, {})
        self.assertEqual((len(agent.messages), agent.is_lost), (2, False))


class RevocationTests(TunnelsTestCase):
    """Agents that must not come back."""

    async def test_revocation_cuts_tunnels(self) -> None:
        """Revoking an agent cuts all its tunnels and withdraws its names in the same instant; others stay."""
        ends = [self.control.connect() for _ in range(2)]
        for slot, end in enumerate(ends):
            end.hello("app.warp.example", slot=slot)
        other = self.control.connect("a-2")
        other.hello("other.warp.example")
        await self.control.enrollment.revoke_agent("a-1", "stolen")
        self.assertEqual(self.control.names(), ["other.warp.example"])
        for end in ends:
            end.pair.pump()
            self.assertTrue(end.is_lost)
            answer = end.messages[-1]
            assert isinstance(answer, Refused)
            self.assertEqual((answer.code, answer.reason), ("revoked", "agent a-1 was revoked: stolen"))
        other.pair.pump()
        self.assertFalse(other.is_lost)

    async def test_revoked_agent_comes_back(self) -> None:
        """A revoked agent whose certificate is still valid is refused for good."""
        await self.control.enrollment.revoke_agent("a-1", "\x1b[31mstolen\n" + "x" * 1000)
        end = self.control.connect()
        end.hello("app.warp.example")
        answer = end.messages[0]
        assert isinstance(answer, Refused)
        self.assertEqual((answer.code, answer.retry), ("revoked", False))
        self.assertTrue(answer.reason.startswith("agent a-1 was revoked: [31mstolen xxx"), answer.reason)
        self.assertLess(len(answer.reason), 350)
        self.assertTrue(end.is_lost)

    async def test_agent_without_record(self) -> None:
        """An agent that is here without a record can be revoked too."""
        end = self.control.connect("a-9")
        end.hello("app.warp.example")
        await self.control.enrollment.revoke_agent("a-9")
        end.pair.pump()
        self.assertTrue(end.is_lost)

    async def test_agent_that_nobody_knows(self) -> None:
        """An agent without record and tunnel can be revoked by its id, and is refused when it comes."""
        agent = "a-0123456789abcdef"
        await self.control.enrollment.revoke_agent(agent, "from before the backup")
        self.assertEqual(self.control.mirror.revocations[agent].reason, "from before the backup")
        end = self.control.connect(agent)
        end.hello("app.warp.example")
        self.assertEqual(end.messages[0].code, "revoked")  # type: ignore[union-attr]
        self.assertTrue(end.is_lost)

    async def test_record_that_is_deleted(self) -> None:
        """An agent whose record goes, without a revocation, is cut as well."""
        end = self.control.connect()
        end.hello("app.warp.example")
        await self.control.store.delete(AGENTS + "a-1")
        end.pair.pump()
        self.assertTrue(end.is_lost)

    async def test_given_name_of_a_revoked_agent(self) -> None:
        """The name that was made up for a revoked agent is free again."""
        end = self.control.connect()
        end.hello("")
        await self.control.enrollment.revoke_agent("a-1")
        self.assertEqual(self.control.mirror.given_names, {})


class RenewalTests(TunnelsTestCase):
    """Certificates and their ends."""

    def test_renewal(self) -> None:
        """An enrolled agent gets its next certificate over the tunnel."""
        agent = self.control.connect()
        agent.hello("app.warp.example")
        agent.send(RenewRequest(csr_pem=new_request(new_key())))
        answer = agent.messages[-1]
        assert isinstance(answer, Renewed)
        self.assertEqual(answer.chain_pem.count("BEGIN CERTIFICATE"), 2)

    def test_bad_request(self) -> None:
        """A request that is none is refused, and the tunnel stays."""
        agent = self.control.connect()
        agent.hello("app.warp.example")
        agent.send(RenewRequest(csr_pem="nonsense"))
        answer = agent.messages[-1]
        assert isinstance(answer, RenewRefused)
        self.assertEqual((answer.code, agent.is_lost), ("bad_request", False))

    def test_agent_without_record(self) -> None:
        """An agent that this fleet has no record of is served while its certificate lasts, and not renewed."""
        agent = self.control.connect("a-9")
        agent.hello("app.warp.example")
        agent.send(RenewRequest(csr_pem=new_request(new_key())))
        self.assertIsInstance(agent.messages[0], Accepted)
        self.assertIsInstance(agent.messages[-1], RenewRefused)

    def pass_time(self, agent: object, seconds: float) -> None:
        """Let time pass while both ends answer pings."""
        for _ in range(int(seconds)):
            self.control.clock.advance(1)
            agent.pair.pump()  # type: ignore[attr-defined]

    def test_certificate_that_ends(self) -> None:
        """A tunnel whose certificate ended without being renewed is closed."""
        agent = self.control.connect(lifetime=timedelta(seconds=120))
        agent.hello("app.warp.example")
        self.pass_time(agent, 100)
        self.assertFalse(agent.is_lost)
        self.pass_time(agent, 20 + EXPIRY_CHECK_SECONDS)
        self.assertTrue(agent.is_lost)

    async def test_issuer_that_ends_first(self) -> None:
        """A renewed certificate lasts no longer than the edge's own, and the tunnel no longer than that."""
        control = Control(timedelta(seconds=100))
        await control.start()
        self.addCleanup(control.stop)
        await control.enrolled("a-1")
        agent = control.connect(lifetime=timedelta(seconds=60))
        agent.hello("app.warp.example")
        (tunnel,) = control.tunnels.registrations.by_id.values()
        self.assertEqual(tunnel.expires_at, NOW + 60)
        agent.send(RenewRequest(csr_pem=new_request(new_key())))
        self.assertIsInstance(agent.messages[-1], Renewed)
        self.assertEqual(tunnel.expires_at, NOW + 100)

    def test_renewed_agent_keeps_its_tunnels(self) -> None:
        """A renewal holds for all tunnels of the agent."""
        first = self.control.connect(lifetime=timedelta(seconds=120))
        first.hello("app.warp.example", slot=0)
        second = self.control.connect(lifetime=timedelta(seconds=120))
        second.hello("app.warp.example", slot=1)
        first.send(RenewRequest(csr_pem=new_request(new_key())))
        for _ in range(200):
            self.control.clock.advance(1)
            first.pair.pump()
            second.pair.pump()
        self.assertEqual((first.is_lost, second.is_lost), (False, False))

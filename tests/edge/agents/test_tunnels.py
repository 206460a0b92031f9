"""Tests of an edge's tunnels: who may register, what is published, what replaces what, and what ends it."""

from twisted.internet.defer import Deferred

from tests.edge.agents.case import ControlTestCase
from tests.edge.control import AgentEnd, make_settings
from tests.policy.document.test_asked import SOURCES, asked
from warp_base.slices import Slices
from warp_twisted.ca.issue import new_key, new_request
from warp_twisted.edge.agents import peers
from warp_twisted.edge.agents.control_rate import NAMES_BURST, NAMES_OF_HOSTNAME, NAMES_PER_SECOND
from warp_twisted.edge.agents.tunnels import MAX_WAITING_MESSAGES
from warp_twisted.registry.model import Agent, Tunnel, encode
from warp_twisted.wire.control import (
    MAX_REASON_CHARACTERS,
    Accepted,
    Drain,
    OriginHealth,
    Refused,
    Renewed,
    RenewRefused,
    RenewRequest,
    RouteOffer,
    RoutesChanged,
)
from warp_twisted.wire.releases import KNOWN, policy_digest

REPLACED = ("REPLACED", "a newer tunnel of the same agent took its place")


class RegistrationTests(ControlTestCase):
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
        self.assertEqual((answer.ping_seconds, answer.silence_seconds), (20.0, 30.0))
        self.assertEqual(answer.plain_urls, {0: "http://app.warp.example"})
        self.assertEqual((answer.zone, answer.name_servers), ("warp.example", {"ns1.warp.example": ["192.0.2.1:53"]}))
        self.assertIn(answer.tunnel_id, self.control.tunnels.registrations.by_id)

    async def test_protections(self) -> None:
        """An agent is promised what it requires and this edge does, with each answer, and nothing else."""
        await self.control.enrolled("a-2")
        agent = self.control.connect()
        agent.hello("app.warp.example", requires=["later", "visitor-address"])
        agent.send(RoutesChanged(routes=[]))
        answers = [message for message in agent.messages if isinstance(message, Accepted)]
        self.assertEqual([answer.protects for answer in answers], [["visitor-address"]] * 2)
        self.assertEqual(answers[0].knows, list(KNOWN))
        other = self.control.connect("a-2")
        other.hello("app.warp.example")
        self.assertEqual(other.answer(Accepted).protects, [])

    def test_asked_policy(self) -> None:
        """What an agent asks to be enforced is, when its names are published; it is told so by the digest."""
        text = asked("app.warp.example", sources=SOURCES)
        agent = self.control.connect()
        agent.hello("app.warp.example", requires=["policy"], policy=text)
        answer = agent.answer(Accepted)
        self.assertEqual((answer.protects, answer.policy), (["policy"], policy_digest(text)))
        self.assertTrue(self.control.asked.of("app.warp.example"))
        agent.send(RoutesChanged(routes=[RouteOffer(id=3, hostname="app.warp.example", path="^/x")]))
        self.assertEqual(agent.answer(Accepted).policy, policy_digest(text))
        self.assertTrue(self.control.asked.of("app.warp.example"))
        agent.send(Drain())
        self.assertFalse(self.control.asked)

    def test_asked_policy_of_a_given_name(self) -> None:
        """It holds for the name that the edge gives, and ends with the tunnel."""
        agent = self.control.connect()
        agent.hello("", policy=asked("", sources=SOURCES))
        name = agent.answer(Accepted).hostnames[0]
        self.assertTrue(self.control.asked.of(name))
        agent.lose()
        self.assertFalse(self.control.asked)

    async def test_asked_policy_refused(self) -> None:
        """What cannot be enforced, and what the join token does not permit, refuses the tunnel; nothing is left."""
        good = asked("app.warp.example", sources=SOURCES)
        for text, reason in (
            (asked("app.warp.example", deny=True), "cannot be used: Object contains unknown field `deny`"),
            (asked("b.warp.example", sources=SOURCES), "names 'b.warp.example', which it does not offer"),
        ):
            answer = self.refused("app.warp.example", policy=text)
            self.assertEqual((answer.code, answer.retry), ("not_allowed", False))
            self.assertIn(reason, answer.reason)
        bad_path = [RouteOffer(id=0, hostname="app.warp.example", path="bad(")]
        self.refused("app.warp.example", policy=good, routes=bad_path)
        record = Agent(id="a-2", hostnames=("*.warp.example",), group="blue", policy=False)
        await self.control.store.put(record.key, encode(record))
        self.assertIn("--no-policy", self.refused("app.warp.example", agent="a-2", policy=good).reason)
        self.assertFalse(self.control.asked)
        other = self.control.connect("a-2")
        other.hello("app.warp.example")
        self.assertEqual(other.answer(Accepted).policy, "")

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

    def test_lost_without_a_goodbye(self) -> None:
        """A name whose last tunnel is lost is kept for `dns.grace`; the route is gone at once."""
        ends = [self.control.connect() for _ in range(2)]
        for slot, end in enumerate(ends):
            end.hello("app.warp.example", slot=slot)
        for end in ends:
            end.lose()
        self.assertEqual((self.control.names(), self.control.routes.served), (["app.warp.example"], {}))
        self.control.clock.advance(self.control.settings.dns.grace)
        self.assertEqual(self.control.names(), [])

    async def test_the_last_end_decides(self) -> None:
        """Whether a name is kept follows from how its last tunnel ends, and goes by what it served then."""
        await self.control.enrolled("a-2")
        agents = [self.control.connect(f"a-{number}") for number in range(1, 3)]
        for agent in agents:
            agent.hello("app.warp.example")
        agents[0].lose()
        agents[1].pair.agent.close()
        agents[1].pair.pump()
        self.assertEqual((self.control.names(), self.control.grace.count), ([], 0))

    def test_back_in_time(self) -> None:
        """An agent that comes back serves the name again, and its goodbye then is a goodbye."""
        killed, agent = self.control.connect(), self.control.connect()
        killed.hello("app.warp.example")
        killed.lose()
        agent.hello("app.warp.example", session="another")
        self.control.clock.advance(0)
        agent.pair.agent.close()
        agent.pair.pump()
        self.control.clock.advance(0)
        self.assertEqual(self.control.names(), [])

    def test_what_is_no_loss(self) -> None:
        """A tunnel that had said that it leaves, one that is replaced, and one that is cut leave no name behind."""
        draining = self.control.connect()
        draining.hello("app.warp.example")
        draining.send(Drain())
        draining.lose()
        self.assertEqual(self.control.names(), [])
        self.control.connect().hello("old.warp.example")
        self.control.connect().hello("new.warp.example")
        self.control.bury()
        self.assertEqual(self.control.names(), ["new.warp.example"])
        self.control.tunnels.cut("a-1", "stolen")
        self.control.clock.advance(0)
        self.assertEqual((self.control.names(), self.control.grace.count), ([], 0))

    def test_revoked_while_it_is_away(self) -> None:
        """The names of an agent that is revoked go at once, also when it was lost before."""
        agent = self.control.connect()
        agent.hello("app.warp.example")
        agent.lose()
        self.control.tunnels.cut("a-1", "stolen")
        self.assertEqual(self.control.names(), [])

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

    async def test_two_agents_form_a_pool(self) -> None:
        """Two agents of one group on one hostname serve it together; the name stays until both are gone."""
        await self.control.enrolled("a-2")
        first, second = self.control.connect("a-1"), self.control.connect("a-2")
        first.hello("app.warp.example")
        second.hello("app.warp.example")
        first.pair.agent.close()
        first.pair.pump()
        self.assertEqual(self.control.names(), ["app.warp.example"])
        self.assertEqual(self.control.routes.hostnames, ["app.warp.example"])

    async def test_too_many_without_a_hello(self) -> None:
        """Of those that have not said hello only so many may be connected; the oldest makes room for an agent."""
        await self.control.enrolled("a-4")
        self.control.settings = make_settings(limits={"handshakes": 2})
        self.control.connect("a-1").hello("app.warp.example")
        silent = [self.control.connect(f"a-{number + 2}") for number in range(2)]
        agent = self.control.connect("a-4")
        silent[0].pair.pump()
        self.assertEqual(silent[0].ending, ("NORMAL", "too many agents say no hello"))
        agent.hello("app.warp.example")
        agent.answer(Accepted)
        self.assertIsNone(silent[1].ending)
        self.assertEqual(self.control.tunnels.registrations.counts.refused, {"overloaded": 1})

    def test_no_hello(self) -> None:
        """An agent that says nothing is cut after the hello time-out."""
        agent = self.control.connect()
        self.control.clock.pump([1] * 11)
        agent.pair.pump()
        self.assertEqual(agent.ending, ("TIMED_OUT", "no hello came in time"))
        self.assertEqual(self.control.tunnels.registrations.counts.refused, {"no_hello": 1})


class RefusalTests(ControlTestCase):
    """Who is not accepted, and what it is told."""

    sections = {"limits": {"tunnels": 3, "tunnels_per_agent": 2, "routes_per_tunnel": 2}}

    def test_bad_path(self) -> None:
        """A path that the route table refuses is told as it says."""
        answer = self.refused(routes=[RouteOffer(id=1, hostname="app.warp.example", path="bad(")])
        self.assertIn("cannot be used", answer.reason)

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
        self.assertEqual(end.ending, ("REVOKED", "for the test"))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_second_hello(self) -> None:
        """A second hello on one tunnel ends it."""
        end = self.control.connect()
        end.hello("app.warp.example")
        end.hello("app.warp.example")
        self.assertEqual(end.ending, ("PROTOCOL_ERROR", "Hello is not expected here"))

    def test_message_before_hello(self) -> None:
        """Anything before the hello ends the tunnel."""
        end = self.control.connect()
        end.send(RoutesChanged(routes=[]))
        self.assertEqual(end.ending, ("PROTOCOL_ERROR", "RoutesChanged is not expected here"))

    def test_flood_of_messages(self) -> None:
        """More messages than the edge keeps while it is busy end the tunnel."""
        end = self.control.connect()
        end.hello("app.warp.example")
        (peer,) = self.control.tunnels._peers
        peer.is_answering = True  # as if the registry had not answered yet
        for _ in range(MAX_WAITING_MESSAGES + 1):
            end.send(OriginHealth(route_id=0, healthy=True))
        self.assertEqual(end.ending, ("PROTOCOL_ERROR", "too many control messages at once"))

    def test_flood_of_answered_messages(self) -> None:
        """Messages that are answered at once end the tunnel too, when they come without an end."""
        end = self.control.connect()
        end.hello("app.warp.example")
        request = RenewRequest(csr_pem="nonsense")
        for _ in range(100):
            end.pair.agent.send_control(request)
        end.pair.pump()
        self.assertEqual(end.ending, ("PROTOCOL_ERROR", "too many control messages at once"))


class PriceTests(ControlTestCase):
    """What an agent's messages cost, and that it pays for them whatever tunnel they come on."""

    LABELS = {f"key{number}": "value" for number in range(32)}

    def names(self, prefix: str, count: int = 100) -> list[str]:
        """Return hostnames."""
        return [f"{prefix}{number}.warp.example" for number in range(count)]

    def change(self, agent: AgentEnd, prefix: str) -> None:
        """Offer 100 other hostnames."""
        agent.send(
            RoutesChanged(routes=[RouteOffer(id=at, hostname=name) for at, name in enumerate(self.names(prefix))])
        )

    def test_names_are_paid_for(self) -> None:
        """An agent that keeps changing all of its many names waits for each change that it cannot pay, and stays."""
        agent = self.control.connect()
        agent.hello(*self.names("a"), labels=self.LABELS)
        self.change(agent, "b")
        self.assertEqual((len(agent.messages), agent.ending), (1, None))
        self.assertIn("a0.warp.example", self.control.names())
        for _ in range(45):
            self.control.clock.advance(1)
            agent.pair.pump()
        self.assertEqual((len(agent.messages), agent.ending), (2, None))
        self.assertEqual(sorted(self.control.names()), sorted(self.names("b")))

    def test_tunnel_that_goes_while_it_waits(self) -> None:
        """A change that waits goes with its tunnel."""
        agent = self.control.connect()
        agent.hello(*self.names("a"), labels=self.LABELS)
        self.change(agent, "b")
        agent.pair.agent.close()
        agent.pair.pump()
        self.control.clock.advance(0)
        self.assertEqual(self.control.names(), [])

    def test_more_tunnels_for_the_same_names(self) -> None:
        """Further tunnels of an agent cost a message each; a new run with other names pays for them anew."""
        for slot in range(32):
            agent = self.control.connect()
            agent.hello(*self.names("a"), slot=slot, labels=self.LABELS)
            agent.answer(Accepted)
        later = self.control.connect()
        later.hello(*self.names("b"), session="later", labels=self.LABELS)
        self.control.bury(later)
        later.answer(Accepted)
        refusal = self.refused(*self.names("c"), session="again", labels=self.LABELS)
        self.assertEqual((refusal.code, refusal.retry), ("overloaded", True))

    def test_messages_of_all_tunnels_count(self) -> None:
        """An agent that has spent its messages on one tunnel has none on the next."""
        first = self.control.connect()
        first.hello("app.warp.example")
        for _ in range(99):  # of 4,000, at 40 each
            first.send(RenewRequest(csr_pem="nonsense"))
        first.send(OriginHealth(route_id=0, healthy=True))
        self.assertIsNone(first.ending)
        self.refused("app.warp.example", slot=1)


class ReplacementTests(ControlTestCase):
    """A new tunnel takes the place of a dead one."""

    def test_same_slot(self) -> None:
        """A tunnel in the same slot replaces the one that does not answer, and the names never go."""
        told: list[object] = []
        first = self.control.connect()
        first.hello("app.warp.example")
        self.control.publication.subscribe(told.append)
        second = self.control.connect()
        second.hello("app.warp.example")
        self.control.bury(second)
        first.pair.pump()
        self.assertEqual(first.ending, REPLACED)
        self.assertIsNone(second.ending)
        self.assertEqual((self.control.names(), told), (["app.warp.example"], []))
        self.assertEqual(len(self.control.tunnels.registrations.by_id), 1)

    def test_other_slot(self) -> None:
        """Tunnels of one run in different slots live side by side."""
        first, second = self.control.connect(), self.control.connect()
        first.hello("app.warp.example", slot=0)
        second.hello("app.warp.example", slot=1)
        first.pair.pump()
        self.assertIsNone(first.ending)
        self.assertEqual(len(self.control.tunnels.registrations.by_id), 2)

    def test_new_run_of_the_agent(self) -> None:
        """The first tunnel of a restarted agent replaces all that its last run left, whatever their slots."""
        old = [self.control.connect() for _ in range(3)]
        for slot, end in enumerate(old):
            end.hello("app.warp.example", slot=slot, session="old")
        new = self.control.connect()
        new.hello("app.warp.example", slot=0, session="new")
        self.control.bury(new)
        for end in old:
            end.pair.pump()
        self.assertEqual([end.ending for end in old], [REPLACED] * 3)
        self.assertEqual(len(self.control.tunnels.registrations.by_id), 1)
        self.assertEqual(self.control.tunnels.registrations.counts.replaced, 3)

    def test_copy(self) -> None:
        """A second process with the identity of one that answers is refused, and told what to do; nothing changes."""
        told: list[object] = []
        first = [self.control.connect() for _ in range(2)]
        for slot, end in enumerate(first):
            end.hello("app.warp.example", slot=slot, session="first")
        self.control.publication.subscribe(told.append)
        copy = self.control.connect()
        copy.hello("app.warp.example", session="copy")
        first[1].pair.pump()
        copy.pair.pump()
        answer = copy.answer(Refused)
        self.assertEqual((answer.code, answer.retry), ("copied", False))
        self.assertIn("is connected from 192.0.2.2 already, and answers there", answer.reason)
        self.assertLessEqual(len(answer.reason), MAX_REASON_CHARACTERS)
        self.assertEqual([end.ending for end in first], [None, None])
        self.assertEqual((self.control.names(), told), (["app.warp.example"], []))
        self.assertEqual(self.control.tunnels.registrations.counts.refused, {"copied": 1})

    def test_many_copies(self) -> None:
        """However many come before the first has answered, it stays, and all of them are refused."""
        first = self.control.connect()
        first.hello("app.warp.example", session="first")
        copies = [self.control.connect() for _ in range(20)]
        for number, copy in enumerate(copies):
            copy.hello("app.warp.example", slot=number, session="copy")
        first.pair.pump()
        while len(self.control.tunnels.registrations.by_id) + len(self.control.ends.reasons) < 21:
            self.control.clock.advance(0)
        for copy in copies:
            copy.pair.pump()
        self.assertEqual({copy.answer(Refused).code for copy in copies}, {"copied"})
        self.assertIsNone(first.ending)

    def test_gone_while_others_are_asked(self) -> None:
        """An agent that hangs up before it is known whether others live has replaced nothing."""
        first, second = self.control.connect(), self.control.connect()
        first.hello("app.warp.example")
        second.hello("app.warp.example", session="later")
        second.pair.agent.close()
        second.pair.pump()
        self.control.bury(first)
        self.assertIsNone(first.ending)
        self.assertEqual(len(self.control.tunnels.registrations.by_id), 1)

    def test_other_agents_slot(self) -> None:
        """Slots of different agents have nothing to do with each other."""
        first, second = self.control.connect("a-1"), self.control.connect("a-2")
        first.hello("app.warp.example")
        second.hello("app.warp.example")
        first.pair.pump()
        self.assertIsNone(first.ending)


class LifeTests(ControlTestCase):
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
        self.assertIsNone(agent.ending)
        self.assertEqual((self.control.names(), self.control.routes.hostnames), (["a.warp.example"],) * 2)

    def test_agent_drains(self) -> None:
        """An agent that drains gets nothing new and its names go, while the tunnel stays."""
        agent = self.control.connect()
        agent.hello("a.warp.example")
        agent.send(Drain(reason="restart"))
        self.assertEqual(self.control.names(), [])
        self.assertEqual(len(self.control.routes.draining), 1)
        self.assertEqual(len(self.control.tunnels.registrations.by_id), 1)
        self.assertIsNone(agent.ending)

    def test_agent_hangs_up(self) -> None:
        """A tunnel whose agent hung up gets nothing new; its names stay until it is its turn to end."""
        agent = self.control.connect()
        agent.hello("a.warp.example")
        agent.pair.edge.peer_hung_up()
        self.assertEqual(len(self.control.routes.draining), 1)
        self.assertEqual(self.control.names(), ["a.warp.example"])
        agent.pair.edge.connectionLost()
        agent.pair.agent.connectionLost()
        self.control.clock.advance(0)
        self.assertEqual(self.control.routes.hostnames, [])

    def test_stranger_hangs_up(self) -> None:
        """An agent that hangs up before it registered is no error."""
        agent = self.control.connect()
        agent.pair.edge.peer_hung_up()
        agent.pair.edge.connectionLost()
        agent.pair.agent.connectionLost()
        self.assertEqual(len(self.control.routes.draining), 0)

    def test_name_stays_while_another_tunnel_serves_it(self) -> None:
        """The names of a draining tunnel stay as long as another tunnel serves them."""
        first, second = self.control.connect(), self.control.connect()
        first.hello("a.warp.example", slot=0)
        second.hello("a.warp.example", slot=1)
        first.send(Drain())
        self.assertEqual(self.control.names(), ["a.warp.example"])
        second.send(Drain())
        self.assertEqual(self.control.names(), [])

    def test_drain_alone(self) -> None:
        """A drain is short where visitors have nowhere else to go; another tunnel, or a hand-over, lets it last."""
        seconds = self.control.settings.timeouts.drain_alone
        alone, shared, other = (self.control.connect() for _ in range(3))
        alone.hello("a.warp.example", slot=0)
        shared.hello("b.warp.example", slot=1)
        other.hello("b.warp.example", slot=2)
        for agent in (alone, shared):
            agent.send(Drain())
        self.control.clock.advance(seconds - 0.1)
        self.assertIsNone(alone.ending)
        self.control.clock.advance(0.1)
        alone.pair.pump()
        self.assertEqual(alone.ending, ("NORMAL", "visitors have nowhere else to go, so this drain is short"))
        self.assertIsNone(shared.ending)
        other.send(Drain())
        self.control.tunnels.closed_because = "another process of this edge takes over"
        self.control.clock.advance(seconds)
        self.assertIsNone(other.ending)

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
        self.assertIsNone(agent.ending)

    async def test_stop_in_turns(self) -> None:
        """Thousands of tunnels are closed some in each turn of the reactor, so that what else there is goes on."""
        self.patch(peers, "Slices", lambda clock: Slices(clock, 1e-9, 1e-6))  # one a turn, then a rest of 2 ms
        ends = [self.control.connect() for _ in range(3)]
        for slot, end in enumerate(ends):
            end.hello("app.warp.example", slot=slot)
        stopping = Deferred.fromCoroutine(self.control.tunnels.stop(1))
        seen = []
        for _ in range(4):
            self.control.clock.advance(0.0021)
            for pair in self.control.pairs:
                pair.pump()
            seen.append(sum(end.ending is not None for end in ends))
        self.assertEqual(seen, [1, 2, 3, 3])
        self.control.clock.advance(1)
        await stopping

    async def test_stop_closes_tunnels(self) -> None:
        """Stopping closes every tunnel."""
        agent = self.control.connect()
        agent.hello("a.warp.example")
        await self.control.close_tunnels()
        agent.pair.pump()
        self.assertEqual(agent.ending, ("NORMAL", "the edge stops"))
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
        self.assertEqual((len(agent.messages), agent.ending), (2, None))

    def test_origin_probed(self) -> None:
        """What probes say goes to the route table, and to the registry what is said of whole hostnames."""
        agent = self.control.connect()
        agent.hello("a.warp.example", "b.warp.example")
        (tunnel,) = self.control.tunnels.registrations.by_id.values()
        agent.send(OriginHealth(route_id=0, healthy=False, detail="it answers 500", probed=True))
        self.assertEqual(self.control.routes.complaints, {(tunnel, "a.warp.example", ""): "it answers 500"})
        self.assertEqual(self.registered().failing, ("a.warp.example",))
        agent.send(OriginHealth(route_id=1, healthy=False, detail="connection refused"))
        self.assertIsNone(self.control.routes.complaints[tunnel, "b.warp.example", ""])
        self.control.clock.pump([1.0, 0.0])
        agent.send(OriginHealth(route_id=0, healthy=False, detail="connection refused"))
        self.assertIsNone(self.control.routes.complaints[tunnel, "a.warp.example", ""])
        self.assertEqual((tunnel.unhealthy.keys(), tunnel.failing), ({0, 1}, set()))
        self.assertEqual(self.registered().failing, ())

    def test_flapping_pays_for_names(self) -> None:
        """An agent whose many hostnames flap is steered at once, and DNS follows as fast as it may change names."""
        agent = self.control.connect()
        agent.hello(*(f"h{number}.warp.example" for number in range(30)))
        seconds, changes, before = 200, 0, self.registered()
        for second in range(seconds):
            for number in range(30):
                agent.send(OriginHealth(route_id=number, healthy=second % 2 == 1, detail="no", probed=True))
            self.control.clock.advance(1.0)
            agent.pair.pump()
            after = self.registered()
            changes += len(set(after.failing) ^ set(before.failing))
            before = after
        self.assertEqual(agent.ending, None)
        self.assertEqual(len(self.control.routes.complaints), 30)
        self.assertLess(changes * NAMES_OF_HOSTNAME, NAMES_BURST + seconds * NAMES_PER_SECOND)
        self.assertLess(changes, 30 * seconds)
        self.assertGreater(changes, 30 * seconds / 4)

    def registered(self) -> Tunnel:
        """Return what the registry holds of the only tunnel."""
        (value,) = self.control.mirror.tunnels.values()
        return value


class RenewalTests(ControlTestCase):
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
        self.assertEqual((agent.answer(RenewRefused).code, agent.ending), ("bad_request", None))

    def test_agent_without_record(self) -> None:
        """An agent that this fleet has no record of is served while its certificate lasts, and not renewed."""
        agent = self.control.connect("a-9")
        agent.hello("app.warp.example")
        agent.send(RenewRequest(csr_pem=new_request(new_key())))
        self.assertIsInstance(agent.messages[0], Accepted)
        self.assertIsInstance(agent.messages[-1], RenewRefused)

"""Tests of taking hostnames and giving them up, with agents and tunnels in memory."""

from collections.abc import Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred, fail

from tests.edge.agents.case import ControlTestCase
from warp_twisted.edge.errors import AgentUnknown, EdgeError, NameNotHeld
from warp_twisted.edge.owners.groups import BATCH
from warp_twisted.edge.owners.ownership import ATTEMPTS
from warp_twisted.errors import InvalidName
from warp_twisted.names import Hostname
from warp_twisted.registry.errors import StoreBroken
from warp_twisted.registry.model import Agent, GivenName, Owner, encode
from warp_twisted.registry.store import Expect, Operation, Put
from warp_twisted.wire.control import Accepted, Drain, Refused, RouteOffer, RoutesChanged

APP = "app.warp.example"


class TakingTests(ControlTestCase):
    """Who gets a hostname, and who is told that it cannot have it."""

    async def prepare(self) -> None:
        """Start an edge, with agents of two groups."""
        await super().prepare()
        await self.control.enrolled("a-2", group="red")
        await self.control.enrolled("a-3", group="blue")

    def group_of(self, hostname: str = APP) -> str | None:
        """Return to whom a hostname belongs."""
        owner = self.control.mirror.owners.get(hostname)
        return None if owner is None else owner.group

    async def test_whoever_serves_it_first(self) -> None:
        """The first to serve a hostname owns it; its group serves it too, another is refused and serves nothing."""
        self.control.connect("a-1").hello(APP)
        self.assertEqual(self.group_of(), "blue")
        reason = self.refused(APP, agent="a-2").reason
        self.assertIn("app.warp.example belongs to the group blue since 2027-01-15 08:00 UTC", reason)
        other = self.control.connect("a-3")
        other.hello("own.warp.example", APP)
        answer = other.answer(Accepted)
        self.assertEqual((answer.group, answer.others), ("blue", {1: 1}))
        self.assertEqual(self.control.routes.hostnames, [APP, APP, "own.warp.example"])
        self.assertEqual(self.control.mirror.owners[APP].agents, ("a-1", "a-3"))

    async def test_kept_while_away(self) -> None:
        """A hostname stays with its group when nobody serves it; an agent that enrolled anew takes it up at once."""
        first = self.control.connect("a-1")
        first.hello(APP)
        first.pair.agent.close()
        first.pair.pump()
        self.refused(APP, agent="a-2")
        again = self.control.connect("a-3")
        again.hello(APP)
        again.answer(Accepted)

    async def test_one_that_is_named(self) -> None:
        """A certificate that names the hostname takes it from who has it by a pattern, once nothing serves it."""
        first = self.control.connect("a-1")
        first.hello(APP)
        for _ in range(2):
            named = self.control.connect("a-2", APP)
            named.hello(APP)
            if self.group_of() == "blue":
                named.answer(Refused)
                first.send(Drain())
        named.answer(Accepted)
        self.assertEqual(self.group_of(), "red")
        self.assertIn("belongs to the group red", self.refused(APP, agent="a-3").reason)

    async def test_all_or_nothing(self) -> None:
        """Of an offer that is refused nothing stays taken, neither of a hello nor of new routes."""
        self.control.connect("a-1").hello(APP)
        names = [f"n{number}.warp.example" for number in range(BATCH + 3)]
        self.refused(*names, APP, agent="a-2")
        agent = self.control.connect("a-2")
        agent.hello("own.warp.example")
        agent.send(RoutesChanged(routes=[RouteOffer(id=at, hostname=name) for at, name in enumerate([*names, APP])]))
        self.assertEqual(agent.answer(Refused).code, "conflict")
        self.assertEqual(sorted(self.control.mirror.owners), [APP, "own.warp.example"])
        agent.send(RoutesChanged(routes=[RouteOffer(id=at, hostname=name) for at, name in enumerate(names)]))
        agent.answer(Accepted)
        self.assertEqual({self.group_of(name) for name in (*names, "own.warp.example")}, {"red"})

    async def test_given_name(self) -> None:
        """A name that the edge makes up is its agent's, also where another group serves the pattern above it."""
        self.control.connect("a-1").hello("*.warp.example")
        agent = self.control.connect("a-2")
        agent.hello("")
        (name,) = agent.answer(Accepted).hostnames.values()
        self.assertEqual(self.group_of(name), "red")

    async def test_race(self) -> None:
        """Two groups that want one hostname in the same moment: one has it, the other hears who does."""
        waiting: list[Deferred[None]] = []
        transact = self.control.store.transact

        async def slowly(expectations: Sequence[Expect], operations: Sequence[Operation]) -> bool:
            if any(expected.key == Owner(hostname=APP, group="").key for expected in expectations):
                waiting.append(Deferred())
                await waiting[-1]
            return await transact(expectations, operations)

        self.patch(self.control.store, "transact", slowly)
        ends = [self.control.connect("a-1"), self.control.connect("a-2")]
        for end in ends:
            end.hello(APP)
        self.assertEqual([len(end.messages) for end in ends], [0, 0])
        for end in reversed(ends):
            waiting.pop().callback(None)
            self.control.clock.advance(0)
            end.pair.pump()
        while waiting:
            waiting.pop().callback(None)
        for end in ends:
            end.pair.pump()
        self.assertEqual(ends[1].answer(Accepted).hostnames, {0: APP})
        self.assertIn("belongs to the group red", ends[0].answer(Refused).reason)
        self.assertEqual((self.group_of(), self.control.routes.hostnames), ("red", [APP]))

    async def test_hostnames_that_never_settle(self) -> None:
        """An agent whose hostnames change hands each time that it looks is asked to try again."""

        async def refuse(expectations: Sequence[Expect], operations: Sequence[Operation]) -> bool:
            attempts.append(len(operations))
            return False

        attempts: list[int] = []
        self.patch(self.control.store, "transact", refuse)
        end = self.control.connect("a-1")
        end.hello(APP)
        answer = end.answer(Refused)
        self.assertEqual((answer.code, answer.retry, len(attempts)), ("overloaded", True, ATTEMPTS))

    async def test_registry_that_takes_nothing(self) -> None:
        """While the registry is away tunnels serve, and nobody else serves their hostnames all the same."""
        self.patch(self.control.store, "transact", lambda *anything: fail(StoreBroken("the disk is full")))
        first = self.control.connect("a-1")
        first.hello(APP)
        first.answer(Accepted)
        other = self.control.connect("a-2")
        other.hello(APP)
        self.assertIn("belongs to the group blue", other.answer(Refused).reason)
        self.assertEqual((self.group_of(), list(self.control.holdings.unwritten)), (None, [APP]))
        self.patch(self.control.store, "transact", type(self.control.store).transact.__get__(self.control.store))


class BoundTests(ControlTestCase):
    """How many hostnames one agent may take."""

    sections = {"limits": {"names_per_agent": 3}}

    async def test_too_many(self) -> None:
        """An agent that has taken as many as it may is refused more, and goes on with those that it has."""
        await self.control.enrolled("a-2")
        agent = self.control.connect("a-1")
        agent.hello("a.warp.example", "b.warp.example")
        agent.send(RoutesChanged(routes=[RouteOffer(id=1, hostname="c.warp.example")]))
        agent.answer(Accepted)
        agent.send(RoutesChanged(routes=[RouteOffer(id=1, hostname="d.warp.example")]))
        self.assertIn("agent a-1 has taken 3 hostnames, which is most for one agent", agent.answer(Refused).reason)
        agent.send(RoutesChanged(routes=[RouteOffer(id=1, hostname="a.warp.example")]))
        agent.answer(Accepted)
        await self.control.ownership.release("b.warp.example")
        agent.send(RoutesChanged(routes=[RouteOffer(id=1, hostname="d.warp.example")]))
        agent.answer(Accepted)
        other = self.control.connect("a-2")
        other.hello("c.warp.example", "e.warp.example")
        other.answer(Accepted)


class InheritedTests(ControlTestCase):
    """Agents that enrolled before there were groups, at an edge that was just upgraded."""

    async def legacy(self, *agents: str) -> None:
        """Write agents as a release without groups has."""
        for agent in agents:
            record = Agent(id=agent, hostnames=("*.warp.example",), token=f"t{agent}")
            await self.control.store.put(record.key, encode(record))

    async def test_nobody_is_cut(self) -> None:
        """Those who serve one hostname become one group when they come back; others have a group of their own."""
        await self.legacy("a-4", "a-5", "a-6")
        offers = {"a-4": (APP,), "a-5": (APP, "blog.warp.example"), "a-6": ("shop.warp.example",)}
        for agent, hostnames in offers.items():
            end = self.control.connect(agent)
            end.hello(*hostnames)
            end.answer(Accepted)
        groups = [self.control.mirror.agents[agent].group for agent in offers]
        self.assertEqual(groups, ["ta-4", "ta-4", "ta-6"])
        owners = {name: owner.group for name, owner in self.control.mirror.owners.items()}
        self.assertEqual(owners, {APP: "ta-4", "blog.warp.example": "ta-4", "shop.warp.example": "ta-6"})
        self.assertIn("belongs to the group ta-4", self.refused(APP, agent="a-1").reason)
        self.assertIn("belongs to the group ta-4", self.refused("shop.warp.example", APP, agent="a-6").reason)

    async def test_many_hostnames_beneath_a_pattern(self) -> None:
        """One that serves the pattern above the many hostnames of another cuts it no more than before."""
        await self.legacy("a-4", "a-5")
        self.control.connect("a-4").hello("*.warp.example")
        end = self.control.connect("a-5")
        end.hello(*(f"n{number}.warp.example" for number in range(3 * BATCH)))
        end.answer(Accepted)
        again = self.control.connect("a-5")
        again.hello(*(f"n{number}.warp.example" for number in range(3 * BATCH)), slot=1)
        self.assertEqual(len(again.answer(Accepted).hostnames), 3 * BATCH)

    async def test_third_that_serves_for_both(self) -> None:
        """One that serves the hostnames of two of them makes all three one group, and nobody is refused later."""
        await self.legacy("a-4", "a-5", "a-6")
        offers = {"a-4": (APP,), "a-5": ("blog.warp.example",), "a-6": (APP, "blog.warp.example")}
        for agent, hostnames in (offers | {"a-5 ": offers["a-5"]}).items():
            end = self.control.connect(agent.strip())
            end.hello(*hostnames, slot=len(agent))
            end.answer(Accepted)
        self.assertEqual({self.control.mirror.agents[agent].group for agent in offers}, {"ta-4"})

    async def test_record_that_lost_its_group(self) -> None:
        """An edge that was rolled back drops the groups of agents that renew there; they find them again."""
        await self.control.enrolled("a-2", group="blue")
        for agent in ("a-1", "a-2"):
            self.control.connect(agent).hello(APP)
            record = self.control.mirror.agents[agent]
            await self.control.store.put(record.key, encode(replace(record, group="")))
        for agent in ("a-2", "a-1"):
            end = self.control.connect(agent)
            end.hello(APP, slot=1)
            end.answer(Accepted)
            self.assertEqual(self.control.mirror.agents[agent].group, "blue")


class ReleaseTests(ControlTestCase):
    """How a hostname comes to belong to nobody."""

    async def test_released(self) -> None:
        """An operator frees a hostname that nobody serves; one that is served would be taken again at once."""
        await self.control.enrolled("a-2", group="red")
        agent = self.control.connect("a-1")
        agent.hello(APP)
        with self.assertRaisesRegex(EdgeError, "app.warp.example is served by a-1 of the group blue"):
            await self.control.ownership.release(APP)
        agent.pair.agent.close()
        agent.pair.pump()
        self.assertEqual((await self.control.ownership.release(APP)).group, "blue")
        with self.assertRaisesRegex(NameNotHeld, "app.warp.example belongs to nobody"):
            await self.control.ownership.release(APP)
        other = self.control.connect("a-2")
        other.hello(APP)
        other.answer(Accepted)

    async def test_released_while_its_agent_comes_back(self) -> None:
        """An agent that begins to serve while the registry deletes the owner keeps its hostname."""
        await self.control.enrolled("a-2", group="red")
        agent = self.control.connect("a-1")
        agent.hello(APP)
        agent.pair.agent.close()
        agent.pair.pump()
        delete = self.control.store.delete
        back = self.control.connect("a-1")

        def late(key: str) -> object:
            back.hello(APP)
            return delete(key)

        self.patch(self.control.store, "delete", late)
        with self.assertRaisesRegex(EdgeError, "app.warp.example is served by a-1 of the group blue"):
            await self.control.ownership.release(APP)
        back.answer(Accepted)
        self.assertEqual(self.control.mirror.owners[APP].group, "blue")
        other = self.control.connect("a-2")
        other.hello(APP)
        other.answer(Refused)

    async def test_revoked(self) -> None:
        """The hostnames of a group are free when its last agent is revoked, and not before."""
        await self.control.enrolled("a-2")
        for agent in ("a-1", "a-2"):
            self.control.connect(agent).hello(APP)
        await self.control.enrollment.revoke_agent("a-1")
        self.assertEqual(self.control.mirror.owners[APP].group, "blue")
        await self.control.enrollment.revoke_agent("a-2")
        self.assertEqual(self.control.mirror.owners, {})

    async def test_taken_while_the_last_agent_is_revoked(self) -> None:
        """What another group takes while those of a revoked one are given up, a batch at a time, stays with it."""
        names = [f"n{number:03}.warp.example" for number in range(2 * BATCH)]
        self.control.connect("a-1").hello(*names)
        store, taken = self.control.store, Owner(hostname=names[-1], group="red", agents=("a-2",), is_exact=True)
        transact = store.transact

        def late(expectations: Sequence[Expect], operations: Sequence[Operation]) -> Deferred[bool]:
            if any(operation.key == f"warp/owners/{names[0]}" for operation in operations):
                transact([], [Put(taken.key, encode(taken))])
            return transact(expectations, operations)

        self.patch(store, "transact", late)
        await self.control.enrollment.revoke_agent("a-1")
        self.assertEqual(self.control.mirror.owners, {names[-1]: taken})

    async def test_check(self) -> None:
        """What a group could not have now is refused without that anything is taken."""
        self.control.connect("a-1").hello(APP)
        patterns = self.control.mirror.agents["a-1"].patterns
        self.control.ownership.check("blue", patterns, [APP])
        with self.assertRaisesRegex(EdgeError, "belongs to the group blue"):
            self.control.ownership.check("red", patterns, ["free.warp.example", APP])
        given = GivenName(hostname=Hostname("calm-otter-481.warp.example"), agent="a-1")
        await self.control.store.put(given.key, encode(given))
        self.control.ownership.check("red", patterns, [given.hostname])
        self.assertEqual(list(self.control.mirror.owners), [APP])


class ShareTests(ControlTestCase):
    """Groups that a join token names, and that get a share word later."""

    TOKEN = "0123456789abcdef"

    async def test_word_for_a_group(self) -> None:
        """All agents and hostnames of the group come along, and agents with the word share them."""
        for agent in ("a-2", "a-3"):
            await self.control.enrolled(agent, group=self.TOKEN)
        self.control.connect("a-2").hello(APP)
        self.refused(APP, agent="a-1")
        self.assertTrue(await self.control.ownership.share("a-3", "blue"))
        self.assertFalse(await self.control.ownership.share("a-2", "blue"))
        self.assertEqual(self.control.holdings.members_of("blue"), ["a-1", "a-2", "a-3"])
        other = self.control.connect("a-1")
        other.hello(APP)
        other.answer(Accepted)

    async def test_group_that_has_a_word(self) -> None:
        """Who is of a group with a word stays there; a word is checked, and so is the agent."""
        with self.assertRaisesRegex(EdgeError, "a-1 is of the group blue, which has a share word already"):
            await self.control.ownership.share("a-1", "red")
        with self.assertRaises(InvalidName):
            await self.control.ownership.share("a-1", "No Word")
        with self.assertRaises(AgentUnknown):
            await self.control.ownership.share("a-9", "red")

    async def test_not_back_yet(self) -> None:
        """An agent that enrolled before there were groups, and is not back yet, comes back to the word's group."""
        record = Agent(id="a-4", hostnames=("*.warp.example",), token="t4")
        await self.control.store.put(record.key, encode(record))
        self.control.connect("a-1").hello(APP)
        self.assertTrue(await self.control.ownership.share("a-4", "blue"))
        agent = self.control.connect("a-4")
        agent.hello(APP)
        agent.answer(Accepted)

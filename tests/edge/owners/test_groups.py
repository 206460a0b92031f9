"""Tests of the groups of agents whose records name none, and of groups that become one."""

from tests.case import AsyncTestCase
from tests.edge.control import NOW, Control
from warp_twisted.edge.owners.groups import BATCH, Groups, Membership
from warp_twisted.registry.model import Agent, Owner, Value, encode

APP = "app.warp.example"
HOLD = 7 * 86400.0


class GroupsTests(AsyncTestCase):
    """Agents that enrolled before there were groups, or whose record lost its group."""

    async def prepare(self) -> None:
        """Start an edge."""
        self.control = Control()
        await self.control.start()
        self.addCleanup(self.control.stop)
        self.groups = Groups(self.control.store, self.control.holdings)

    async def put(self, *values: Value) -> None:
        """Write values into the registry."""
        for value in values:
            await self.control.store.put(value.key, encode(value))

    def membership(self, agent: str, *hostnames: str, at: float = NOW) -> Membership:
        """Look for an agent's group."""
        return self.groups.membership(agent, hostnames, at, HOLD)

    async def test_of_the_record(self) -> None:
        """A record that names a group is all that is asked, whatever the agent serves."""
        await self.put(
            Agent(id="a-1", hostnames=(), group="blue"),
            Owner(hostname=APP, group="red", agents=("a-1",), is_inherited=True),
        )
        member = self.membership("a-1", APP)
        self.assertEqual((member.group, member.is_inherited, member.joined), ("blue", False, ()))

    async def test_of_the_token(self) -> None:
        """An agent that enrolled before there were groups has its token's, if nobody serves what it serves."""
        await self.put(Agent(id="a-1", hostnames=(), token="t1"), Agent(id="a-2", hostnames=()))
        self.assertEqual((self.membership("a-1", APP).group, self.membership("a-2", APP).group), ("t1", "a-2"))
        self.assertTrue(self.membership("a-1", APP).is_inherited)

    async def test_of_who_serves_the_same(self) -> None:
        """It joins those of its kind that serve a hostname of its own, while the upgrade is not too long ago."""
        await self.put(
            Agent(id="a-2", hostnames=(), token="t2"), Owner(hostname=APP, group="t1", since=NOW, is_inherited=True)
        )
        self.assertEqual(self.membership("a-2", APP).group, "t1")
        self.assertEqual(self.membership("a-2", "other.warp.example").group, "t2")
        self.assertEqual(self.membership("a-2", APP, at=NOW + HOLD).group, "t2")

    async def test_not_of_others(self) -> None:
        """It does not join a group that took the hostname since, nor does an agent that is not enrolled join any."""
        await self.put(Agent(id="a-2", hostnames=(), token="t2"), Owner(hostname=APP, group="blue", since=NOW))
        self.assertEqual(self.membership("a-2", APP).group, "t2")
        await self.put(Owner(hostname=APP, group="t1", since=NOW, is_inherited=True))
        self.assertEqual(self.membership("a-3", APP).group, "a-3")

    async def test_known_by_what_it_served(self) -> None:
        """A record that lost its group, or is lost itself, is found again by the hostname that the agent served."""
        await self.put(
            Agent(id="a-2", hostnames=(), token="t2"), Owner(hostname=APP, group="blue", agents=("a-2", "a-3"))
        )
        self.assertEqual((self.membership("a-2", APP).group, self.membership("a-3", APP).group), ("blue", "blue"))

    async def test_one_that_serves_for_two_groups(self) -> None:
        """An agent that serves hostnames of two such groups makes them one: their hostnames and their agents."""
        names = [f"app{number}.warp.example" for number in range(BATCH + 2)]
        await self.put(
            Agent(id="a-1", hostnames=(), group="t1"),
            Agent(id="a-2", hostnames=(), group="t2"),
            Agent(id="a-3", hostnames=(), token="t3"),
            Owner(hostname=APP, group="t1", since=NOW, is_inherited=True),
            *(Owner(hostname=name, group="t2", since=NOW, is_inherited=True) for name in names),
        )
        member = self.membership("a-3", APP, *names)
        self.assertEqual((member.group, member.joined), ("t1", ["t2"]))
        await self.groups.join(member.joined, member.group)
        mirror = self.control.mirror
        self.assertEqual({owner.group for owner in mirror.owners.values()}, {"t1"})
        self.assertEqual(self.control.holdings.members_of("t1"), ["a-1", "a-2"])
        self.assertEqual(self.control.holdings.hostnames_of("t2"), [])

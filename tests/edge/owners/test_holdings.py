"""Tests of who holds which hostnames: by hostname, group and agent, as the registry changes."""

from tests.case import AsyncTestCase
from tests.edge.control import Control
from warp_twisted.names import Hostname
from warp_twisted.registry.model import Agent, GivenName, Owner, Value, encode

APP = "app.warp.example"
TEAM = "*.team.warp.example"


class HoldingsTests(AsyncTestCase):
    """What is known of owners."""

    async def prepare(self) -> None:
        """Start an edge."""
        self.control = Control()
        await self.control.start()
        self.addCleanup(self.control.stop)
        self.holdings = self.control.holdings

    async def put(self, value: Value) -> None:
        """Write a value into the registry."""
        await self.control.store.put(value.key, encode(value))

    async def test_owners(self) -> None:
        """Hostnames are known by their group and by who took them, for as long as it has them."""
        await self.put(Owner(hostname=APP, group="blue", agents=("a-1", "a-2")))
        await self.put(Owner(hostname=TEAM, group="blue", agents=("a-1",)))
        self.assertEqual(self.holdings.hostnames_of("blue"), [TEAM, APP])
        self.assertEqual([self.holdings.count_taken_by(agent) for agent in ("a-1", "a-2")], [2, 0])
        await self.put(Owner(hostname=APP, group="red", agents=("a-3",)))
        self.assertEqual((self.holdings.hostnames_of("blue"), self.holdings.hostnames_of("red")), ([TEAM], [APP]))
        await self.control.store.delete(Owner(hostname=APP, group="red").key)
        self.assertIsNone(self.holdings.owner_of(APP))
        self.assertEqual((self.holdings.hostnames_of("red"), self.holdings.count_taken_by("a-3")), ([], 0))

    async def test_patterns(self) -> None:
        """Above a hostname or pattern is the most specific pattern that has an owner, and never itself."""
        await self.put(Owner(hostname="*.warp.example", group="blue"))
        await self.put(Owner(hostname=TEAM, group="red"))
        found = {
            name: getattr(self.holdings.owner_above(name), "group", None)
            for name in ("a.b.team.warp.example", "team.warp.example", TEAM, "*.warp.example", "*.x.team.warp.example")
        }
        self.assertEqual(list(found.values()), ["red", "blue", "blue", None, "red"])
        await self.control.store.delete(Owner(hostname=TEAM, group="red").key)
        self.assertEqual(getattr(self.holdings.owner_above("a.team.warp.example"), "group", None), "blue")

    async def test_of_others_than_a_pattern(self) -> None:
        """What belongs to another group, itself or by a nearer pattern, is no matter of a pattern above it."""
        for hostname, group in (("*.warp.example", "blue"), (TEAM, "red"), (APP, "red"), ("own.warp.example", "blue")):
            await self.put(Owner(hostname=hostname, group=group))
        names = ("a.team.warp.example", APP, "own.warp.example", "x.warp.example", "team.warp.example")
        found = [self.holdings.is_of_others(name, "*.warp.example") for name in names]
        self.assertEqual(found, [True, True, False, False, False])
        self.assertFalse(self.holdings.is_of_others("a.team.warp.example", TEAM))

    async def test_members(self) -> None:
        """The agents of a group are those whose records name it; one without a group is alone."""
        await self.put(Agent(id="a-1", hostnames=(), group="blue"))
        await self.put(Agent(id="a-2", hostnames=()))
        self.assertEqual((self.holdings.members_of("blue"), self.holdings.members_of("")), (["a-1"], []))
        self.assertEqual([self.holdings.group_of(f"a-{number}") for number in (1, 2, 3)], ["blue", "a-2", "a-3"])
        await self.put(Agent(id="a-1", hostnames=(), group="red"))
        self.assertEqual((self.holdings.members_of("blue"), self.holdings.members_of("red")), ([], ["a-1"]))

    async def test_not_written_yet(self) -> None:
        """What the registry did not take counts as held, until the registry says whose it is."""
        self.holdings.hold(Owner(hostname=APP, group="red", agents=("a-3",)))
        self.holdings.hold(Owner(hostname=TEAM, group="red", agents=("a-4",)))
        self.assertEqual(getattr(self.holdings.owner_of(APP), "group", None), "red")
        self.assertEqual(self.holdings.count_taken_by("a-3"), 1)
        self.assertEqual(getattr(self.holdings.owner_above("a.team.warp.example"), "group", None), "red")
        self.holdings.drop(TEAM)
        self.assertIsNone(self.holdings.owner_above("a.team.warp.example"))
        await self.put(Owner(hostname=APP, group="blue"))
        self.assertEqual((getattr(self.holdings.owner_of(APP), "group", None), self.holdings.unwritten), ("blue", {}))

    async def test_given_names(self) -> None:
        """A name that was made up for an agent is known as such."""
        await self.put(GivenName(hostname=Hostname(APP), agent="a-1"))
        self.assertEqual((self.holdings.has_given(APP), self.holdings.has_given(TEAM)), (True, False))

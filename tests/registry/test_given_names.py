"""Tests of the readable names that are handed out."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.case import AsyncTestCase
from warp_twisted.errors import NotAllowed
from warp_twisted.names import HostnamePattern, parse_hostname
from warp_twisted.registry.errors import RegistryError
from warp_twisted.registry.given_names import ADJECTIVES, ATTEMPTS, NOUNS, NameGiver, name_of
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import NAMES, GivenName, encode

ZONE = HostnamePattern.parse("*.warp.example")


class WordsTests(SynchronousTestCase):
    """The names themselves."""

    def test_words_are_dns_labels(self) -> None:
        """Every word is short, lower case, and there once."""
        for words in (ADJECTIVES, NOUNS):
            self.assertEqual(len(set(words)), len(words))
            self.assertTrue(all(word.isascii() and word.isalpha() and word.islower() for word in words))
            self.assertLessEqual(max(map(len, words)), 9)

    def test_names_are_readable_and_many(self) -> None:
        """Ten thousand agents have hardly two names alike, and each is a hostname."""
        names = {name_of(f"a-{number}", 0) for number in range(10_000)}
        self.assertGreater(len(names), 9_970)
        for name in list(names)[:100]:
            self.assertRegex(name, r"^[a-z]+-[a-z]+-[1-9][0-9]{2}$")
            parse_hostname(name + ".warp.example")


class NameGiverTests(AsyncTestCase):
    """Who gets which name."""

    async def prepare(self) -> None:
        """Begin with an empty registry."""
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self.mirror = Mirror(self.store, self.clock)
        await self.mirror.start()
        self.reserved: set[str] = set()
        self.giver = self.make_giver()

    def make_giver(self) -> NameGiver:
        """Return a giver as an edge has one."""
        return NameGiver(self.store, self.mirror, "warp.example", self.reserved.__contains__)

    async def test_name_is_stable(self) -> None:
        """An agent gets the same name each time, from this edge and from another."""
        first = await self.giver.give("a-1", [ZONE])
        self.assertEqual(await self.giver.give("a-1", [ZONE]), first)
        self.assertEqual(await self.make_giver().give("a-1", [ZONE]), first)

    async def test_tunnels_that_ask_at_once_agree(self) -> None:
        """Requests of one agent that overlap get one name."""
        names = [Deferred.fromCoroutine(self.make_giver().give("a-1", [ZONE])) for _ in range(4)]
        self.assertEqual(len({await name for name in names}), 1)

    async def test_taken_name(self) -> None:
        """A name that another agent has is passed over, and the choice stays."""
        taken = parse_hostname(name_of("a-1", 0) + ".warp.example")
        other = GivenName(hostname=taken, agent="a-2")
        await self.store.put(other.key, encode(other))
        given = await self.giver.give("a-1", [ZONE])
        self.assertEqual(given, name_of("a-1", 1) + ".warp.example")
        await self.store.delete(other.key)
        self.assertEqual(await self.giver.give("a-1", [ZONE]), given)

    async def test_reserved_name(self) -> None:
        """A name that the zone keeps is passed over."""
        self.reserved.add(name_of("a-1", 0) + ".warp.example")
        self.assertEqual(await self.giver.give("a-1", [ZONE]), name_of("a-1", 1) + ".warp.example")

    async def test_no_wildcard(self) -> None:
        """An agent that may serve one hostname only is refused a name."""
        with self.assertRaises(NotAllowed):
            await self.giver.give("a-1", [HostnamePattern.parse("app.warp.example")])

    async def test_wildcard_in_the_zone_is_preferred(self) -> None:
        """Of several wildcards, one in the zone is used, because its names are published."""
        patterns = [HostnamePattern.parse("*.elsewhere.example"), ZONE]
        self.assertTrue((await self.giver.give("a-1", patterns)).endswith(".warp.example"))

    async def test_pattern_that_is_no_longer_allowed(self) -> None:
        """When the agent's patterns change, it gets a name within the new ones."""
        await self.giver.give("a-1", [ZONE])
        other = HostnamePattern.parse("*.team.warp.example")
        self.assertTrue((await self.giver.give("a-1", [other])).endswith(".team.warp.example"))

    async def test_every_name_is_taken(self) -> None:
        """After so many attempts there is an error rather than a loop."""
        for attempt in range(ATTEMPTS):
            name = GivenName(hostname=parse_hostname(f"{name_of('a-1', attempt)}.warp.example"), agent="a-2")
            await self.store.put(name.key, encode(name))
        with self.assertRaises(RegistryError):
            await self.giver.give("a-1", [ZONE])

    async def test_name_that_was_taken_away(self) -> None:
        """A name that left the registry is claimed again before it is used again."""
        given = await self.giver.give("a-1", [ZONE])
        await self.store.delete(NAMES + given)
        self.assertEqual(await self.giver.give("a-1", [ZONE]), given)
        self.assertIsNotNone(await self.store.get(NAMES + given))

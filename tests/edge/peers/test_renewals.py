"""`edge.peers.renewals`: what an edge has issued is told until the registry says it; of others only what counts."""

from dataclasses import replace

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from tests.clocks import SettableWallClock
from tests.registry.fakes import FlakyStore
from warp_twisted.edge.peers.notices import RENEWALS, Renewal
from warp_twisted.edge.peers.renewals import BATCH, MOST_SECONDS, RETRY_SECONDS, Renewals
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Agent, Revocation, encode

NOW = 1000.0
KEY, OTHER = "a" * 64, "b" * 64
RECORD = Agent(id="a-1", hostnames=("app.warp.example",), expires_at=NOW + 30, key_sha256=KEY)
NEXT = replace(RECORD, expires_at=NOW + 90)


class RenewalsTests(TestCase):
    """An edge, its registry, and what it tells."""

    async def begin(self, *records: Agent) -> None:
        """Know some agents."""
        self.clock = Clock()
        self.wall = SettableWallClock(NOW, self.clock)
        self.store = FlakyStore(self.clock)
        self.mirror = Mirror(self.store, self.clock)
        self.renewals = Renewals(self.store, self.mirror, self.clock, self.wall)
        self.told: list[str] = []
        self.renewals.told = self.told.append
        self.heard: list[tuple[str, float]] = []
        self.renewals.heard = lambda agent, expires_at: self.heard.append((agent, expires_at))
        await self.mirror.start()
        for record in records or (RECORD,):
            await self.store.put(record.key, encode(record))

    def come_back(self) -> None:
        """Let the registry be there again, and the next attempt be made."""
        self.store.is_away = False
        self.clock.advance(RETRY_SECONDS)

    def at_rest(self) -> None:
        """See that nothing is left to be told or written."""
        self.assertEqual((list(self.renewals), self.clock.getDelayedCalls()), ([], []))

    async def test_with_the_registry(self) -> None:
        """It is written down at once, and there is nothing more to tell."""
        await self.begin()
        self.renewals.issued(RECORD, NEXT)
        self.assertEqual(self.mirror.agents["a-1"], NEXT)
        self.assertEqual(self.told, [RENEWALS + "a-1"])
        self.assertIsNone(self.renewals.get(RENEWALS + "a-1"))
        self.at_rest()

    async def test_while_it_is_away(self) -> None:
        """The newest is told while it is away, until it ends, and is written down when it is back."""
        await self.begin()
        self.store.is_away = True
        self.renewals.issued(RECORD, replace(RECORD, expires_at=NOW + 60))
        self.renewals.issued(RECORD, NEXT)
        self.assertEqual((self.told, list(self.renewals)), ([RENEWALS + "a-1"] * 2, [RENEWALS + "a-1"]))
        renewal = Renewal(agent="a-1", expires_at=NOW + 90, key_sha256=KEY)
        self.assertEqual(self.renewals.get(RENEWALS + "a-1"), renewal)
        self.clock.pump([1.0] * 89)
        self.assertEqual(self.renewals.get(RENEWALS + "a-1"), renewal)
        self.clock.advance(1)
        self.assertIsNone(self.renewals.get(RENEWALS + "a-1"))
        self.come_back()
        self.assertEqual(self.mirror.agents["a-1"], NEXT)
        self.at_rest()

    async def test_many(self) -> None:
        """They are written in batches, as soon as the registry is back."""
        records = [replace(RECORD, id=f"a-{number}") for number in range(3 * BATCH + 1)]
        await self.begin(*records)
        self.store.is_away = True
        for record in records:
            self.renewals.issued(record, replace(record, expires_at=NOW + 90))
        self.assertEqual(len(self.renewals), len(records))
        revision = self.store.revision
        self.come_back()
        self.assertEqual(self.store.revision, revision + 4)
        self.assertEqual({each.expires_at for each in self.mirror.agents.values()}, {NOW + 90})
        self.at_rest()

    async def test_what_the_record_says_meanwhile(self) -> None:
        """What is newer stays, another key stays, and a record that went is not brought back; the rest is kept."""
        newer, another = replace(RECORD, id="a-2"), replace(RECORD, id="a-3")
        gone, changed, broken = (replace(RECORD, id=f"a-{number}") for number in (4, 5, 6))
        records = [newer, another, gone, changed, broken]
        await self.begin(*records)
        self.store.is_away, self.store.is_mute = True, True
        for record in records:
            self.renewals.issued(record, replace(record, expires_at=NOW + 90))
        self.store.is_away = False
        newer, another = replace(newer, expires_at=NOW + 95), replace(another, key_sha256=OTHER)
        changed = replace(changed, labels={"release": "next"})
        for record in (newer, another, changed):
            await self.store.put(record.key, encode(record))
        await self.store.delete(gone.key)
        await self.store.put(broken.key, b"{")
        self.come_back()
        await self.mirror.start()
        wanted = {"a-2": newer, "a-3": another, "a-5": replace(changed, expires_at=NOW + 90)}
        self.assertEqual({id_: agent for id_, agent in self.mirror.agents.items() if id_ != "a-6"}, wanted)
        self.at_rest()
        self.flushLoggedErrors()

    async def test_a_record_that_changes_in_the_same_moment(self) -> None:
        """It alone waits for the next attempt, and is judged anew."""
        others = [replace(RECORD, id=f"a-{number}") for number in (2, 3)]
        await self.begin(RECORD, *others)
        self.store.is_away = True
        for record in (RECORD, *others):
            self.renewals.issued(record, replace(record, expires_at=NOW + 90))
        label = replace(RECORD, labels={"release": "next"})
        self.store.when_asked = lambda: self.store.put(label.key, encode(label))
        self.come_back()
        self.assertEqual([self.mirror.agents[each.id].expires_at for each in others], [NOW + 90] * 2)
        self.assertEqual(self.mirror.agents["a-1"], replace(label, expires_at=NOW + 90))
        self.at_rest()

    async def test_revoked_meanwhile(self) -> None:
        """Of an agent that is revoked, or whose record goes, nothing is told or written any more."""
        await self.begin(RECORD, replace(RECORD, id="a-2"))
        for agent in ("a-1", "a-2"):
            self.store.is_away = True
            self.renewals.issued(replace(RECORD, id=agent), replace(NEXT, id=agent))
            self.store.is_away = False
            if agent == "a-1":
                revocation = Revocation(agent=agent)
                await self.store.put(revocation.key, encode(revocation))
            await self.store.delete(replace(RECORD, id=agent).key)
            self.assertEqual(list(self.renewals), [])
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.mirror.agents, {})
        self.at_rest()

    async def test_stopped(self) -> None:
        """Nothing is written after the stop."""
        await self.begin()
        self.store.is_away = True
        self.renewals.issued(RECORD, NEXT)
        self.renewals.stop()
        self.renewals.issued(RECORD, NEXT)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_what_counts(self) -> None:
        """Another edge is believed of an agent that the record knows by that key, and that is not revoked."""
        await self.begin(RECORD, replace(RECORD, id="a-2"), replace(RECORD, id="a-3", key_sha256=""))
        revocation = Revocation(agent="a-2")
        await self.store.put(revocation.key, encode(revocation))
        good = Renewal(agent="a-1", expires_at=NOW + 90, key_sha256=KEY)
        for renewal in (
            replace(good, agent="a-2"),
            replace(good, agent="a-3"),
            replace(good, agent="a-9"),
            replace(good, key_sha256=OTHER),
            replace(good, expires_at=NOW),
            replace(good, expires_at=NOW + MOST_SECONDS + 1),
            replace(good, expires_at=float("nan")),
        ):
            self.renewals.hear(renewal)
        self.assertEqual(self.heard, [])
        self.renewals.hear(good)
        self.assertEqual(self.heard, [("a-1", NOW + 90)])
        self.at_rest()

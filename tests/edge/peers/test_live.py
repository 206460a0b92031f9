"""`edge.peers.live`: what this edge tells, and what follows from what it hears."""

from collections.abc import Sequence
from dataclasses import replace

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from tests.clocks import SettableWallClock
from tests.edge.peers.samples import EDGE, tunnel
from tests.registry.fakes import FlakyStore
from warp_twisted.edge.errors import BadPeerMessage
from warp_twisted.edge.peers.hearing import Heard
from warp_twisted.edge.peers.live import LiveState
from warp_twisted.edge.peers.notices import RENEWALS, Lifted, Renewal
from warp_twisted.edge.peers.renewals import Renewals
from warp_twisted.edge.peers.telling import POLICY_VERSION
from warp_twisted.registry.ban_records import KeptBan
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Agent, CurrentPolicy, Edge, Revocation, Tunnel, Value, encode

OWN = Edge(name="edge1", addresses=("192.0.2.1",))
BAN = KeptBan(network="192.0.2.7", seconds=60, until=1060.0, reason="x")


class RecordedBans:
    """The bans of an edge, as they were asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float]] = []

    def put(self, network: str, seconds: float, reason: str) -> bool:
        """Note a ban."""
        self.asked.append((network, seconds))
        return True

    def lift(self, network: str) -> bool:
        """Note its end."""
        self.asked.append((network, 0))
        return True


class LiveStateTests(TestCase):
    """Between links and registry."""

    async def begin(self) -> None:
        """Have an edge with a tunnel."""
        self.clock = Clock()
        self.store, live = FlakyStore(self.clock), MemoryStore(self.clock)
        self.mirror = Mirror(self.store, self.clock, live)
        self.bans = RecordedBans()
        wall = SettableWallClock(1000.0)
        self.renewals = Renewals(self.store, self.mirror, self.clock, wall)
        self.addCleanup(self.renewals.stop)
        self.live = LiveState("edge1", self.store, self.mirror, self.bans, wall, self.renewals)
        self.cut: list[str] = []
        self.live.banned = self.cut.append
        self.marked: list[tuple[Sequence[str], bool]] = []
        self.live.marked = lambda keys, is_first: self.marked.append((list(keys), is_first))
        await self.mirror.start()
        self.own = live
        for value in (OWN, tunnel(1, "edge1")):
            await live.put(value.key, encode(value))

    async def test_what_is_told(self) -> None:
        """Its entry, its tunnels and what is in a hurry; nothing that others have."""
        await self.begin()
        self.mirror.learn({EDGE.key: EDGE, tunnel(2).key: tunnel(2)})
        revocation = Revocation(agent="a-1")
        await self.store.put(revocation.key, encode(revocation))
        keys = [key for keys in self.live.own_keys() for key in keys]
        told = {key: self.live.read(key) for key in keys}
        self.assertEqual(
            {key: value for key, value in told.items() if value is not None},
            {
                OWN.key: OWN,
                POLICY_VERSION: 0,
                revocation.key: revocation,
                tunnel(1, "edge1").key: tunnel(1, "edge1"),
            },
        )
        self.assertEqual(self.marked, [([OWN.key], True), ([tunnel(1, "edge1").key], False), ([revocation.key], True)])

    async def test_a_revocation_is_heard(self) -> None:
        """It is put into this edge's registry, once."""
        await self.begin()
        revocation = Revocation(agent="a-1", reason="lost")
        for _ in range(2):
            self.live.heard(Heard(revocations=[revocation]))
        self.assertEqual(self.mirror.revocations, {"a-1": revocation})
        revision = self.store.revision
        self.live.heard(Heard(revocations=[revocation]))
        self.assertEqual(self.store.revision, revision)

    async def test_bans_are_heard(self) -> None:
        """They act for the time that is left, once, and end when they are lifted; an old one does nothing."""
        await self.begin()
        for _ in range(2):
            self.live.heard(Heard(bans=[BAN, KeptBan(network="192.0.2.8", seconds=60, until=900.0, reason="")]))
        self.live.heard(Heard(lifted=["192.0.2.7"]))
        self.assertEqual(self.bans.asked, [("192.0.2.7", 60.0), ("192.0.2.7", 0)])
        self.assertEqual(self.cut, ["192.0.2.7"])
        self.assertEqual(self.live.read(BAN.key), Lifted("192.0.2.7"))

    async def test_renewals(self) -> None:
        """Those that the registry does not say yet are told, also in a snapshot; those of others are passed on."""
        await self.begin()
        record = Agent(id="a-1", hostnames=(), key_sha256="a" * 64)
        await self.store.put(record.key, encode(record))
        self.store.is_away = True
        self.renewals.issued(record, replace(record, expires_at=1090.0))
        key = RENEWALS + "a-1"
        self.assertEqual(self.marked[-1], ([key], False))
        self.assertIn(key, [key for keys in self.live.own_keys() for key in keys])
        renewal = Renewal(agent="a-1", expires_at=1090.0, key_sha256="a" * 64)
        self.assertEqual(self.live.read(key), renewal)
        heard: list[tuple[str, float]] = []
        self.renewals.heard = lambda agent, expires_at: heard.append((agent, expires_at))
        self.live.heard(Heard(renewals=[renewal]))
        self.assertEqual(heard, [("a-1", 1090.0)])

    async def test_a_newer_policy_is_heard(self) -> None:
        """An edge whose watch is dead reads the registry when another knows a newer version, and not otherwise."""
        await self.begin()
        self.store.is_mute = True
        current = CurrentPolicy(number=3)
        await self.store.put(current.key, encode(current))
        self.store.is_mute = False
        self.live.heard(Heard(policy_version=0))
        self.assertEqual(self.mirror.policy_version, 0)
        self.live.heard(Heard(policy_version=3))
        self.assertEqual(self.mirror.policy_version, 3)

    async def test_an_id_of_another_edge(self) -> None:
        """An edge cannot take the place of another's tunnel in the mirror by its id."""
        await self.begin()
        self.assertRaises(BadPeerMessage, self.live.heard, Heard(values={tunnel(1).key: tunnel(1)}))
        self.assertEqual(self.mirror.tunnels, {tunnel(1).id: tunnel(1, "edge1")})

    async def test_what_is_lost_with_an_edge(self) -> None:
        """Its tunnels are said, some at a time; meanwhile it is named as one that drains."""
        await self.begin()
        theirs: list[Value] = [EDGE, *(tunnel(number) for number in range(100, 200))]
        self.live.heard(Heard(values={value.key: value for value in theirs}))
        lost: list[Tunnel] = []
        self.live.lost = lost.append
        steps = self.live.forgetting([value.key for value in theirs], is_lost=True)
        next(steps)
        self.assertTrue(self.mirror.edges["edge2"].draining)
        self.assertGreater(len(list(steps)), 1)
        self.assertEqual(lost, theirs[1:])

    async def test_a_dead_edge_is_forgotten(self) -> None:
        """Its entry goes first, then what it had, some at a time."""
        await self.begin()
        theirs: list[Value] = [EDGE, *(tunnel(number) for number in range(100, 200))]
        self.live.heard(Heard(values={value.key: value for value in theirs}))
        steps = self.live.forgetting([value.key for value in theirs])
        next(steps)
        self.assertNotIn("edge2", self.mirror.edges)
        self.assertGreater(len(self.mirror.tunnels), 50)
        self.assertGreater(len(list(steps)), 1)
        self.assertEqual([each.edge for each in self.mirror.tunnels.values()], ["edge1"])

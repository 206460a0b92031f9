"""`edge.peers.hearing`: an edge is believed about itself, and about nothing else."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.peers.samples import CHALLENGES, EDGE, POLICY, tunnel
from warp_twisted.edge.errors import BadPeerMessage
from warp_twisted.edge.peers import hearing as module
from warp_twisted.edge.peers.hearing import Hearing
from warp_twisted.edge.peers.messages import Complete, Greeting, PeerMessage, Told
from warp_twisted.edge.peers.notices import Renewal
from warp_twisted.names import Hostname
from warp_twisted.registry.acme.challenges import MAX_CHALLENGES
from warp_twisted.registry.edge_records import OfferedRoute
from warp_twisted.registry.model import Revocation

GREETING = Greeting(version=1, run="r")
TUNNELS = st.builds(
    tunnel,
    st.integers(0, 20),
    edge=st.sampled_from(["edge2", "edge2", "edge3"]),
    hostname=st.sampled_from(["app.warp.example", "*.warp.example", "APP.warp.example", "a..b", "x" * 300]),
    labels=st.dictionaries(st.sampled_from(["a", "b", "-"]), st.sampled_from(["x", "\n", "y" * 300])),
)
TEXTS = st.sampled_from(["", "a-1", "a" * 64, "a" * 300])
KEYS = st.sampled_from([tunnel(1).key, "warp/tunnels/edge3/t-1", "warp/owners/x", ""])
TOLD = st.builds(
    Told,
    edge=st.sampled_from([None, EDGE, replace(EDGE, name="edge3"), replace(EDGE, addresses=())]),
    tunnels=st.lists(TUNNELS, max_size=4),
    gone=st.lists(KEYS, max_size=3),
    renewals=st.lists(st.builds(Renewal, agent=TEXTS, expires_at=st.floats(), key_sha256=TEXTS), max_size=3),
)


class HearingTests(SynchronousTestCase):
    """Messages to changes."""

    def setUp(self) -> None:
        """Begin after the greeting."""
        self.hearing = Hearing("edge2")
        self.hearing.take(GREETING)

    def refusal(self, message: PeerMessage) -> str:
        """Return why a message is refused."""
        return str(self.assertRaises(BadPeerMessage, self.hearing.take, message))

    def test_a_snapshot_and_changes(self) -> None:
        """Values come, the snapshot ends, values change and go."""
        heard = self.hearing.take(Told(edge=EDGE, edge_policy=POLICY, tunnels=[tunnel(1)]))
        self.assertEqual(heard.values, {EDGE.key: EDGE, POLICY.key: POLICY, tunnel(1).key: tunnel(1)})
        self.assertFalse(heard.is_complete)
        self.assertTrue(self.hearing.take(Complete()).is_complete)
        self.assertEqual(self.hearing.tunnels, 1)
        gone = self.hearing.take(Told(gone=[tunnel(1).key], revocations=[Revocation(agent="a")]))
        self.assertEqual((gone.values, [each.agent for each in gone.revocations]), ({tunnel(1).key: None}, ["a"]))
        self.assertEqual(self.hearing.keys, {EDGE.key, POLICY.key})

    def test_a_snapshot_replaces(self) -> None:
        """What was believed before and is not told again goes when the snapshot ends, and not earlier."""
        again = Hearing("edge2", {EDGE.key, tunnel(1).key, tunnel(2).key})
        again.take(GREETING)
        self.assertEqual(
            again.take(Told(edge=EDGE, tunnels=[tunnel(2), tunnel(3)])).values.keys() & {tunnel(1).key}, set()
        )
        self.assertEqual(again.take(Complete()).values, {tunnel(1).key: None})
        self.assertEqual(again.keys, {EDGE.key, tunnel(2).key, tunnel(3).key})

    def test_challenges(self) -> None:
        """An edge tells the challenges that it was asked for in one value; they are no tunnels."""
        self.assertEqual(self.hearing.take(Told(challenges=CHALLENGES)).values, {CHALLENGES.key: CHALLENGES})
        self.assertEqual(self.hearing.tunnels, 0)
        (challenge,) = CHALLENGES.challenges
        for wrong in (
            (challenge,) * (MAX_CHALLENGES + 1),
            (replace(challenge, value="v=spf1 -all"),),
            (replace(challenge, name="www.warp.example"),),
        ):
            self.assertTrue(self.refusal(Told(challenges=replace(CHALLENGES, challenges=wrong))))

    def test_of_others(self) -> None:
        """An edge cannot speak for another, nor end what another has."""
        other = tunnel(1, edge="edge3")
        for told in (
            Told(edge=replace(EDGE, name="edge3")),
            Told(edge_policy=replace(POLICY, edge="edge3")),
            Told(challenges=replace(CHALLENGES, edge="edge3")),
            Told(tunnels=[other]),
            Told(gone=[other.key]),
            Told(gone=["warp/owners/app.warp.example"]),
        ):
            self.assertTrue(self.refusal(told))
        self.assertEqual(self.hearing.keys, set())

    def test_renewals(self) -> None:
        """What an edge has issued is passed on; without an agent or a key it is nothing that an edge issues."""
        renewal = Renewal(agent="a-1", expires_at=9.0, key_sha256="0a" * 32)
        self.assertEqual(list(self.hearing.take(Told(renewals=[renewal])).renewals), [renewal])
        for wrong in (
            replace(renewal, agent=""),
            replace(renewal, agent="a" * 256),
            replace(renewal, key_sha256=""),
            replace(renewal, key_sha256="0A" * 32),
        ):
            self.assertIn("renewal", self.refusal(Told(renewals=[wrong])))

    def test_out_of_order(self) -> None:
        """Nothing comes before the greeting, and a snapshot without the edge's own entry is none."""
        self.assertRaises(BadPeerMessage, Hearing("edge2").take, Told())
        self.assertIn("second greeting", self.refusal(GREETING))
        self.assertIn("does not say who", self.refusal(Complete()))
        self.hearing.take(Told(edge=EDGE))
        self.hearing.take(Complete())
        self.assertIn("second end", self.refusal(Complete()))

    def test_tunnels_that_cannot_be(self) -> None:
        """Names, labels, routes and ids are held to what an edge accepts of an agent."""
        name = Hostname("app.warp.example")
        for bad in (
            tunnel(1, hostname="APP.warp.example"),
            tunnel(1, hostname="a b"),
            tunnel(1, labels={"a b": "x"}),
            tunnel(1, id=""),
            tunnel(1, agent="a" * 300),
            tunnel(1, hostnames=(name,) * 1001, routes=()),
            tunnel(1, routes=(OfferedRoute(id=0, hostname=Hostname("other.example")),)),
        ):
            self.assertTrue(self.refusal(Told(tunnels=[bad])))

    def test_too_many(self) -> None:
        """What one edge may have is bounded."""
        self.patch(module, "MAX_VALUES", 100)
        self.hearing.take(Told(tunnels=[tunnel(number) for number in range(60)]))
        self.assertIn("more than", self.refusal(Told(tunnels=[tunnel(number) for number in range(60, 110)])))

    def test_reaches_too_many(self) -> None:
        """How many others an edge may say that it reaches is bounded, too."""
        others = tuple(f"edge{number}" for number in range(module.MAX_EDGES + 1))
        self.hearing.take(Told(edge=replace(EDGE, relays_to=others[1:])))
        self.assertIn("more than", self.refusal(Told(edge=replace(EDGE, relays_to=others))))

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.one_of(TOLD, st.just(Complete())), max_size=6))
    def test_whatever_is_said(self, messages: list[PeerMessage]) -> None:
        """Of whatever is told, only what is the edge's own is believed; the rest is refused."""
        hearing = Hearing("edge2")
        hearing.take(GREETING)
        for message in messages:
            try:
                heard = hearing.take(message)
            except BadPeerMessage:
                return
            for key, value in heard.values.items():
                self.assertTrue(key == EDGE.key or key.startswith("warp/tunnels/edge2/"), key)
                self.assertTrue(value is None or value.key == key)
            self.assertTrue(all(each.agent and len(each.key_sha256) == 64 for each in heard.renewals))

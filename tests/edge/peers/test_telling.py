"""`edge.peers.telling`: what waits is told once, as it is when its turn comes, in messages of a bounded size."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.peers.samples import CHALLENGES, EDGE, POLICY, tunnel
from tests.edge.peers.test_messages import read_all
from warp_twisted.edge.peers.messages import BATCH_BYTES, BATCH_VALUES, Complete, MessageReader, PeerMessage, Told
from warp_twisted.edge.peers.notices import RENEWALS, Lifted, Renewal
from warp_twisted.edge.peers.telling import POLICY_VERSION, Tellable, Teller
from warp_twisted.registry.model import Revocation


class TellerTests(SynchronousTestCase):
    """The keys that wait."""

    def setUp(self) -> None:
        """Begin with nothing."""
        self.values: dict[str, Tellable] = {}
        self.teller = Teller(self.values.get)
        self.sizes: list[int] = []

    def told(self) -> list[PeerMessage]:
        """Return all that waits."""
        reader = MessageReader()
        self.sizes = []
        for message in iter(self.teller.next_message, None):
            self.sizes.append(len(message))
            reader.feed(message)
        return read_all(reader)

    def put(self, *values: Tellable) -> None:
        """Have values that are to be told."""
        for value in values:
            key = getattr(value, "key", "x")
            self.values[key] = value
            self.teller.mark([key])

    def test_each_kind(self) -> None:
        """Every kind of value has its place, and a tunnel that is gone its key."""
        revocation, gone = Revocation(agent="a-1"), tunnel(9).key
        renewal = Renewal(agent="a-2", expires_at=9.0, key_sha256="a" * 64)
        self.put(EDGE, POLICY, CHALLENGES, tunnel(1), revocation, Lifted("192.0.2.7"))
        self.values |= {POLICY_VERSION: 5, RENEWALS + "a-2": renewal}
        self.teller.mark([POLICY_VERSION, gone, RENEWALS + "a-2", RENEWALS + "a-3"])
        self.assertEqual(
            self.told(),
            [
                Told(
                    edge=EDGE,
                    edge_policy=POLICY,
                    challenges=CHALLENGES,
                    tunnels=[tunnel(1)],
                    gone=[gone],
                    revocations=[revocation],
                    lifted=["192.0.2.7"],
                    renewals=[renewal],
                    policy_version=5,
                )
            ],
        )
        self.assertEqual((self.told(), len(self.teller)), ([], 0))

    def test_a_snapshot_ends_after_all(self) -> None:
        """The end of a snapshot comes after what waited when it was marked; what is new comes later."""
        self.put(tunnel(1), tunnel(2))
        self.teller.mark_snapshot_end()
        self.put(tunnel(3))
        first, second, third = self.told()
        self.assertEqual((first, second), (Told(tunnels=[tunnel(1), tunnel(2)]), Complete()))
        self.assertEqual(third, Told(tunnels=[tunnel(3)]))

    def test_what_changes_again_and_again(self) -> None:
        """A slow reader costs one key for each value, and is told the last word only."""
        for count in range(10_000):
            self.put(tunnel(count % 5, registered_at=float(count)))
        self.assertEqual(len(self.teller), 5)
        (message,) = self.told()
        assert isinstance(message, Told)
        self.assertEqual(
            sorted(each.registered_at for each in message.tunnels), [9995.0, 9996.0, 9997.0, 9998.0, 9999.0]
        )

    def test_what_is_in_a_hurry(self) -> None:
        """A revocation does not wait for thousands of tunnels."""
        self.put(*(tunnel(number) for number in range(1000)))
        revocation = Revocation(agent="a-1")
        self.values[revocation.key] = revocation
        self.teller.mark([revocation.key], first=True)
        first = self.told()[0]
        assert isinstance(first, Told)
        self.assertEqual(first.revocations, [revocation])

    def test_messages_are_bounded(self) -> None:
        """Many values, or large ones, take several messages."""
        large = {f"label-{number}": "x" * 60 for number in range(32)}
        self.put(*(tunnel(number, labels=large) for number in range(500)))
        counts = [len(message.tunnels) for message in self.told() if isinstance(message, Told)]
        self.assertEqual(sum(counts), 500)
        self.assertLessEqual(max(counts), BATCH_VALUES)
        self.assertLess(max(self.sizes), BATCH_BYTES + 8 * 1024)

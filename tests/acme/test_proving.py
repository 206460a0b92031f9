"""Tests for warp_twisted.acme.proving; tests.acme.test_issuing proves names to a directory."""

import time
from typing import Literal

from acme import challenges, messages
from twisted.trial.unittest import SynchronousTestCase

from tests.acme.fake_door import FakeDoor
from warp_twisted.acme.authority import NameState, Proof
from warp_twisted.acme.door import Challenge
from warp_twisted.acme.errors import AuthorityFailed, DoorRefused, NotYet
from warp_twisted.acme.proving import MAX_POLL_SECONDS, Proving, challenge_for, poll_seconds, proof_for

BODY = messages.ChallengeBody(
    chall=challenges.DNS01(token=bytes(32)), uri="https://ca.example/", status=messages.STATUS_PENDING
)


def proof(kind: Literal["dns-01", "http-01"], name: str) -> Proof:
    """Return a proof that is still to be given."""
    return Proof(kind=kind, name=name, token="t", value="v", is_open=True, body=BODY)


def state(name: str, status: str = "pending") -> NameState:
    """Return what an authority says of a name."""
    proofs = (proof("http-01", name), proof("dns-01", name))
    return NameState(name=name, status=status, proofs=proofs, error=None, retry_seconds=0.0)


class Names:
    """An authority that says of a name what a test wants, one after the other; the last stays."""

    def __init__(self, *statuses: str) -> None:
        self.statuses = list(statuses)
        self.looked: list[str] = []

    def name_state(self, url: str) -> NameState:
        """Return what the authority says of a name."""
        return state(url, self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])

    def look(self, proof: Proof) -> None:
        """Tell the authority that it may look."""
        self.looked.append(proof.name)


class ProvingTests(SynchronousTestCase):
    """Names are proved."""

    def setUp(self) -> None:
        self.door = FakeDoor("letsencrypt", "", [("warp.example",)])
        self.slept = 0.0
        self.proving = Proving(self.door, lambda *_: None, self._pause)

    def prove(self, names: Names) -> None:
        """Prove one name of the zone."""
        self.proving.prove(names, self.door.view(), ["warp.example"], lambda: None)

    def test_valid_already(self) -> None:
        """A name that the authority believes already is not proved again."""
        names = Names("valid")
        self.prove(names)
        self.assertEqual(names.looked, [])

    def test_over(self) -> None:
        """A name that cannot become valid any more ends the order, naming it."""
        for status in ("invalid", "expired", "revoked", "deactivated"):
            with self.assertRaisesRegex(AuthorityFailed, f"that warp.example is {status}") as caught:
                self.prove(Names("pending", status))
            self.assertEqual(caught.exception.identifiers, {"warp.example"})
            self.assertEqual(self.door.published, [])

    def test_leases(self) -> None:
        """An authority that takes minutes to look has the leases lengthened, and in the end the order waits."""
        published: list[str] = []
        self.door.happened = published.append
        with self.assertRaisesRegex(NotYet, "has not looked at warp.example within 180 s"):
            self.prove(Names("pending"))
        self.assertEqual(published, ["publish", "publish"])
        self.assertEqual(self.door.published, [])

    def test_not_withdrawn(self) -> None:
        """A challenge that cannot be withdrawn is left to its lease: the name is proved all the same."""

        def withdraw(challenge: Challenge) -> None:
            raise DoorRefused("the edge is away")

        self.door.withdraw = withdraw  # type: ignore[method-assign]
        self.door.publish = lambda challenge: None  # type: ignore[method-assign]
        names = Names("pending", "valid")
        self.prove(names)
        self.assertEqual(names.looked, ["warp.example"])

    def _pause(self, seconds: float) -> None:
        self.slept += seconds
        moment = 1000.0 + self.slept
        self.patch(time, "monotonic", lambda: moment)


class ChoiceTests(SynchronousTestCase):
    """Which proof is given."""

    def test_zone(self) -> None:
        """The zone and what is below it is proved by DNS, anything else by HTTP."""
        for name, kind in (
            ("warp.example", "dns-01"),
            ("a.b.warp.example", "dns-01"),
            ("notwarp.example", "http-01"),
            ("customer.example", "http-01"),
        ):
            self.assertEqual(proof_for(state(name), "warp.example").kind, kind)

    def test_challenges(self) -> None:
        """What the edge is to publish has the name that the authority asks for."""
        self.assertEqual(getattr(challenge_for(proof("dns-01", "a.example")), "name", ""), "_acme-challenge.a.example")
        self.assertEqual(getattr(challenge_for(proof("http-01", "a.example")), "hostname", ""), "a.example")

    def test_polls(self) -> None:
        """The authority's Retry-After counts, up to a bound."""
        self.assertEqual(poll_seconds(0, 0), 0.25)
        self.assertEqual(poll_seconds(100, 0), 5)
        self.assertEqual(poll_seconds(0, 7), 7)
        self.assertEqual(poll_seconds(0, 1e9), MAX_POLL_SECONDS)

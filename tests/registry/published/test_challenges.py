"""Tests of what is published of ACME's challenges."""

from twisted.trial.unittest import SynchronousTestCase

from tests.registry.published.test_publish import EDGE1, EDGE2, ZONE, came, changed, tunnel, went, written
from warp_twisted.registry.acme.challenges import EdgeChallenges, dns_challenge, http_challenge
from warp_twisted.registry.published.publish import Publication

FIRST, SECOND = "a" * 43, "b" * 43
APEX = f"_acme-challenge.{ZONE}"
BELOW = f"_acme-challenge.blue.{ZONE}"


def told(*values: tuple[str, str], edge: str = "edge1") -> EdgeChallenges:
    """Return what an edge tells."""
    return EdgeChallenges(edge=edge, challenges=tuple(dns_challenge(name, value, ZONE) for name, value in values))


class ChallengesTests(SynchronousTestCase):
    """TXT records that come and go."""

    def setUp(self) -> None:
        self.publication = Publication(ZONE)
        self.publication.apply(came(EDGE1, EDGE2))

    def texts(self, owner: str = APEX) -> list[str]:
        """Return the records of a name."""
        return written(self.publication.records_of(owner))

    def test_come_and_go(self) -> None:
        """Several values at one name are one set, which changes as they do, and touches no other name."""
        both = told((APEX, FIRST), (APEX, SECOND))
        seen = self.publication.apply(came(both))
        self.assertEqual(list(seen), [APEX])
        self.assertEqual(self.texts(), [f'TXT "{FIRST}"', f'TXT "{SECOND}"'])
        one = told((APEX, SECOND))
        self.publication.apply(changed(both, one))
        self.assertEqual(self.texts(), [f'TXT "{SECOND}"'])
        self.assertEqual(self.publication.apply(went(one)), {APEX: ()})

    def test_of_two_edges(self) -> None:
        """What two edges were asked for stands together, and goes with each."""
        first, second = told((APEX, FIRST)), told((APEX, SECOND), edge="edge2")
        self.publication.apply(came(first, second))
        self.assertEqual(self.texts(), [f'TXT "{FIRST}"', f'TXT "{SECOND}"'])
        self.publication.apply(went(first))
        self.assertEqual(self.texts(), [f'TXT "{SECOND}"'])

    def test_a_pattern_answers_on(self) -> None:
        """A name that a pattern stands for is answered as before while there is a challenge below it."""
        self.publication.apply(came(tunnel(1, f"*.{ZONE}")))
        before = self.publication.snapshot()
        challenge = told((BELOW, FIRST))
        self.publication.apply(came(challenge))
        for name in (f"blue.{ZONE}", f"*.blue.{ZONE}"):
            addresses = [each for each in self.texts(name) if each.startswith("A")]
            self.assertEqual(addresses, ["A 192.0.2.1", "AAAA 2001:db8::1"], name)
        self.assertEqual(self.texts(BELOW), [f'TXT "{FIRST}"'])
        self.publication.apply(went(challenge))
        self.assertEqual(self.publication.snapshot(), before)

    def test_a_hostname_below_which_it_is(self) -> None:
        """A hostname keeps what it has when the challenge below it goes."""
        self.publication.apply(came(tunnel(1, f"blue.{ZONE}")))
        before = self.publication.snapshot()
        challenge = told((BELOW, FIRST))
        self.publication.apply([*came(challenge), *went(challenge)])
        self.assertEqual(self.publication.snapshot(), before)

    def test_what_is_not_published(self) -> None:
        """Names of another zone, and answers to visitors, are nothing for this one."""
        foreign = dns_challenge("_acme-challenge.other.example", FIRST, "other.example")
        answer = http_challenge(f"app.{ZONE}", "tok", f"tok.{FIRST}")
        before = self.publication.snapshot()
        self.publication.apply(came(EdgeChallenges(edge="edge1", challenges=(foreign, answer))))
        self.assertEqual(self.publication.snapshot(), before)

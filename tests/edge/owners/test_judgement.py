"""Tests of who may have a hostname, and of the sentence that others hear."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.errors import OfferRefused
from warp_twisted.edge.owners.judgement import Applicant, judge, refusal
from warp_twisted.names import HostnamePattern
from warp_twisted.registry.model import MAX_SERVED_BY, Owner

NOW = 1_800_000_000.0
APP = "app.warp.example"
TEAM = "*.team.warp.example"


def owner(group: str = "blue", hostname: str = APP, **changes: object) -> Owner:
    """Return an owner who got a hostname an hour ago."""
    given: dict[str, object] = {"agents": ("a-1",), "since": NOW - 3600, **changes}
    return Owner(hostname=hostname, group=group, **given)  # type: ignore[arg-type]


def applicant(group: str, *patterns: str, agent: str = "a-2", is_inherited: bool = False) -> Applicant:
    """Return an agent with a certificate."""
    allowed = [HostnamePattern.parse(text) for text in patterns or ("*.warp.example",)]
    return Applicant(agent=agent, group=group, patterns=allowed, is_inherited=is_inherited)


class JudgementTests(SynchronousTestCase):
    """One hostname, and who wants it."""

    def judge(
        self,
        who: Applicant,
        held: Owner | None = None,
        above: Owner | None = None,
        hostname: str = APP,
        served: tuple[str, ...] = (),
    ) -> Owner | None:
        """Judge now."""
        return judge(who, hostname, held, above, lambda name: name in served, NOW)

    def refused(self, who: Applicant, held: Owner | None = None, **context: object) -> str:
        """Expect a refusal, and return its sentence."""
        error = self.assertRaises(OfferRefused, self.judge, who, held, **context)
        self.assertEqual((error.code, error.retry), ("conflict", False))
        return str(error)

    def test_free(self) -> None:
        """What belongs to nobody belongs to who asks first, from now on."""
        self.assertEqual(
            self.judge(applicant("red")), Owner(hostname=APP, group="red", since=NOW, agents=("a-2",), is_exact=False)
        )
        exact = self.judge(applicant("red", "other.example", APP))
        assert exact is not None
        self.assertTrue(exact.is_exact)

    def test_own(self) -> None:
        """Who is of the group serves it, and is noted once; a certificate that names it is noted as well."""
        first = self.judge(applicant("blue"), owner())
        assert first is not None
        self.assertEqual((first.agents, first.since, first.is_exact), (("a-1", "a-2"), NOW - 3600, False))
        self.assertIsNone(self.judge(applicant("blue"), first, served=(APP,)))
        exact = self.judge(applicant("blue", APP), first)
        assert exact is not None
        self.assertEqual((exact.agents, exact.is_exact), (("a-1", "a-2"), True))
        self.assertIsNone(self.judge(applicant("blue"), exact))

    def test_noted_agents_are_bounded(self) -> None:
        """Of many agents that came and went, who took the hostname is kept, and those that came last."""
        held: Owner | None = owner()
        for number in range(2, MAX_SERVED_BY + 10):
            held = self.judge(applicant("blue", agent=f"a-{number}"), held)
        assert held is not None
        self.assertEqual(len(held.agents), MAX_SERVED_BY)
        self.assertEqual((held.agents[0], held.agents[1], held.agents[-1]), ("a-1", "a-11", f"a-{MAX_SERVED_BY + 9}"))

    def test_others(self) -> None:
        """Another group is refused whether the hostname is served or not, also if its certificate names it."""
        for served in ((), (APP,)):
            self.refused(applicant("red"), owner(), served=served)
            self.refused(applicant("red"), owner(is_exact=True), served=served)
            self.refused(applicant("red", APP), owner(is_exact=True), served=served)
        self.refused(applicant("red", APP), owner(), served=(APP,))

    def test_sentence(self) -> None:
        """The refusal says who holds it, since when, and what to do."""
        self.assertEqual(
            self.refused(applicant("red"), owner()),
            "app.warp.example belongs to the group blue since 2027-01-15 07:00 UTC; to serve it as well, enroll with a"
            " token of warp token create --share blue; to free it, stop its agents and run"
            " warp hostname release 'app.warp.example'",
        )
        above = owner(hostname=TEAM)
        self.assertIn(
            "x.team.warp.example belongs, with *.team.warp.example, to the group blue since",
            refusal("x.team.warp.example", above).reason,
        )

    def test_certificate_that_names_it(self) -> None:
        """It takes the hostname from who has it by a pattern of its certificate, while that one does not serve it."""
        taken = self.judge(applicant("red", APP), owner())
        assert taken is not None
        self.assertEqual((taken.group, taken.since, taken.agents, taken.is_exact), ("red", NOW, ("a-2",), True))
        self.refused(applicant("blue"), taken)

    def test_under_a_pattern_that_is_served(self) -> None:
        """What a pattern covers belongs to its group; a certificate that names it gets it while nothing serves that."""
        name, above = "x.team.warp.example", owner(hostname=TEAM)
        self.refused(applicant("red"), above=above, hostname=name)
        self.refused(applicant("red", name), above=above, hostname=name, served=(TEAM,))
        for who in (applicant("red", name), applicant("blue")):
            self.assertIsNotNone(self.judge(who, above=above, hostname=name))
        deeper = "*.x.team.warp.example"
        self.refused(applicant("red"), above=above, hostname=deeper)
        self.assertIsNotNone(self.judge(applicant("red", deeper), above=above, hostname=deeper))

    def test_inherited(self) -> None:
        """Before there were groups, hostnames under the patterns of others were served, and go on being served."""
        above = owner(hostname=TEAM, is_inherited=True)
        taken = self.judge(
            applicant("red", is_inherited=True), above=above, hostname="x.team.warp.example", served=(TEAM,)
        )
        assert taken is not None
        self.assertTrue(taken.is_inherited)
        self.refused(applicant("red"), above=above, hostname="x.team.warp.example")
        self.refused(applicant("red", is_inherited=True), owner(is_inherited=True))

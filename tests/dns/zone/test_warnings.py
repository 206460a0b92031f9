"""Tests of `warp_dns.zone.warnings`: what is said of which zone."""

from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import static
from warp_dns.zone.steps import finish
from warp_dns.zone.warnings import MAX_WARNINGS, zone_warnings

HEAD = "@ 60 SOA ns hostmaster 1 3600 600 86400 60\n@ 60 NS ns.example.net.\n$TTL 60\n"


class ZoneWarningsTests(SynchronousTestCase):
    """One zone at a time; its lines begin with number 4."""

    def warnings(self, text: str, *, is_live: bool = False) -> list[str]:
        """Return what is said of a zone."""
        return finish(zone_warnings(static(text, head=HEAD), is_live=is_live))

    def test_nothing_odd(self) -> None:
        """Glue, name servers elsewhere or with an address, and a DNAME with nothing below it are as they should be."""
        text = (
            "sub NS ns.sub\nns.sub A 192.0.2.1\nsix NS ns.six\nns.six AAAA 2001:db8::1\nout NS ns.example.net.\n"
            "in NS host\nhost A 192.0.2.2\nwild NS x.w\n*.w A 192.0.2.3\nold DNAME new\nold TXT x\nx.new A 192.0.2.4\n"
        )
        self.assertEqual(self.warnings(text), [])

    def test_missing_glue(self) -> None:
        """A name server at or below a delegation without an address is named, whoever else publishes records."""
        expected = "test.zone:4: ns.sub.example.org has no address (glue), so nobody can follow the delegation"
        for is_live in (True, False):
            self.assertEqual(self.warnings("sub NS ns.sub\nns.sub TXT x", is_live=is_live), [expected])
        self.assertIn("sub.example.org has no address (glue)", self.warnings("sub NS sub")[0])

    def test_name_server_without_an_address(self) -> None:
        """One in this zone is named, unless a source may publish its address."""
        expected = "ns9.example.org, a name server of sub.example.org, has no address in this zone"
        self.assertEqual(self.warnings("sub NS ns9"), [f"test.zone:4: {expected}"])
        self.assertEqual(self.warnings("sub NS ns9", is_live=True), [])
        apex = "ns8.example.org, a name server of example.org, has no address in this zone"
        self.assertEqual(self.warnings("@ NS ns8"), [f"test.zone:2: {apex}"])

    def test_names_below_a_dname(self) -> None:
        """They are never answered: counted for each DNAME, with the first and its line; at the apex it is all names."""
        self.assertEqual(
            self.warnings("old DNAME new\nx.old A 192.0.2.1\nc.b.old A 192.0.2.2\nother DNAME new\ny.other TXT y"),
            [
                "test.zone:4: the DNAME of old.example.org hides 2 names, such as c.b.old.example.org (test.zone:6): "
                "what is below it is never answered",
                "test.zone:7: the DNAME of other.example.org hides y.other.example.org (test.zone:8): "
                "what is below it is never answered",
            ],
        )
        self.assertIn("of example.org hides 2 names", self.warnings("@ DNAME example.net.\na TXT a\nb TXT b")[0])

    def test_ns_beside_a_dname(self) -> None:
        """The delegation is what is answered; at the apex both may be."""
        expected = "test.zone:5: the DNAME of d.example.org is never used, as the name has NS records, too"
        self.assertEqual(self.warnings("d NS ns.example.net.\nd DNAME e"), [expected])
        self.assertEqual(self.warnings("@ DNAME example.net."), [])

    def test_they_are_bounded(self) -> None:
        """Twenty are said, the others counted."""
        found = self.warnings("\n".join(f"s{number} NS ns.s{number}" for number in range(100)))
        self.assertEqual((len(found), found[-1]), (MAX_WARNINGS + 1, "and 80 more"))
        both = "\n".join(f"d{number} DNAME e\nx.d{number} A 192.0.2.1" for number in range(100))
        self.assertEqual(self.warnings(both)[-1], "and 80 more")

    def test_lines_are_looked_for_rarely(self) -> None:
        """Where a record was written is looked for in all of them, so not for each delegation, and not in one step."""
        text = "".join(f"s{number} NS ns.s{number}\nns.s{number} A 192.0.2.1\n" for number in range(500))
        zone = static(text + "".join(f"t{number} NS ns.t{number}\n" for number in range(500)), head=HEAD)
        asked: list[int] = []
        steps = 0
        location = zone.location

        def counted(owner: bytes, rtype: int) -> str:
            asked.append(steps)
            return location(owner, rtype)

        self.patch(zone, "location", counted)
        for _ in zone_warnings(zone, is_live=False):
            steps += 1
        self.assertEqual(len(asked), MAX_WARNINGS)
        self.assertLessEqual(max(asked.count(step) for step in asked), 8)
        self.assertGreater(steps, 100)

"""Tests of repeating patterns where wildcards of DNS do not reach; what is served and answered, holds test_truth.py."""

from twisted.trial.unittest import SynchronousTestCase

from tests.registry.published.test_publish import EDGE1, EDGE2, ZONE, came, changed, tunnel, went
from warp_twisted.registry.published.covers import COVERED_IN_A_ROW
from warp_twisted.registry.published.publish import Publication


class CoversTests(SynchronousTestCase):
    """`*.warp.example` at the second edge, and hostnames below it at the first."""

    def setUp(self) -> None:
        """Publish the pattern."""
        self.publication = Publication(ZONE, reserved=["ns1"])
        self.publication.apply(came(EDGE1, EDGE2))
        self.wild = tunnel(1, "*.warp.example", edge="edge2")
        self.publication.apply(came(self.wild))

    def addresses(self, owner: str) -> list[str]:
        """Return the addresses at a name."""
        return [record.rdata for record in self.publication.records_of(owner) if record.type in ("A", "AAAA")]

    def covered(self) -> list[str]:
        """Return which names have the pattern's addresses."""
        return sorted(name for name in self.publication.owners() if self.addresses(name) == ["192.0.2.2"])

    def test_names_of_the_zone(self) -> None:
        """Names of the zone itself stay, and what is below them is the pattern's."""
        names = ["*.edge1.warp.example", "*.edge2.warp.example", "*.ns1.warp.example", "*.warp.example"]
        self.assertEqual(self.covered(), [*names, "edge2.warp.example"])

    def test_above_and_below_a_hostname(self) -> None:
        """A hostname makes names exist above it; they and what is below them answer as the pattern does."""
        before = self.covered()
        self.publication.apply(came(tunnel(2, "api.blue.warp.example")))
        new = [name for name in self.covered() if name not in before]
        self.assertEqual(new, ["*.api.blue.warp.example", "*.blue.warp.example", "blue.warp.example"])
        self.assertEqual(self.addresses("api.blue.warp.example"), ["192.0.2.1", "2001:db8::1"])
        self.publication.apply(went(tunnel(2, "api.blue.warp.example")))
        self.assertEqual(self.covered(), before)

    def test_a_name_between_becomes_a_hostname(self) -> None:
        """A name that was covered has its own addresses when it is served, and the pattern's again afterwards."""
        self.publication.apply(came(tunnel(2, "api.blue.warp.example"), tunnel(3, "blue.warp.example")))
        self.assertEqual(self.addresses("blue.warp.example"), ["192.0.2.1", "2001:db8::1"])
        self.publication.apply(went(tunnel(3, "blue.warp.example")))
        self.assertEqual(self.addresses("blue.warp.example"), ["192.0.2.2"])

    def test_a_nearer_pattern(self) -> None:
        """Below a nearer pattern that one is repeated, and the farther one again when it goes."""
        self.publication.apply(came(tunnel(2, "x.api.blue.warp.example"), tunnel(3, "*.blue.warp.example")))
        self.assertEqual(self.addresses("*.api.blue.warp.example"), ["192.0.2.1", "2001:db8::1"])
        self.assertEqual(self.addresses("blue.warp.example"), ["192.0.2.2"])
        self.publication.apply(went(tunnel(3, "*.blue.warp.example")))
        for name in ("*.blue.warp.example", "api.blue.warp.example", "*.x.api.blue.warp.example"):
            self.assertEqual(self.addresses(name), ["192.0.2.2"], name)

    def test_a_pattern_above_the_zone(self) -> None:
        """A pattern that covers the whole zone stands for the zone's own name, too."""
        self.publication.apply(went(self.wild))
        self.publication.apply(came(tunnel(2, "*.example")))
        for name in ("warp.example", "*.warp.example", "*.edge1.warp.example"):
            self.assertEqual(self.addresses(name), ["192.0.2.1", "2001:db8::1"], name)
        self.publication.apply(went(tunnel(2, "*.example")))
        self.assertEqual(self.addresses("*.warp.example"), [])

    def test_edges_of_the_pattern(self) -> None:
        """When other edges serve the pattern, all that repeats it follows."""
        many = COVERED_IN_A_ROW + 10
        self.publication.apply(came(*(tunnel(10 + n, f"h{n}.warp.example") for n in range(many))))
        self.publication.apply(changed(EDGE2, EDGE2.__class__(name="edge2", addresses=("192.0.2.77",), http_port=80)))
        self.assertEqual(
            {*self.addresses(f"*.h{many - 1}.warp.example"), *self.addresses("*.h0.warp.example")}, {"192.0.2.77"}
        )
        self.publication.apply(went(self.wild))
        self.assertEqual([name for name in self.publication.owners() if name.startswith("*.")], [])

    def test_one_hostname_among_many(self) -> None:
        """One that comes or goes changes its own names, however many others there are."""
        self.publication.apply(came(*(tunnel(10 + n, f"h{n}.warp.example") for n in range(450))))
        told = self.publication.apply(came(tunnel(2, "api.blue.warp.example")))
        owners = [name for name in told if "blue" not in name and "_tcp" not in name]
        self.assertEqual(owners, [])
        self.assertLess(len(told), 12)

    def test_a_long_name_takes_steps(self) -> None:
        """A hostname of many labels is covered some labels at a time, and is never without an answer meanwhile."""
        name = ".".join(["a"] * 100) + ".warp.example"
        self.publication.take(came(tunnel(2, name)))
        steps = sum(1 for _ in self.publication.steps())
        self.assertGreater(steps, 12)
        self.assertEqual(self.addresses("a.a.a.warp.example"), ["192.0.2.2"])
        self.publication.apply(went(tunnel(2, name)))
        self.assertEqual([owner for owner in self.publication.owners() if ".a.warp" in owner], [])

"""Tests of `warp_twisted.routing.table`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.routing.table import RoutingTable


def table_of(*hostnames: str) -> RoutingTable:
    """Return the table of a policy with an entry for each hostname."""
    entries = ", ".join(f"{{hostname: '{name}', split: [{{selector: a, weight: 1}}]}}" for name in hostnames)
    return RoutingTable(parse_policy(f"routing: [{entries}]", "p").routing)


class RoutingTableTests(SynchronousTestCase):
    """Which split stands for a hostname."""

    def split(self, table: RoutingTable, route: str, hostname: str) -> str | None:
        """Return the hostname of the entry that stands for a hostname which a route serves."""
        covering = table.covering(route)
        found = covering.split_for(hostname) if covering is not None else None
        return found.hostname if found is not None else None

    def test_most_specific(self) -> None:
        """The hostname's own entry decides, then the nearest pattern; without either there is nothing to ask."""
        table = table_of("app.example", "*.example", "*.team.example")
        for hostname, expected in (
            ("app.example", "app.example"),
            ("other.example", "*.example"),
            ("a.b.team.example", "*.team.example"),
            ("team.example", "*.example"),
        ):
            self.assertEqual(self.split(table, hostname, hostname), expected)
        self.assertIsNone(table.covering("app.test"))
        self.assertIsNone(table.covering("example"))
        self.assertIsNone(RoutingTable().covering("app.example"))

    def test_pattern_that_is_served(self) -> None:
        """A pattern that is served as one route has its own entry, and names below it may have theirs."""
        table = table_of("a.team.example", "*.b.team.example", "*.example")
        for hostname, expected in (
            ("a.team.example", "a.team.example"),
            ("x.team.example", "*.example"),
            ("x.b.team.example", "*.b.team.example"),
            ("b.team.example", "*.example"),
        ):
            self.assertEqual(self.split(table, "*.team.example", hostname), expected)
        self.assertIsNone(self.split(table_of("a.team.example"), "*.team.example", "b.team.example"))
        self.assertIsNone(table_of("a.team.example").covering("*.other.example"))

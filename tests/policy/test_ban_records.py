"""Tests for `warp_twisted.policy.ban_records`."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.roles.tree import ROOT, load
from warp_twisted.policy.ban_records import BEGINNING, MAX_SECONDS, ban_record, let_in_record
from warp_twisted.policy.bans import parse_network

helper = load(ROOT / "roles/warp_firewall/files/warp_firewall_bans.py")
networks = st.ip_addresses().map(str).map(parse_network)


class RecordTests(SynchronousTestCase):
    """The records, as the firewall's helper reads them."""

    @given(networks, st.floats(min_value=0.001, max_value=1e12))
    def test_read_by_the_helper(self, network: str, seconds: float) -> None:
        """The helper understands what the edge says of every network: for at least as long, but a year."""
        operation, read, told = helper.read_record(ban_record(network, seconds))
        self.assertEqual((operation, read), (helper.BAN, network))
        self.assertTrue(min(seconds, MAX_SECONDS) <= told < min(seconds, MAX_SECONDS) + 1)
        self.assertEqual(helper.read_record(let_in_record(network)), (helper.LET_IN, network, 0))

    def test_the_beginning(self) -> None:
        """The first record has nothing but its operation."""
        self.assertEqual(helper.read_record(BEGINNING), (helper.BEGIN, "", 0))

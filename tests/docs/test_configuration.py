"""Tests that docs/configuration.md tells every key and its default, and no other."""

from pathlib import Path

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.docs.settings_keys import keys_in, keys_of
from warp_dns.program.configuration import DnsFile
from warp_twisted.agent import settings as agent
from warp_twisted.edge.settings import EdgeSettings

_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


class ConfigurationTests(SynchronousTestCase):
    """The page and the code say the same."""

    maxDiff = None

    def check(self, heading: str, struct: type[msgspec.Struct]) -> None:
        """Assert that one section has exactly the keys and defaults of a struct."""
        self.assertEqual(keys_in(_DOCUMENT.read_text(), heading), keys_of(struct))

    def test_edge(self) -> None:
        """edge.yaml."""
        self.check("edge.yaml", EdgeSettings)

    def test_agent(self) -> None:
        """agent.yaml."""
        self.check("agent.yaml", agent._File)

    def test_dns(self) -> None:
        """dns.yaml."""
        self.check("dns.yaml", DnsFile)

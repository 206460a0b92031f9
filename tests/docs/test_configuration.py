"""Tests that docs/configuration.md tells every key and its default, and no other."""

from pathlib import Path

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.docs.settings_keys import keys_in, keys_of
from warp_dns.program.configuration import DnsFile
from warp_dns.settings import ServerSettings
from warp_twisted.agent import settings as agent
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.http1.believed import BELIEVED
from warp_twisted.http1.forwarding import FACTS

_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


class ConfigurationTests(SynchronousTestCase):
    """The page and the code say the same."""

    maxDiff = None

    def check(self, heading: str, struct: type[msgspec.Struct]) -> None:
        """Assert that one section has exactly the keys and defaults of a struct."""
        self.assertEqual(keys_in(_DOCUMENT.read_text(), heading), keys_of(struct))

    def test_edge(self) -> None:
        """edge.yaml; of how its DNS answers it says where the keys are, which are those of dns.yaml."""
        document, everything = _DOCUMENT.read_text(), keys_of(EdgeSettings)
        shared = keys_of(ServerSettings)
        self.assertIn("before each key from `keys` on", document)
        in_dns_yaml = list(keys_in(document, "dns.yaml"))
        self.assertEqual(set(in_dns_yaml[in_dns_yaml.index("keys") :]) | {"udp_bytes"}, set(shared))
        for key, default in shared.items():
            self.assertEqual(everything.pop(f"dns.{key}"), default, key)
        self.assertEqual(keys_in(document, "edge.yaml"), everything)

    def test_believed(self) -> None:
        """What `default` stands for in the list of what is stripped, and each field that can be set."""
        text = " ".join(_DOCUMENT.read_text().split())
        self.assertIn(", ".join(f"`{pattern}`" for pattern in BELIEVED), text)
        (row,) = (
            line for line in _DOCUMENT.read_text().splitlines() if line[:20].strip("| `").startswith("forwarding.set")
        )
        for name in FACTS:
            self.assertIn(f"`{name}`", row)

    def test_agent(self) -> None:
        """agent.yaml."""
        self.check("agent.yaml", agent._File)

    def test_dns(self) -> None:
        """dns.yaml."""
        self.check("dns.yaml", DnsFile)

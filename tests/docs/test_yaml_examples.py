"""Tests that YAML in documents can be read, and sets what there is to set."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from tests.roles.tree import ROLES, fleet, options, read
from warp_dns.program.configuration import parse_configuration
from warp_twisted.agent.settings import parse_settings
from warp_twisted.configuration import convert
from warp_twisted.edge.settings import Dns

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(path: Path) -> Iterator[str]:
    """Yield the YAML blocks of a document."""
    yield from _BLOCK.findall(path.read_text())


class YamlExamplesTests(SynchronousTestCase):
    """Blocks named `yaml`."""

    def test_they_can_be_read(self) -> None:
        """Each block of each document is YAML, and more than a word."""
        documents = [*ROOT.glob("docs/*.md"), *ROOT.glob("roles/*/README.md"), *ROOT.glob("*.md")]
        found = [(path, yaml.safe_load(text)) for path in documents for text in blocks(path)]
        self.assertGreater(len(found), 10)
        for path, value in found:
            self.assertIsInstance(value, dict | list, path)

    def test_variables_exist(self) -> None:
        """Each variable that docs/deploy.md sets is one of a role, or of the inventory that it begins with."""
        known = {name for role in ROLES for name in options(role)} | set(fleet())
        known |= set(read(ROOT / "inventory.example" / "group_vars" / "all.yml"))
        values: list[Any] = [yaml.safe_load(text) for text in blocks(ROOT / "docs" / "deploy.md")]
        named = {name for value in values for name in value if name.startswith("warp_")}
        self.assertGreater(len(named), 3)
        self.assertEqual(sorted(named - known), [])

    def test_policy_of_an_agent(self) -> None:
        """The agent.yaml of docs/configuration.md is taken as it stands, and both policies are for its hostname."""
        _, _, text, _ = blocks(ROOT / "docs" / "configuration.md")
        settings = parse_settings(text)
        self.assertEqual([list(each) for _, each, _ in settings.ingress.policies], [["intern.warp.example"]] * 2)
        self.assertEqual(
            [each for _, _, policy in settings.ingress.policies for each in policy.words()],
            ["only from 198.51.100.0/24, 2001:db8::/32", "users of /etc/warp/users.argon2", "50/s for each visitor"],
        )

    def test_probes_of_an_agent(self) -> None:
        """The agent.yaml that probes its origins is taken as it stands."""
        _, text, _, _ = blocks(ROOT / "docs" / "configuration.md")
        settings = parse_settings(text)
        healths = [rule.health for rule in settings.ingress.rules]
        self.assertEqual([each and (each.path, each.tcp) for each in healths[::2]], [("/healthz", None), (None, True)])
        assert healths[1] is not None
        self.assertEqual((healths[1].timeout_seconds, healths[1].body, max(healths[1].statuses)), (1, b'"ok"', 299))

    def test_dns_configuration(self) -> None:
        """The dns.yaml of docs/configuration.md is taken as it stands, and so is what it shows of edge.yaml."""
        in_edge, _, _, text = blocks(ROOT / "docs" / "configuration.md")
        made = parse_configuration(text, "dns.yaml")
        self.assertEqual((made.zones[0].name, len(made.listen)), ("warp.example", 2))
        dns = convert(yaml.safe_load(in_edge)["dns"], Dns, "edge.yaml")
        self.assertEqual((dns.notify[0].key, dns.keys[0].name), ("transfer", "transfer"))

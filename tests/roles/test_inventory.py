"""Tests that inventory.example explains what an operator may set, and nothing that does not exist."""

import re

import yaml
from twisted.trial.unittest import SynchronousTestCase

from tests.roles.rendering import EXAMPLE, uncommented
from tests.roles.tree import ROLES, ROOT, fleet, load, options

_RUN = "how patient a run is, which is enough for slow machines"
# Variables that the example keeps silent about, each with the reason.
UNTOLD = {
    "warp_agent_admin_socket": "the role warp_edge puts it there",
    "warp_agent_start_seconds": _RUN,
    "warp_agent_token_seconds": _RUN,
    "warp_canary_admin_socket": "the role warp_edge puts it there",
    "warp_canary_hostname": "each run of canary.yml names it",
    "warp_ca_command": "follows the Python that runs Ansible",
    "warp_common_constraints": "other versions than these were not tested",
    "warp_common_try_bad": "said by -e, for one run",
    "warp_common_root": "nothing is gained by another place",
    "warp_edge_key_name": "only a name, and the same on both sides as it is",
    "warp_edge_ready_seconds": _RUN,
    "warp_edge_registry_replace": "said by -e, for one run",
    "warp_registry_command": "follows the Python that runs Ansible",
    "warp_registry_ready_seconds": _RUN,
    "warp_secondary_key_name": "as warp_edge_key_name",
    "warp_secondary_timeout": _RUN,
}


class ExampleTests(SynchronousTestCase):
    """The variables of inventory.example, those in comments included."""

    def setUp(self) -> None:
        self.shown: dict[str, object] = {}
        for path in sorted((EXAMPLE / "group_vars").glob("*.yml")):
            self.shown |= yaml.safe_load(uncommented(path.read_text()))
        self.options = {name: option for role in ROLES for name, option in options(role).items()}
        places = (ROOT / "playbooks/vars/fleet.yml", ROOT / "roles/warp_common/filter_plugins/warp_fleet.py")
        used = {word for path in places for word in re.findall(r"\bwarp_\w+", path.read_text())}
        self.of_the_fleet = set(load(ROOT / "roles/warp_common/filter_plugins/warp_variables.py").OF_THE_FLEET)
        self.assertEqual(self.of_the_fleet - used, set())

    def test_each_exists(self) -> None:
        """Whatever is shown is a variable of a role that the playbooks leave to the operator, or one of the fleet."""
        free = self.options.keys() - fleet().keys()
        self.assertEqual(self.shown.keys() - free - self.of_the_fleet, set())

    def test_each_is_explained(self) -> None:
        """What an operator may set is shown, but for a few with a reason."""
        left = (self.options.keys() - fleet().keys()) | self.of_the_fleet
        self.assertEqual(left - self.shown.keys(), set(UNTOLD))

    def test_values_are_defaults(self) -> None:
        """A number, true or false is shown as it is by default."""
        plain = {name: value for name, value in self.shown.items() if isinstance(value, int) and name in self.options}
        self.assertEqual(plain, {name: self.options[name]["default"] for name in plain})

    def test_one_host(self) -> None:
        """The inventory of one host sets nothing that the other does not explain."""
        own = yaml.safe_load((EXAMPLE / "one-host/group_vars/all.yml").read_text())
        self.assertEqual(own.keys() - self.shown.keys(), set())

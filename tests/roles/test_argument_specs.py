"""Tests that each role's argument specs tell the truth: its defaults, its entry points, and what it reads."""

import re

from twisted.trial.unittest import SynchronousTestCase

from tests.roles.tree import MODULES, PLAYBOOKS, ROLES, ROOT, defaults, described, fleet, options, specs, words

# Entry points that playbooks name: `tasks_from` of the role that was named just before.
_TASKS_FROM = re.compile(r"name: (?P<role>warp_\w+)\n +tasks_from: (?P<entry>\w+)")


class ArgumentSpecTests(SynchronousTestCase):
    """Every role."""

    maxDiff = None

    def test_defaults(self) -> None:
        """A role's defaults are those of its spec, each of them and no others."""
        for role in ROLES:
            told = {name: option["default"] for name, option in options(role).items() if "default" in option}
            self.assertEqual(defaults(role), told, role)

    def test_what_has_no_default(self) -> None:
        """A variable without a default is required, and the playbooks set it."""
        for role in ROLES:
            for name, option in options(role).items():
                if "default" not in option:
                    self.assertTrue(option.get("required"), name)
                    self.assertIn(name, fleet())

    def test_what_playbooks_set(self) -> None:
        """What the playbooks set for a role is a variable of it."""
        known = {name for role in ROLES for name in options(role)}
        self.assertEqual([name for name in fleet() if not name.startswith("warp_fleet_") and name not in known], [])

    def test_names(self) -> None:
        """A variable carries its role's name, and the role reads it; it reads no other role's."""
        ours = tuple(f"{role}_" for role in ROLES)
        for role in ROLES:
            self.assertEqual([name for name in options(role) if not name.startswith(f"{role}_")], [])
            self.assertEqual(set(options(role)) - words(role), set(), role)
            foreign = {word for word in words(role) if word.startswith(ours) and not word.startswith(f"{role}_")}
            self.assertEqual(foreign - set(MODULES), set(), role)

    def test_descriptions(self) -> None:
        """Each variable, and each item of one, has a type and a sentence."""
        for role in ROLES:
            for name, option in described(options(role)):
                self.assertIn("type", option, name)
                self.assertRegex(option["description"], r"\.$", name)
            for entry, spec in specs(role).items():
                self.assertTrue(spec["short_description"] and spec["description"], f"{role} {entry}")

    def test_entry_points(self) -> None:
        """What a playbook enters a role by, main or tasks of another name, has a spec and is there."""
        used = {(role, "main") for role in ROLES}
        for playbook in PLAYBOOKS:
            used |= {(match["role"], match["entry"]) for match in _TASKS_FROM.finditer(playbook.read_text())}
        self.assertEqual({(role, entry) for role in ROLES for entry in specs(role)}, used)
        missing = [pair for pair in used if not (ROOT / "roles" / pair[0] / f"tasks/{pair[1]}.yml").is_file()]
        self.assertEqual(missing, [])

"""Tests that each role's README tells its variables, tags and files as they are."""

import re

import yaml
from twisted.trial.unittest import SynchronousTestCase

from tests.roles.readme import path, updated
from tests.roles.tree import ROLES, ROOT, options, tags

# Where modules write: `warp_files` has a list of files.
_WRITTEN = re.compile(r"^ +(?:dest: |- path: |- \{path: )\"?(/[^\n,]*?)\"?(?:,|$)", re.MULTILINE)


class ReadmeTests(SynchronousTestCase):
    """Every role."""

    maxDiff = None

    def section(self, role: str, heading: str) -> str:
        """Return what a role's README has under a heading."""
        return path(role).read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]

    def test_variables(self) -> None:
        """The table is that of the spec."""
        for role in ROLES:
            text = path(role).read_text()
            self.assertEqual(text, updated(text, role), "python -m tests.roles.readme writes it anew")

    def test_tags(self) -> None:
        """The tags named are those of the role's tasks."""
        for role in ROLES:
            named = re.findall(r"^- `(\w+)`: ", self.section(role, "Tags"), re.MULTILINE)
            self.assertEqual((set(named), len(named)), (tags(role), len(tags(role))), role)

    def test_no_handlers(self) -> None:
        """A role acts by what is on the host; what a handler was told would be lost with a run that is cut short."""
        for role in ROLES:
            self.assertEqual(list((ROOT / "roles" / role).glob("handlers/*.yml")), [], role)
            self.assertTrue(self.section(role, "Handlers").strip().startswith("None"), role)
            for tasks in (ROOT / "roles" / role / "tasks").glob("*.yml"):
                self.assertNotRegex(tasks.read_text(), r"(?m)^\s+notify:|flush_handlers", str(tasks))

    def test_example(self) -> None:
        """The example is a play with this role, and sets variables that it has, the required ones among them."""
        for role in ROLES:
            block = self.section(role, "Example").split("```yaml\n", 1)[1].split("```", 1)[0]
            (play,) = yaml.safe_load(block)
            self.assertEqual([each["role"] for each in play["roles"]][-1], role)
            given = {name for each in play["roles"] for name in each.get("vars", {}) if name.startswith(f"{role}_")}
            required = {name for name, option in options(role).items() if option.get("required")}
            self.assertEqual((given - options(role).keys(), required - given), (set(), set()), role)

    def test_files(self) -> None:
        """Each file that the role writes is named, with `NAME` for what varies; releases are one."""
        for role in ROLES:
            told = self.section(role, "On the host")
            for tasks in (ROOT / "roles" / role / "tasks").glob("*.yml"):
                for match in _WRITTEN.finditer(tasks.read_text()):
                    place = re.sub(r"\{\{.*?\}\}", "NAME", match[1])
                    self.assertIn(f"`{place}`", told, f"{role}/{tasks.name}")

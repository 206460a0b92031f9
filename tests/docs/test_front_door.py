"""Tests of what a newcomer and their tools read first: workflow, hooks, templates, and the targets they name."""

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
HOOKS = ROOT / ".pre-commit-config.yaml"
# Where a reader is told to run make.
_TEXTS = ("*.md", "docs/*.md", "dns/*.md", "benchmarks/*.md", ".github/**/*.md", ".github/**/*.yml", ".ci/*")
_MAKE = re.compile(r"(?:`|^(?:step )?|[$&;] )make ((?:[a-z][a-z-]*(?: \| )?)+)", re.MULTILINE)


def read(path: Path) -> Any:
    """Return a YAML file's content."""
    return yaml.safe_load(path.read_text())


def targets() -> set[str]:
    """Return what the Makefile can make by name."""
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


class FrontDoorTests(SynchronousTestCase):
    """The files themselves."""

    def test_yaml(self) -> None:
        """Each YAML file beside the code can be read, and says something."""
        files = [HOOKS, ROOT / ".yamllint", ROOT / ".ansible-lint", *sorted((ROOT / ".github").rglob("*.yml"))]
        self.assertGreaterEqual(len(files), 6)
        for path in files:
            self.assertIsInstance(read(path), dict, path)

    def test_make_targets(self) -> None:
        """Each `make target` that a document, a template or CI names exists."""
        known = targets()
        self.assertIn("check", known)
        named = {
            (str(path.relative_to(ROOT)), target)
            for pattern in _TEXTS
            for path in ROOT.glob(pattern)
            if path.is_file()
            for found in _MAKE.findall(path.read_text())
            for target in found.split(" | ")
        }
        self.assertIn(("CONTRIBUTING.md", "check"), named)
        self.assertEqual(sorted((path, target) for path, target in named if target not in known), [])

    def test_workflow_runs_what_is_promised(self) -> None:
        """The workflow runs .ci/run on each Python that has constraints; the lowest is what pyproject.toml promises."""
        job = read(WORKFLOW)["jobs"]["ci"]
        steps = [step["run"] for step in job["steps"] if "run" in step]
        self.assertIn(".ci/run", steps)
        self.assertTrue((ROOT / ".ci" / "run").stat().st_mode & 0o111)
        versions = job["strategy"]["matrix"]["python"]
        promised = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
        self.assertEqual(promised, f">={versions[0]}")
        pinned = [path.stem.removeprefix("python") for path in (ROOT / "constraints").glob("python3.*.txt")]
        self.assertEqual(versions, sorted(pinned))

    def test_hooks_are_local(self) -> None:
        """Each hook runs a tool that `make check` installs; nothing is fetched."""
        hooks = [hook for repository in read(HOOKS)["repos"] for hook in repository["hooks"]]
        self.assertEqual({repository["repo"] for repository in read(HOOKS)["repos"]}, {"local"})
        installed = (ROOT / "pyproject.toml").read_text()
        for hook in hooks:
            self.assertEqual(hook["language"], "system")
            tools = re.findall(r"(?<!=)\.venv/bin/([a-z-]+)", hook["entry"])
            self.assertEqual(len(tools), 1, hook)
            self.assertIn(f'"{tools[0]}>=', installed)

    def test_files_named_by_the_makefile(self) -> None:
        """The directories and scripts that `make check` and `make test` name exist."""
        makefile = (ROOT / "Makefile").read_text()
        code = re.search(r"^CODE := (.*)$", makefile, re.MULTILINE)
        assert code is not None
        named = [*code[1].split(), *re.findall(r"tests/[a-z/-]+(?:\.(?:py|txt))?(?![a-z_*])", makefile)]
        self.assertEqual([name for name in named if not (ROOT / name).exists()], [])

    def test_templates_ask_for_something(self) -> None:
        """Each form has a name, a description and a field that must be filled in."""
        forms = [path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"]
        self.assertEqual(sorted(path.name for path in forms), ["bug.yml", "feature.yml"])
        for path in forms:
            form = read(path)
            self.assertTrue(form["name"] and form["description"])
            self.assertTrue(any(field.get("validations", {}).get("required") for field in form["body"]), path)

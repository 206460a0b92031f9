"""Tests that hold every test and docstring to the house style; the checks are in tests.style."""

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.rooms import ROOT, sources
from tests.style import (
    homes_of_tests,
    mute_tests,
    names_in,
    pauses,
    silent_tests,
    unawaited_tests,
    unknown_references,
)

# Modules without a file of tests of their own, each with the reason. `__init__`, `__main__` and `errors` need none.
UNTESTED = {
    "warp_dns.message.codes": "numbers from IANA's tables",
    "warp_twisted.keeper.actions": "plain values; tests.keeper.test_handover says which follow when",
    "warp_twisted.registry.store": "an interface; tests/registry/contract.py is run on each store that has it",
    "warp_twisted.registry.memory_backed": "the face of two stores; each of them is held to tests/registry/contract.py",
    "warp_twisted.registry.etcd.interface": "protocols only; mypy holds those who implement them to it",
    "warp_twisted.http1.limits": "default numbers; tests.http1 reaches each limit where it is obeyed",
    "warp_twisted.edge.visitors.interfaces": "protocols only; mypy holds those who implement them to it",
    "warp_twisted.edge.exchange.interfaces": "the same",
    "warp_twisted.edge.peers.peer": "plain values; tests.system.edge.peers.test_links says which when",
    "warp_twisted.policy.interfaces": "protocols and plain values; mypy holds those who implement them to it",
    "warp_twisted.policy.verdict": "plain values; tests.policy.judging says which verdict when",
}
# Short pauses on the real clock that no event can take the place of: file → how many, and why.
PAUSES: dict[str, tuple[int, str]] = {
    "tests/system/members/test_resolvers.py": (1, "resolvers are asked twenty times a second, as visitors would"),
    "tests/base/test_slices.py": (1, "a timer that must fire in the middle of a job"),
    "tests/case.py": (2, "`until` and `until_said`, where everything else that nobody tells is awaited"),
    "tests/fleet/boot.py": (1, "asks the kernel again whether a group of processes is gone"),
    "tests/fleet/application.py": (1, "an answer that comes in pieces, for as long as it was asked for"),
    "tests/fleet/deployment.py": (1, "`wait`, the `until` of tests on hosts"),
    "tests/fleet/faults/running.py": (1, "what is broken stays so for as long as the row says"),
    "tests/fleet/fleet_reboot.py": (1, "a machine without power, before it has some again"),
    "tests/fleet/hosts.py": (2, "boot and shutdown of hosts, whose systemd tells nobody here"),
    "tests/fleet/place.py": (1, "the kernel's cgroups, which tell nobody when they are empty"),
    "tests/system/agent/test_nearest_edges.py": (1, "visitors who keep asking while tunnels come and go"),
    "tests/system/dns/test_secondaries.py": (2, "changes at the pace of a fleet"),
    "tests/system/dns/test_tcp.py": (1, "a client that sends an octet before the time-out"),
}
# Packages that docstrings may name modules of.
PACKAGES = ("warp_twisted", "dns/warp_dns", "dns/warp_base", "tests", "benchmarks")


@dataclass(frozen=True, slots=True)
class Survey:
    """What all files of tests are found to have; file and name, or file and line."""

    silent: Sequence[tuple[Path, str]]
    unawaited: Sequence[tuple[Path, str]]
    mute: Sequence[str]
    pauses: Mapping[str, int]


def files_of_tests() -> list[Path]:
    """Return each file of tests."""
    return sorted((ROOT / "tests").rglob("*.py"))


@cache
def survey() -> Survey:
    """Read all tests once; what is kept is small, as later tests measure this process's pauses."""
    trees = {path.relative_to(ROOT): ast.parse(path.read_text()) for path in files_of_tests()}
    return Survey(
        list(silent_tests(trees)),
        list(unawaited_tests(trees)),
        [f"{path}:{node.lineno}: {node.name}" for path, tree in trees.items() for node in mute_tests(tree)],
        Counter(str(path) for path, tree in trees.items() for _ in pauses(tree)),
    )


class TreeTests(SynchronousTestCase):
    """The tests and docstrings that there are."""

    def test_each_module_has_its_file_of_tests(self) -> None:
        """`warp_twisted/wire/windows.py` is tested by `tests/wire/test_windows.py`, or under `tests/system/wire`."""
        modules = [
            name
            for name, is_package, _ in sources()
            if not is_package and name.split(".")[-1] not in ("__main__", "errors")
        ]
        homeless = [name for name in modules if not any((ROOT / home).exists() for home in homes_of_tests(name))]
        self.assertEqual(sorted(set(homeless) - UNTESTED.keys()), [])
        self.assertEqual(sorted(UNTESTED.keys() - set(homeless)), [], "has tests now; take it out of UNTESTED")

    def test_each_test_asserts(self) -> None:
        """A test that only calls the code passes whatever it does."""
        self.assertEqual([f"{path}: {name}" for path, name in survey().silent], [])

    def test_no_test_sleeps(self) -> None:
        """Tests await events; a pause is either too short on a loaded machine or too long on every other."""
        self.assertEqual(survey().pauses, {path: count for path, (count, _) in PAUSES.items()})

    def test_no_coroutine_on_a_synchronous_case(self) -> None:
        """`async def test_` on a SynchronousTestCase is never awaited and passes; it is refused."""
        self.assertEqual([f"{path}: {name}" for path, name in survey().unawaited], [])

    def test_each_test_says_what_it_shows(self) -> None:
        """Each test has a docstring, and each directory of tests is a package."""
        self.assertEqual(survey().mute, [])
        folders = {path.parent for path in files_of_tests()}
        self.assertEqual([folder for folder in sorted(folders) if not (folder / "__init__.py").exists()], [])

    def test_each_module_that_is_named_exists(self) -> None:
        """What docstrings and comments call by a dotted name in backticks is there."""
        files: dict[str, Path] = {}
        for package in PACKAGES:
            top = ROOT / package
            for path in sorted(top.rglob("*.py")):
                parts = path.relative_to(top.parent).with_suffix("").parts
                if "_dropins" not in parts:
                    files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        contents = {name: names_in(ast.parse(path.read_text())) for name, path in files.items()}
        found = [
            f"{path.relative_to(ROOT)}: {text}"
            for name, path in files.items()
            for _, text in unknown_references(name, path.stem == "__init__", path.read_text(), contents)
            if path != Path(__file__)  # has samples of what is wrong
        ]
        self.assertEqual(found, [])


class SilentTests(SynchronousTestCase):
    """The search for tests that assert nothing."""

    def found(self, **files: str) -> list[str]:
        """Return the tests that are found in sources."""
        trees = {Path(f"{name}.py"): ast.parse(source) for name, source in files.items()}
        return [name for _, name in silent_tests(trees)]

    def test_nothing_is_asserted(self) -> None:
        """A test that calls the code and a helper which asserts nothing is found."""
        source = "class T:\n  def test_x(self): self.run_it()\n  def run_it(self): print()"
        self.assertEqual(self.found(a=source), ["T.test_x"])

    def test_what_asserts(self) -> None:
        """Assertions count, also in a helper, an inherited one, and one of another file."""
        for body in ("self.assertEqual(1, 1)", "assert x", "fail('no')", "box.check_state()", "self.up()", "given(h)"):
            source = f"class T(Base):\n  def test_x(self): {body}"
            base = "class Base:\n  def up(self): self.down()\n  def down(self): self.assertTrue(1)\ndef h(): assert 1"
            self.assertEqual(self.found(a=source, b=base), [], body)

    def test_other_objects_methods(self) -> None:
        """That some class's method of that name asserts says nothing about another object's."""
        base = "class Base:\n  def up(self): self.assertTrue(1)"
        self.assertEqual(self.found(a="class T:\n  def test_x(self): app.up()", b=base), ["T.test_x"])


class UnawaitedTests(SynchronousTestCase):
    """The search for coroutines that trial would never await."""

    def test_found_through_a_subclass(self) -> None:
        """A class that inherits from a synchronous case by way of another file counts too."""
        trees = {
            Path("a.py"): ast.parse("class Case(SynchronousTestCase): pass"),
            Path("b.py"): ast.parse("class ThingTests(a.Case):\n    async def test_x(self): pass"),
            Path("c.py"): ast.parse("class FineTests(TestCase):\n    async def test_y(self): pass"),
            Path("d.py"): ast.parse("class FineTests(SynchronousTestCase):\n    def test_z(self): pass"),
        }
        self.assertEqual(list(unawaited_tests(trees)), [(Path("b.py"), "ThingTests.test_x")])


class MuteTests(SynchronousTestCase):
    """The search for tests without a docstring."""

    def test_found(self) -> None:
        """A test without one is found, wherever it stands; helpers and functions of no class are not."""
        source = "class T:\n  def test_x(self): 1\n  def test_y(self): 'says it'\n  def up(self): 1\ndef test_z(): 1"
        self.assertEqual([node.name for node in mute_tests(ast.parse(source))], ["test_x"])


class PausesTests(SynchronousTestCase):
    """The search for pauses."""

    def test_found(self) -> None:
        """Each kind of pause is found, also by a name; turns of the reactor, fake clocks and time-outs are not."""
        source = (
            "PAUSE = 0.1\n"
            "time.sleep(0.5)\n"
            "await deferLater(reactor, PAUSE)\n"
            "reactor.callLater(0.01, f)\n"
            "await deferLater(reactor, 0)\n"
            "clock.callLater(0.1, f)\n"
            "await deferLater(clock, 0.1)\n"
            "reactor.callLater(30, f)\n"
        )
        self.assertEqual(sorted(pauses(ast.parse(source))), [2, 3, 4])


class HomesTests(SynchronousTestCase):
    """Where the tests of a module may be."""

    def test_homes(self) -> None:
        """The folders are those of the code, without the name of the package for warp_twisted."""
        self.assertEqual(homes_of_tests("warp_twisted.names"), ["tests/test_names.py", "tests/system/test_names.py"])
        self.assertEqual(
            homes_of_tests("warp_twisted.edge.routes.table"),
            [
                "tests/edge/routes/test_table.py",
                "tests/system/edge/routes/test_table.py",
                "tests/system/edge/test_table.py",
            ],
        )
        self.assertIn("tests/dns/zone/test_zone.py", homes_of_tests("warp_dns.zone.zone"))


class ReferencesTests(SynchronousTestCase):
    """The search for references that lead nowhere."""

    contents = {"warp_twisted.edge": (), "warp_twisted.edge.routes": (), "warp_twisted.edge.routes.table": ("Table",)}

    def found(self, text: str, code: str = "") -> list[str]:
        """Return what is found in a docstring."""
        source = f'"""{text}"""\n{code}'
        return [name for _, name in unknown_references("warp_twisted.edge.x", False, source, self.contents)]

    def test_what_is_there(self) -> None:
        """Modules and names in them are known from every package above, and from the top."""
        for text in (
            "`edge.routes.table`",
            "`warp_twisted.edge.routes.table.Table`",
            "`warp_twisted.edge.routes`",
            "`edge.routes`",
        ):
            self.assertEqual(self.found(text), [], text)

    def test_what_is_gone(self) -> None:
        """A module that was moved, and a name that it does not have, are found."""
        for name in ("edge.routing", "edge.routes.table.Pool", "warp_twisted.edge.presence"):
            self.assertEqual(self.found(f"See `{name}`."), [name])

    def test_what_is_no_reference(self) -> None:
        """Files, other words, and attributes that the module uses are left alone."""
        self.assertEqual(self.found("`edge.yaml` `listen.http` `dns.yaml`"), [])
        self.assertEqual(self.found("`table.limits`", "table.limits = 1"), [])

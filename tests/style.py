"""
What tests and docstrings must be like: each test asserts something and awaits events instead of sleeping, each module
has its file of tests, and a module that a docstring names exists.

Pure: trees of source in, names and lines out. `tests.test_style` applies it to the tree and to samples of offences.
"""

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

MAX_SLEEP_SECONDS = 1.0  # what is longer is a time-out rather than a pause

Function = ast.FunctionDef | ast.AsyncFunctionDef

# What makes a test fail, by the name of what is called: unittest's and trial's, and helpers that are named after them.
_ASSERTING = re.compile(
    r"_?(?:assert|fail$|fail[A-Z]|check_|expect_|flushLoggedErrors$|successResultOf$|failureResultOf$|verifyObject$)"
)


def silent_tests(trees: Mapping[Path, ast.Module]) -> Iterator[tuple[Path, str]]:
    """
    Yield file and name of each test that can fail by an exception only, as nothing that it calls asserts.

    A helper counts if it asserts itself or calls one that does: a function of any file of tests, by its name, and a
    method of `self` by the name in its class and the classes above. Other objects' methods count by their name only.
    """
    functions = [_said(node) for tree in trees.values() for node in tree.body if isinstance(node, Function)]
    classes = [
        (path, node, [_said(each) for each in node.body if isinstance(each, Function)])
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    ]
    helpers: set[str] = set()
    methods: dict[str, set[str]] = {}
    before = -1
    while before != (before := len(helpers) + sum(map(len, methods.values()))):
        helpers |= {each.name for each in functions if each.asserts(helpers, set())}
        for _, node, said in classes:
            own = methods.setdefault(node.name, set())
            own |= inherited(node, methods)
            own |= {each.name for each in said if each.asserts(helpers, own)}
    for path, node, said in classes:
        for each in said:
            if each.name.startswith("test_") and not each.asserts(helpers, methods[node.name]):
                yield path, f"{node.name}.{each.name}"


@dataclass(frozen=True, slots=True)
class _Said:
    """
    What a function mentions.

    :ivar is_asserting: whether it asserts by itself.
    :ivar names: plain ones.
    :ivar own: attributes of `self`.
    """

    name: str
    is_asserting: bool
    names: frozenset[str]
    own: frozenset[str]

    def asserts(self, helpers: Collection[str], methods: Collection[str]) -> bool:
        """Whether it, or what it mentions, asserts."""
        return self.is_asserting or not self.names.isdisjoint(helpers) or not self.own.isdisjoint(methods)


def _said(function: ast.FunctionDef | ast.AsyncFunctionDef) -> _Said:
    is_asserting = False
    names, own = set(), set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            is_asserting = True
        elif isinstance(node, ast.Name):
            names.add(node.id)
            is_asserting = is_asserting or bool(_ASSERTING.match(node.id))
        elif isinstance(node, ast.Attribute):
            is_asserting = is_asserting or bool(_ASSERTING.match(node.attr))
            if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                own.add(node.attr)
    return _Said(function.name, is_asserting, frozenset(names), frozenset(own))


def inherited(node: ast.ClassDef, methods: Mapping[str, set[str]]) -> set[str]:
    """Return what the classes that a class names as its bases have."""
    names = [ast.unparse(base).split(".")[-1] for base in node.bases]
    return {method for name in names for method in methods.get(name, ())}


def unawaited_tests(trees: Mapping[Path, ast.Module]) -> Iterator[tuple[Path, str]]:
    """Yield file and name of each `async def test_` in a class that descends from SynchronousTestCase."""
    classes = {
        (path, node.name): (node, [ast.unparse(base).split(".")[-1] for base in node.bases])
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }

    def is_synchronous(key: tuple[Path, str]) -> bool:
        for base in classes[key][1]:
            # A name means the class of the same file, and if there is none, any of that name.
            owners = {(key[0], base)} & classes.keys() or {other for other in classes if other[1] == base}
            if base == "SynchronousTestCase" or any(is_synchronous(other) for other in owners - {key}):
                return True
        return False

    for (path, name), (node, _) in classes.items():
        if is_synchronous((path, name)):
            for item in node.body:
                if isinstance(item, ast.AsyncFunctionDef) and item.name.startswith("test_"):
                    yield path, f"{name}.{item.name}"


def mute_tests(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield each test without a docstring."""
    for node in ast.walk(tree):
        if (
            isinstance(node, Function)
            and node.name.startswith("test_")
            and node.args.args[:1]
            and not ast.get_docstring(node)
        ):
            yield node


def pauses(tree: ast.Module) -> Iterator[int]:
    """
    Yield the line of each short pause on the real clock: `sleep(0.1)`, `deferLater(reactor, 0.1)` and the like.

    A delay of 0 is a turn of the reactor rather than a pause. A name is looked up among the file's own numbers.
    """
    numbers = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        call = ast.unparse(node.func)
        delay: ast.expr | None = None
        if call in ("time.sleep", "sleep", "reactor.callLater"):
            delay = node.args[0]
        elif call == "deferLater" and ast.unparse(node.args[0]) == "reactor" and len(node.args) > 1:
            delay = node.args[1]
        seconds: object = None
        if isinstance(delay, ast.Constant):
            seconds = delay.value
        elif isinstance(delay, ast.Name):
            seconds = numbers.get(delay.id)
        if isinstance(seconds, int | float) and 0 < seconds < MAX_SLEEP_SECONDS:
            yield node.lineno


def homes_of_tests(module: str) -> list[str]:
    """
    Return where the tests of a module may be: beside those of its room, or among those that open sockets.

    `warp_twisted.edge.routes.table` → `tests/edge/routes/test_table.py`, `tests/system/edge/test_table.py`, and the
    same with the wing; `warp_dns` and `warp_base` are the rooms `dns` and `base`.
    """
    top, *inner = module.split(".")
    rooms = {"warp_dns": ["dns"], "warp_base": ["base"]}.get(top, [])
    *folders, name = [*rooms, *inner]
    names = {"/".join(["tests", *folders, f"test_{name}.py"]): None}
    names["/".join(["tests", "system", *folders, f"test_{name}.py"])] = None
    names["/".join(["tests", "system", *folders[:1], f"test_{name}.py"])] = None
    return list(names)


# `edge.visitors.crowd`, `wire.errors.StreamReset`: what a docstring or a comment calls a module, or a thing in one.
_REFERENCE = re.compile(r"`([a-z_][a-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)+)(?:\(\))?`")
_FILE = re.compile(r"\.(?:conf|crt|json|key|log|md|pem|py|sock|sql|toml|txt|yaml|yml|zone)$")


def unknown_references(
    module: str, is_package: bool, source: str, contents: Mapping[str, Collection[str]]
) -> Iterator[tuple[int, str]]:
    """
    Yield line and text of each reference in backticks that begins like a module of ours and leads nowhere.

    It may be written from any package above the module, or from the top of a package of ours. What the module itself
    has as an argument or attribute is taken for that: the edge of a `link`, not the package.

    :param contents: the name of each module → the names that it defines or imports.
    """
    parents = module.split(".") if is_package else module.split(".")[:-1]
    bases = [parents[:count] for count in range(len(parents), -1, -1)]
    bases += [[top] for top in dict.fromkeys(name.split(".")[0] for name in contents)]
    components = {part for name in contents for part in name.split(".")}
    own: set[str] | None = None
    for number, line in enumerate(source.splitlines(), 1):
        for text in _REFERENCE.findall(line):
            parts = text.split(".")
            if parts[0] not in components or _FILE.search(text) or any(part.isupper() for part in parts[1:-1]):
                continue  # no word of ours, a file, or a setting such as `zones.NAME.ttl`
            if any(_leads_somewhere([*base, *parts], contents) for base in bases):
                continue
            if own is None:
                own = _attributes(ast.parse(source))
            if parts[-1] not in own and not (parts[0] in own and text.islower()):
                yield number, text


def _leads_somewhere(parts: list[str], contents: Mapping[str, Collection[str]]) -> bool:
    for count in range(len(parts), 0, -1):
        found = contents.get(".".join(parts[:count]))
        if found is not None:
            return count == len(parts) or parts[count] in found
    return False


def _attributes(tree: ast.Module) -> set[str]:
    """Return the names of attributes, fields and keyword arguments that a module uses."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.arg | ast.keyword) and node.arg:
            found.add(node.arg)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def names_in(tree: ast.Module) -> set[str]:
    """Return the names that a module defines or imports at its top."""
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
    return found

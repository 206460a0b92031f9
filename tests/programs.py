"""
Which programs code starts: read from the source, so that a list of packages can be held against it.

Pure: source text in, names out. A call of a starter (`subprocess.run`, `shutil.which`, `spawnProcess` …) says its
program by a text, by a name that a text was given to, or by a parameter: then each caller in reach says it. Where the
source does not tell, the call is reported, and a table in `tests.test_programs` answers it. Shell scripts are not read.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

# Function → position of the argument that is, or begins with, the program.
STARTERS = {
    "subprocess.run": 0, "subprocess.Popen": 0, "subprocess.call": 0, "subprocess.check_call": 0,
    "subprocess.check_output": 0, "shutil.which": 0, "os.execv": 0, "os.execvp": 0, "os.execve": 0,
    "twisted.internet.utils.getProcessOutput": 0, "twisted.internet.utils.getProcessOutputAndValue": 0,
    "twisted.internet.utils.getProcessValue": 0, "twisted.internet.reactor.spawnProcess": 1,
}  # fmt: skip
_OWN_PYTHON = "sys.executable"
_SAME_AS_ITS_ARGUMENT = {"str", "Path", "list", "pathlib.Path", "shlex.split"}


@dataclass
class Found:
    """
    What one module starts.

    :ivar programs: name → functions that start it; a module's own name stands for its top level.
    :ivar unknown: functions with a call whose program the source does not tell.
    :ivar forwards: own functions that start what they are given → position of that parameter.
    :ivar calls: function → functions that it names.
    """

    programs: dict[str, set[str]] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    forwards: dict[str, int] = field(default_factory=dict)
    calls: dict[str, set[str]] = field(default_factory=dict)


_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class _Value:
    """
    What a name was given.

    :ivar is_one_of: whether the name is each of its elements in turn.
    :ivar function: where.
    """

    node: ast.expr
    is_one_of: bool = False
    function: _Function | None = None


class _Reader:
    """One module, with what is known of functions that start what they are given."""

    def __init__(self, module: str, tree: ast.Module, readers: "Mapping[str, _Reader]") -> None:
        self.found = Found()
        self._readers = readers
        self._module = module
        self._starters: Mapping[str, int] = {}
        self._imported = dict(_imports(tree))
        self._functions: dict[str, _Function] = {}
        self._around: dict[ast.AST, _Function] = {}
        nodes = list(ast.walk(tree))
        for function in (node for node in nodes if isinstance(node, _Function)):
            self._functions.setdefault(function.name, function)
            for node in ast.walk(function):
                self._around[node] = function  # the innermost comes last
        self._calls = [node for node in nodes if isinstance(node, ast.Call)]
        self._values: dict[str, list[_Value]] = {}
        for name, value in _assigned(nodes):
            value.function = self._around.get(value.node)
            self._values.setdefault(name, []).append(value)
        for node in nodes:
            if isinstance(node, ast.Name | ast.Attribute) and (name := _dotted(node)):
                inside = self._around.get(node)
                if inside is None or _parameter(inside, name) is None:
                    self.found.calls.setdefault(self._where(node), set()).add(self._full_name(node))

    def read(self, starters: Mapping[str, int]) -> Found:
        """Find what is started, by these starters."""
        self._starters = starters
        self.found = Found(calls=self.found.calls)
        for node in self._calls:
            if (at := self._position(node)) is not None:
                self._start(node, at)
        return self.found

    def _position(self, call: ast.Call) -> int | None:
        """Return which argument is the program, or None when this call starts none."""
        return self._starters.get(self._full_name(call.func))

    def _full_name(self, node: ast.expr) -> str:
        """Return the name that the starters have: through imports, and of this module's own functions and methods."""
        name = _dotted(node)
        owner, _, last = name.rpartition(".")
        if last == "spawnProcess":
            return "twisted.internet.reactor.spawnProcess"  # whatever the reactor is called here
        if owner == "self":
            return f"{self._module}.{last}"
        if not owner:
            return self._imported.get(name, f"{self._module}.{name}")
        return f"{self._imported.get(owner, owner)}.{last}"

    def _start(self, call: ast.Call, at: int) -> None:
        function = self._around.get(call)
        argument = call.args[at] if len(call.args) > at else None
        if argument is None:
            argument = next((each.value for each in call.keywords if each.arg in ("args", "executable")), None)
        programs = [None] if argument is None else list(self._programs(argument, function, frozenset()))
        for program in programs:
            if program is None:
                self.found.unknown.add(self._where(call))
            elif program:
                self.found.programs.setdefault(program, set()).add(self._where(call))

    def _where(self, node: ast.AST) -> str:
        function = self._around.get(node)
        return f"{self._module}.{function.name}" if function else self._module

    def _programs(self, node: ast.expr, function: _Function | None, seen: frozenset[str]) -> Iterator[str | None]:
        """Yield each program an expression may be: its name, "" for our own Python or a parameter, None if unknown."""
        text = ast.unparse(node)
        if _OWN_PYTHON in text or (isinstance(node, ast.Call) and self._position(node) is not None):
            yield ""  # a call that starts or finds a program is read for itself
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value.rpartition("/")[2]
        elif isinstance(node, ast.List | ast.Tuple | ast.Set) and node.elts:
            yield from self._programs(node.elts[0], function, seen)
        elif isinstance(node, ast.Starred | ast.Subscript | ast.Await):
            yield from self._programs(node.value, function, seen)
        elif isinstance(node, ast.BinOp):
            yield from self._programs(node.left, function, seen)
        elif isinstance(node, ast.Call) and node.args and _dotted(node.func) in _SAME_AS_ITS_ARGUMENT:
            yield from self._programs(node.args[0], function, seen)
        elif isinstance(node, ast.ListComp):
            yield from self._programs(node.generators[0].iter, function, seen)
        elif isinstance(node, ast.Call) and (called := self._function(node.func)) and called[1].name not in seen:
            reader, called_function = called
            for each in ast.walk(called_function):
                if isinstance(each, ast.Return) and each.value is not None:
                    yield from reader._programs(each.value, called_function, seen | {called_function.name})
        elif isinstance(node, ast.Name | ast.Attribute) and text not in seen:
            yield from self._named(text, function, seen | {text})
        else:
            yield None

    def _function(self, node: ast.expr) -> "tuple[_Reader, _Function] | None":
        """Return one of our functions, and the module that has it."""
        module, _, name = self._full_name(node).rpartition(".")
        reader = self._readers.get(module)
        function = reader._functions.get(name) if reader else None
        return (reader, function) if reader and function else None

    def _named(self, name: str, function: _Function | None, seen: frozenset[str]) -> Iterator[str | None]:
        if function is not None and (at := _parameter(function, name)) is not None:
            self.found.forwards[f"{self._module}.{function.name}"] = at
            yield ""
            return
        everywhere = self._values.get(name, [])
        values = [each for each in everywhere if each.function is function] or everywhere
        module, _, imported = self._imported.get(name, "").rpartition(".")
        if not values and module in self._readers:
            yield from self._readers[module]._named(imported, None, seen)
            return
        if not values:
            yield None
        for value in values:
            for choice in self._elements(value.node) if value.is_one_of else [value.node]:
                yield from self._programs(choice, value.function, seen)

    def _elements(self, node: ast.expr) -> list[ast.expr]:
        """Return the elements of a display, of a name that one was given to, or of the left side of `a & b`."""
        if isinstance(node, ast.BinOp):
            return self._elements(node.left)
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return node.elts
        if isinstance(node, ast.Name):
            values = [each.node for each in self._values.get(node.id, []) if not each.is_one_of]
            return [each for value in values for each in self._elements(value)]
        return [node]


def _parameter(function: _Function, name: str) -> int | None:
    """Return the position of a parameter as callers count it, `self` left out; None if it is none."""
    arguments = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    if arguments[:1] in (["self"], ["cls"]):
        arguments = arguments[1:]
    if function.args.vararg is not None:
        arguments.append(function.args.vararg.arg)
    return arguments.index(name) if name in arguments else None


def _dotted(node: ast.expr) -> str:
    """Return `a.b.c` for such an expression, and nothing for any other."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = _dotted(node.value)
        return f"{owner}.{node.attr}" if owner else f"?.{node.attr}"
    return ""


def _assigned(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, _Value]]:
    """Yield each name that a value is given to, or that goes through the elements of one."""
    for node in nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield _dotted(target), _Value(node.value)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            yield _dotted(node.target), _Value(node.value)
        elif isinstance(node, ast.For | ast.comprehension):
            yield _dotted(node.target), _Value(node.iter, is_one_of=True)


def _imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the names that a module imports, with what they are."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((each.asname or each.name, each.name) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((each.asname or each.name, f"{node.module}.{each.name}") for each in node.names)


def started(sources: Mapping[str, str]) -> dict[str, Found]:
    """
    Return what each module starts.

    A function that starts what it is given is a starter for all that import it; so it is read until no more turn up.

    :param sources: module → text.
    """
    readers: dict[str, _Reader] = {}
    readers |= {module: _Reader(module, ast.parse(text), readers) for module, text in sources.items()}
    starters = dict(STARTERS)
    while True:
        found = {module: reader.read(starters) for module, reader in readers.items()}
        more = {name: at for each in found.values() for name, at in each.forwards.items()}
        if more.keys() <= starters.keys():
            return found
        starters |= more


def reached(found: Mapping[str, Found], modules: Iterable[str]) -> dict[str, str]:
    """
    Return the programs that modules start, themselves or through functions of others that they name.

    :returns: program → a function that starts it.
    """
    starters: dict[str, set[str]] = {}
    calls: dict[str, set[str]] = {}
    for each in found.values():
        calls |= each.calls
        for program, functions in each.programs.items():
            for function in functions:
                starters.setdefault(function, set()).add(program)
    waiting = [where for module in modules for where in (*found[module].calls, *_starting(found[module]))]
    seen = set(waiting)
    programs: dict[str, str] = {}
    while waiting:
        where = waiting.pop()
        programs |= dict.fromkeys(starters.get(where, ()), where)
        more = calls.get(where, set()) - seen
        seen |= more
        waiting += more
    return programs


def _starting(found: Found) -> Iterator[str]:
    for functions in found.programs.values():
        yield from functions

"""
Which module may know which: the layers as code, the check of each import, and the search for circles.

Pure: source text in, sentences out. `tests.test_layers` applies it to the tree and to samples of offences;
`tests.rooms` draws the table of docs/architecture.md.
"""

import ast
import sys
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase

# The first pattern that fits a module's name decides. A new room is one more line.
LAYER_OF = (
    ("*.tap", 4),
    ("*.__main__", 4),
    ("warp_twisted.cli*", 4),
    ("warp_twisted.demo*", 4),
    ("warp_twisted.service_options", 4),
    ("warp_twisted.testing", 4),
    ("warp_twisted", 0),
    ("warp_twisted.clock_difference", 0),
    ("warp_twisted.coverage", 0),
    ("warp_twisted.errors", 0),
    ("warp_twisted.names", 0),
    ("*.errors", 1),
    ("warp_twisted.configuration", 1),
    ("warp_twisted.durations", 0),
    ("warp_twisted.acme", 1),
    ("warp_twisted.acme.certificates", 1),
    ("warp_twisted.acme.directories", 1),
    ("warp_twisted.acme.door", 1),
    ("warp_twisted.acme.orders", 1),
    ("warp_twisted.acme.problems", 1),
    ("warp_twisted.acme.schedule", 1),
    ("warp_twisted.acme.sealing", 1),
    ("warp_twisted.acme*", 2),
    ("warp_twisted.wire*", 1),
    ("warp_twisted.http1*", 1),
    ("warp_twisted.policy*", 1),
    ("warp_twisted.routing*", 1),
    ("warp_twisted.keeper.actions", 1),
    ("warp_twisted.keeper.handover", 1),
    ("warp_twisted.keeper.messages", 1),
    ("warp_twisted.keeper.times", 1),
    ("warp_twisted.keeper*", 2),
    ("warp_twisted.registry.acme*", 1),
    ("warp_twisted.registry.model", 1),
    ("warp_twisted.registry.ban_records", 1),
    ("warp_twisted.registry.edge_records", 1),
    ("warp_twisted.registry.etcd.endpoints", 1),
    ("warp_twisted.registry.etcd.interface", 1),
    ("warp_twisted.registry.etcd.messages", 1),
    ("warp_twisted.registry.route_records", 1),
    ("warp_twisted.registry.published.grace", 2),
    ("warp_twisted.registry.published.publisher", 2),
    ("warp_twisted.registry.published*", 1),
    ("warp_twisted.ca.edge_identity", 1),
    ("warp_twisted.ca.issue", 1),
    ("warp_twisted.ca.registry_certificates", 1),
    ("warp_twisted.ca.returning", 1),
    ("warp_twisted.clock_steps", 2),
    ("warp_twisted.systemd", 2),
    ("warp_twisted.process", 2),
    ("warp_twisted.listen_text", 2),
    ("warp_twisted.log_output", 2),
    ("warp_twisted.lookups", 2),
    ("warp_twisted.unix_http", 2),
    ("warp_twisted.web_client", 2),
    ("warp_twisted.registry*", 2),
    ("warp_twisted.ca*", 2),
    ("warp_twisted.tunnel*", 2),
    ("warp_twisted.agent.health.settings", 1),
    ("warp_twisted.agent.health.answer", 1),
    ("warp_twisted.agent.health.tally", 1),
    ("warp_twisted.edge*", 3),
    ("warp_twisted.agent*", 3),
    ("warp_base", 0),
    ("warp_base.answer_stream", 2),
    ("warp_base.accepting", 2),
    ("warp_base.loop*", 2),
    ("warp_base.exposition", 2),
    ("warp_base.fair_queue", 2),
    ("warp_base.hangup", 2),
    ("warp_base.machine_time", 2),
    ("warp_base.nonblocking_writer", 2),
    ("warp_base.own_address", 2),
    ("warp_base.quiet_site", 2),
    ("warp_base.reactor", 2),
    ("warp_base.slices", 2),
    ("warp_base.systemd_socket", 2),
    ("warp_base.unix_port", 2),
    ("warp_base*", 1),
    ("warp_dns", 2),
    ("warp_dns.serve.limits", 1),
    ("warp_dns.serve.metrics", 1),
    ("warp_dns.serve.replica", 1),
    ("warp_dns.serve.replies", 1),
    ("warp_dns.serve.responder", 1),
    ("warp_dns.serve*", 2),
    ("warp_dns.beside*", 2),
    ("warp_dns.program.configuration", 1),
    ("warp_dns.program*", 2),
    ("warp_dns.*", 1),
)
# What layer 1 may take besides the standard library; higher ones may use what pyproject declares.
PURE_LIBRARIES = {"msgspec", "cryptography", "re2"}
PURE_LIBRARIES_OF = {
    "warp_dns*": {"dns"},
    "warp_base.yaml_reader": {"yaml"},
    "warp_dns.message.cookies": {"siphash24"},
    "warp_dns.zone.master_lines": {"socket"},  # inet_pton again
    "warp_twisted.policy.authentication*": {"argon2", "joserfc"},
    "warp_twisted.policy.sources*": {"socket"},  # inet_pton and inet_ntop
    "warp_dns.serve.limits": {"socket"},  # inet_pton and its like: arithmetic on addresses, nothing is opened
    "warp_dns.serve.metrics": {"prometheus_client"},  # counters; reading them is the shells' work
    "warp_dns.message.wire": {"dnslib"},
}
DNSLIB_USERS = {"warp_dns.message.wire"}
# Clocks, logs, sockets, threads: nothing that a function of its arguments needs.
IMPURE_STANDARD_LIBRARY = {
    "asyncio", "concurrent", "logging", "multiprocessing", "sched", "select", "selectors", "signal", "socket",
    "socketserver", "subprocess", "threading", "time",
}  # fmt: skip
CLOCK_CALLS = {"now", "utcnow", "today"}  # of datetime and date
WALL_CLOCK_CALLS = {"time", "time_ns", "clock_settime"}  # of the module `time`; its functions that format take instants
CALENDAR_FUNCTIONS = {"utc", "fromtimestamp", "check_token", "load_authority"}  # take instants of the calendar
WALL_CLOCK_READERS = {"warp_base.machine_time"}  # and layer 4; all others are handed a `WallClock`
MAX_MODULES = 18  # in a folder, `__init__` and `__main__` not counted


def layer_of(module: str) -> int | None:
    """Return the layer of one of our modules, or None when the table does not know it."""
    return next((layer for pattern, layer in LAYER_OF if fnmatchcase(module, pattern)), None)


def room_of(module: str) -> str:
    """Return the room, which is the package below the top: `edge` for `warp_twisted.edge.routes.table`."""
    parts = module.split(".")
    return parts[1] if parts[0] == "warp_twisted" and len(parts) > 1 else parts[0]


def imports_of(module: str, is_package: bool, tree: ast.AST, known: Collection[str]) -> Iterator[tuple[int, str]]:
    """
    Yield line and absolute name of everything a module imports, wherever in the file the import stands.

    Imports for type checking count as well: to name a thing is to know it.

    :param known: our modules, to tell `from package import module` from `from module import name`.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")[: None if is_package else -1]
                above = parents[: len(parents) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield node.lineno, full if full in known or full == "twisted.internet.reactor" else base


def complaints(module: str, source: str, known: Collection[str], *, is_package: bool = False) -> list[str]:
    """
    Return a sentence for each import or use in one module that its layer does not allow.

    :param module: its dotted name.
    :param known: the names of all our modules.
    """
    layer = layer_of(module)
    if layer is None:
        return [f"{module}: no line of LAYER_OF in tests/layers.py says which layer it is in"]
    tree = ast.parse(source)
    found = []
    for line, target in imports_of(module, is_package, tree, known):
        reason = _refusal(module, layer, target)
        if reason:
            found.append(f"{module}:{line}: imports {target}, but {reason}")
    found += [f"{module}:{line}: {what}" for line, what in _uses(layer, tree)]
    if layer < 4 and module not in WALL_CLOCK_READERS:
        found += [f"{module}:{line}: {what}" for line, what in _wall_clock_uses(layer, tree)]
    return found


def _refusal(module: str, layer: int, target: str) -> str | None:
    top = target.split(".")[0]
    if module.startswith("warp_dns") and top == "warp_twisted":
        return "warp_dns never imports warp_twisted"
    if module.startswith("warp_base") and top in ("warp_twisted", "warp_dns"):
        return "warp_base imports neither warp_dns nor warp_twisted"
    if top == "dnslib" and module not in DNSLIB_USERS:
        return "only warp_dns.message.wire knows dnslib"
    if top in ("warp_twisted", "warp_dns", "warp_base"):
        target_layer = layer_of(target)
        if target_layer is None or target_layer > layer:
            return f"{module} is in layer {layer} and {target} in layer {target_layer}"
        if {room_of(module), room_of(target)} == {"edge", "agent"} and layer == 3:
            return "edge and agent never import each other"
        return None
    if target == "twisted.internet.reactor" and layer < 4:
        return "only tap and cli name the reactor; pass it in"
    if layer >= 2:
        return None
    allowed = set(PURE_LIBRARIES)
    for pattern, libraries in PURE_LIBRARIES_OF.items():
        if fnmatchcase(module, pattern):
            allowed |= libraries
    if top in sys.stdlib_module_names:
        is_impure = top in IMPURE_STANDARD_LIBRARY - allowed
        return "layers 0 and 1 have no clock, log, socket or thread" if is_impure else None
    if layer == 0:
        return "layer 0 uses the standard library only"
    return None if top in allowed else f"layer 1 uses only {', '.join(sorted(allowed))}"


def _uses(layer: int, tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        owner = node.value.id if isinstance(node.value, ast.Name) else ""
        if layer < 4 and (owner, node.attr) in {("os", "environ"), ("os", "getenv"), ("sys", "argv")}:
            yield node.lineno, f"reads {owner}.{node.attr}; only tap and cli read options and environment"
        if layer < 2 and owner in ("datetime", "date") and node.attr in CLOCK_CALLS:
            yield node.lineno, f"asks {owner}.{node.attr}; layers 0 and 1 are handed the time"


def _wall_clock_uses(layer: int, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """
    Yield where the machine's wall clock is read, or taken for the clock of durations.

    A reactor's `seconds()` is monotonic, so it is no argument of what takes an instant of the calendar.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            for alias in node.names:
                if alias.name in WALL_CLOCK_CALLS:
                    yield node.lineno, f"imports time.{alias.name}; ask the WallClock that is handed in as wall"
        elif isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", "")
            if owner == "time" and node.attr in WALL_CLOCK_CALLS:
                yield node.lineno, f"asks time.{node.attr}; ask the WallClock that is handed in as wall"
            if layer >= 2 and owner in ("datetime", "date") and node.attr in CLOCK_CALLS:
                yield node.lineno, f"asks {owner}.{node.attr}; ask the WallClock that is handed in as wall"
            if node.attr == "seconds" and owner == "runtime":
                yield node.lineno, "asks Twisted's wall clock; ask the reactor, which is monotonic, or the WallClock"
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in CALENDAR_FUNCTIONS:
            given = " ".join(map(ast.unparse, node.args))
            if "seconds()" in given or "monotonic()" in given:
                yield node.lineno, f"hands {ast.unparse(node.func)} an instant of the clock of durations"


def wing_of(module: str, packages: Collection[str]) -> str:
    """
    Return the package that a module stands in, or the module itself where it is a shell of a room with wings.

    `edge.node` and `edge.errors` stand beside the wings of `edge`, one below and one above them all, so each of these
    counts alone.

    :param packages: the names of all our packages.
    """
    package = module if module in packages else module.rpartition(".")[0]
    has_wings = any(other.startswith(f"{package}.") for other in packages)
    return module if has_wings else package


def circles(imports: Mapping[str, Collection[str]]) -> list[list[str]]:
    """
    Return the groups of nodes that reach one another, each sorted; imports for type checking count.

    Tarjan's algorithm for strongly connected components.

    :param imports: node → the nodes it imports; itself and unknown ones are ignored.
    """
    found: list[list[str]] = []
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        path.append(node)
        for target in imports[node]:
            if target not in imports or target == node:
                continue
            if target not in order:
                visit(target)
                lowest[node] = min(lowest[node], lowest[target])
            elif target in path:
                lowest[node] = min(lowest[node], order[target])
        if lowest[node] == order[node]:
            group = path[path.index(node) :]
            del path[path.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in imports:
        if node not in order:
            visit(node)
    return sorted(found)


def between_wings(imports: Mapping[str, Collection[str]], packages: Collection[str]) -> dict[str, set[str]]:
    """
    Return wing → the wings that its modules import.

    :param imports: module → our modules that it imports.
    """
    wings: dict[str, set[str]] = {}
    for module, targets in imports.items():
        wing = wing_of(module, packages)
        wings.setdefault(wing, set()).update({wing_of(target, packages) for target in targets} - {wing})
    return wings


def crowded(modules: Collection[str], packages: Collection[str]) -> list[str]:
    """Return a sentence for each folder with more than `MAX_MODULES` modules."""
    counts = {
        package: sum(module.rpartition(".")[0] == package for module in modules if not module.endswith("__main__"))
        - sum(other.rpartition(".")[0] == package for other in packages)
        for package in packages
    }
    return [
        f"{package}: {count} modules, {MAX_MODULES} at most" for package, count in counts.items() if count > MAX_MODULES
    ]

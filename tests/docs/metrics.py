"""Which metrics the code makes, and which a document explains: names as Prometheus shows them, with their labels."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence

Found = tuple[str, frozenset[str]]  # name and labels
_ROUTE = frozenset({"hostname", "path", "origin"})
# Functions of ours that make a family: the kind, and the labels that they set.
HELPERS: Mapping[str, tuple[str, frozenset[str]]] = {
    "_by_code": ("Counter", frozenset({"code"})),
    "_counter": ("Counter", _ROUTE),
    "_probes": ("Counter", _ROUTE),
    "_gauge": ("Gauge", frozenset()),
}


def made(source: str, prefixes: Sequence[str] = ()) -> Iterator[Found]:
    """
    Return the metrics that a module makes.

    :param prefixes: what names begin with that are made of `{self._prefix}` and a suffix.
    """
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
            continue
        kind, is_family, _ = node.func.id.partition("MetricFamily")
        labels: frozenset[str] = frozenset()
        if not is_family:
            if node.func.id not in HELPERS:
                continue
            kind, labels = HELPERS[node.func.id]
        elif kind == "Info":
            continue
        for keyword in node.keywords:
            if keyword.arg == "labels":
                labels = frozenset(_labels(keyword.value))
        for name in _names(node.args[0], prefixes):
            yield (f"{name}_total" if kind == "Counter" else name), labels


def _names(argument: ast.expr, prefixes: Sequence[str]) -> list[str]:
    if isinstance(argument, ast.Constant) and re.match(r"(warp|process)_", str(argument.value)):
        return [str(argument.value)]
    if isinstance(argument, ast.JoinedStr) and isinstance(argument.values[-1], ast.Constant):
        return [prefix + str(argument.values[-1].value) for prefix in prefixes]
    return []  # a variable, which a helper is given


def _labels(value: ast.expr) -> Iterator[str]:
    if isinstance(value, ast.Name | ast.Starred):
        yield from _ROUTE  # `_ROUTE_LABELS`
    elif isinstance(value, ast.Tuple | ast.List):
        for element in value.elts:
            if isinstance(element, ast.Constant):
                yield str(element.value)
            else:
                yield from _labels(element)


def explained(text: str) -> Iterator[Found]:
    """Return the metrics that tables of a document explain, `{route}` standing for three labels."""
    for name, labels in re.findall(r"^\| `([a-z_]+)(?:\{([a-z_,]+)\})?` \|", text, re.MULTILINE):
        found = frozenset(labels.split(",")) - {""}
        yield name, (found - {"route"} | _ROUTE if "route" in found else found)


def mentioned(expression: str) -> set[str]:
    """Return the metrics that an expression of PromQL asks for, without the endings of histograms."""
    names = set(re.findall(r"\b(?:warp|process)_[a-z_]+\b", expression))
    for name, choices, ending in re.findall(r'__name__=~"(\w+_)\(([a-z|]+)\)(\w+)"', expression):
        names = {each for each in names if each not in (f"{name}{ending}", name)}
        names |= {f"{name}{choice}{ending}" for choice in choices.split("|")}
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in names}

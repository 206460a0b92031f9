"""
Keys and defaults of a settings struct, and those that a document's tables give: two mappings to compare.

A key's path is written as errors write it: `listen.http`; items of a list as `ingress[].service`, values of a
mapping as `zones.NAME.ttl`.
"""

import re
from collections.abc import Iterator

import msgspec
import yaml
from msgspec import inspect

REQUIRED = "required"
_ROW = re.compile(r"\| `(?P<key>[^`]+)` \| (?P<default>[^|]+?) \|")


def keys_of(struct: type[msgspec.Struct]) -> dict[str, object]:
    """Return key path → default (`REQUIRED` where there is none) of everything a file may hold."""
    return dict(_walk(inspect.type_info(struct), ""))


def keys_in(document: str, heading: str) -> dict[str, object]:
    """Return key path → default as the tables under one `## heading` say."""
    section = document.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    found = {}
    for row in _ROW.finditer(section):
        text = row["default"].strip()
        found[row["key"]] = REQUIRED if text == REQUIRED else yaml.safe_load(text.strip("`"))
    return found


def _walk(kind: inspect.Type, path: str) -> Iterator[tuple[str, object]]:
    for each in kind.types if isinstance(kind, inspect.UnionType) else (kind,):
        if isinstance(each, inspect.Metadata):
            yield from _walk(each.type, path)
        elif isinstance(each, inspect.StructType):
            for field in each.fields:
                below = f"{path}.{field.encode_name}" if path else field.encode_name
                nested = list(_walk(field.type, below))
                is_group = any(isinstance(part, inspect.StructType) for part in _parts(field.type))
                if not is_group:
                    yield below, _default(field)
                yield from nested
        elif isinstance(each, inspect.VarTupleType | inspect.ListType):
            yield from _walk(each.item_type, f"{path}[]")
        elif isinstance(each, inspect.DictType):
            yield from _walk(each.value_type, f"{path}.NAME")


def _parts(kind: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from _parts(each)
    elif isinstance(kind, inspect.Metadata):
        yield from _parts(kind.type)
    else:
        yield kind


def _default(field: inspect.Field) -> object:
    if field.required:
        return REQUIRED
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    return msgspec.json.decode(msgspec.json.encode(value))

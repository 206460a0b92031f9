"""
Reading a YAML file into settings, with errors that name the key's path and what was expected.

Which keys exist is decided by the msgspec Struct that the caller hands in; this module knows YAML, types
and wording only. The safe loader is used, a key given twice is refused, and so is a key nobody knows,
because a misspelt limit that is silently ignored is a limit that does not exist.
"""

import difflib
import re
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml
from msgspec import inspect

from warp_twisted.errors import InvalidSettings

MAX_FILE_BYTES = 1 << 20  # a configuration file of more than 1 MiB is a mistake, or an attack on the parser

T = TypeVar("T")
_Path = tuple[str | int, ...]

_AT = re.compile(r"^(?P<what>.*?)(?: - at (?:`key` in )?`(?P<path>\$.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<index>\d+)\]|\[(?P<any>\.\.\.)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`")
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`")


def _refusal(problem: str, mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, mark)


class _Loader(yaml.SafeLoader):
    """The safe loader, refusing keys given twice and aliases (which let ten lines become a billion)."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise _refusal("aliases are not supported", self.peek_event().start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is not text", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_file(path: str, kind: type[T]) -> T:
    """
    Read one settings file.

    :param path: where the file is; also how errors call it.
    :param kind: the msgspec Struct to fill.
    :raises InvalidSettings: if the file cannot be read, is not YAML, or does not fit `kind`.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidSettings(f"{path}: {error.strerror or error}") from error
    return parse(content, kind, path)


def parse(content: bytes | str, kind: type[T], source: str) -> T:
    """
    Turn YAML text into settings.

    :param source: what errors call this text, usually the file's name.
    :raises InvalidSettings: naming source, key path, and what was expected there.
    """
    if len(content) > MAX_FILE_BYTES:
        raise InvalidSettings(f"{source}: larger than {MAX_FILE_BYTES} bytes")
    try:
        raw = yaml.load(content, Loader=_Loader)  # noqa: S506 -- _Loader is a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f"{error.problem_mark.line + 1}" if error.problem_mark else "?"
        raise InvalidSettings(f"{source}: line {line}: {error.problem or error.context}") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InvalidSettings(f"{source}: not YAML: {(str(error).splitlines() or ['?'])[0]}") from error
    return convert({} if raw is None else raw, kind, source)


def convert(raw: object, kind: type[T], source: str) -> T:
    """
    Turn plain dictionaries and lists into settings.

    :raises InvalidSettings: naming source, key path, and what was expected there.
    """
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise InvalidSettings(f"{source}: {_explain(str(error), raw, kind)}") from error
    except UnicodeEncodeError as error:  # YAML's "\ud800" makes half a character
        raise InvalidSettings(f"{source}: {error.object!r} is not valid Unicode") from error


def _explain(message: str, raw: object, kind: type) -> str:
    match = _AT.match(message)
    what, path_text = (match["what"], match["path"] or "$") if match else (message, "$")
    path, value = _follow(path_text[1:], raw)
    shape = _shape_at(path, inspect.type_info(kind))
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
    if unknown := _UNKNOWN.match(what):
        known = [field.encode_name for field in shape.fields] if isinstance(shape, inspect.StructType) else []
        near = difflib.get_close_matches(unknown["name"], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(known)}"
        return f"{_join(where, unknown['name'])}: unknown key; {hint}"
    if missing := _MISSING.match(what):
        field_shape = _shape_at((*path, missing["name"]), inspect.type_info(kind))
        return f"{_join(where, missing['name'])}: missing; expected {_describe(field_shape)}"
    if not what.startswith("Expected") and not what.startswith("Invalid"):
        return _join(where, what)  # from a Struct's __post_init__, whose words begin with the key
    if path_text.endswith("[...]") and isinstance(shape, inspect.DictType):
        return f"{where}: expected {_describe(shape.value_type)} as every value"
    return f"{where or 'file'}: expected {_describe(shape)}, got {_shorten(value)}"


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _follow(text: str, raw: object) -> tuple[_Path, object]:
    """Walk msgspec's path text through the raw value; `[...]` (some key of a mapping) ends the walk."""
    path: list[str | int] = []
    for step in _STEP.finditer(text):
        if step["any"]:
            break
        if step["name"] is not None:
            path.append(step["name"])
            raw = raw.get(step["name"]) if isinstance(raw, dict) else None
        else:
            index = int(step["index"])
            path.append(index)
            raw = raw[index] if isinstance(raw, list) and index < len(raw) else None
    return tuple(path), raw


def _shape_at(path: Sequence[str | int], shape: inspect.Type) -> inspect.Type:
    for step in path:
        for option in shape.types if isinstance(shape, inspect.UnionType) else (shape,):
            if isinstance(option, inspect.StructType) and isinstance(step, str):
                found = [field.type for field in option.fields if field.encode_name == step]
                if found:
                    shape = found[0]
                    break
            elif isinstance(option, inspect.ListType | inspect.VarTupleType) and isinstance(step, int):
                shape = option.item_type
                break
            elif isinstance(option, inspect.DictType):
                shape = option.value_type
                break
        else:
            return inspect.AnyType()
    return shape


def _describe(shape: inspect.Type) -> str:
    """Say in words what a value of this type looks like, bounds included."""
    if isinstance(shape, inspect.UnionType):
        return " or ".join(dict.fromkeys(_describe(option) for option in shape.types))
    if isinstance(shape, inspect.IntType | inspect.FloatType):
        name = "int" if isinstance(shape, inspect.IntType) else "number"
        bounds = ((">", shape.gt), ("≥", shape.ge), ("<", shape.lt), ("≤", shape.le))
        return " ".join([name, " and ".join(f"{sign} {bound}" for sign, bound in bounds if bound is not None)]).strip()
    if isinstance(shape, inspect.StrType):
        return f"text matching {shape.pattern}" if shape.pattern else "non-empty text" if shape.min_length else "text"
    if isinstance(shape, inspect.LiteralType):
        return " or ".join(repr(value) for value in shape.values)
    if isinstance(shape, inspect.ListType | inspect.VarTupleType):
        return f"a list of {_describe(shape.item_type)}"
    if isinstance(shape, inspect.StructType | inspect.DictType):
        return "a mapping"
    words: dict[type, str] = {inspect.BoolType: "true or false", inspect.NoneType: "null"}
    return words.get(type(shape), "another value")


def _shorten(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = "a mapping" if isinstance(value, dict) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

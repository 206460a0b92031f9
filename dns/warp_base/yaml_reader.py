"""
YAML text into a msgspec Struct, refused with the key's path, what was expected there, and what was found.

Reads `dns.yaml` and the files of edge and agent; each package turns `InvalidYaml` into its own kind of error. Which
keys exist is decided by the Struct; this module knows YAML, types and wording only. The safe loader is used, without
aliases. A key given twice is refused, and so is an unknown key: a misspelt limit that is silently ignored is a limit
that does not exist.
"""

import copy
import difflib
import re
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml
from msgspec import inspect

MAX_FILE_BYTES = 1 << 20  # a configuration file of more than 1 MiB is a mistake, or an attack on the parser
MAX_TRIED_KEYS = 1000  # of a mapping, to find the one that is wrong

T = TypeVar("T")
_Path = tuple[str | int, ...]


class InvalidYaml(ValueError):
    """The text is not YAML, or does not fit the settings."""


_AT = re.compile(r"^(?P<what>.*?)(?: - at (?:`key` in )?`(?P<path>\$.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<index>\d+)\]|\[(?P<any>\.\.\.)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`")
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`")
_QUANTITY = re.compile(r"(?P<count>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|min|h|d|k|kb|kib|mb|mib|gb|gib)?", re.IGNORECASE)
_UNITS = {
    "ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400,
    "k": 1 << 10, "kb": 1 << 10, "kib": 1 << 10, "mb": 1 << 20, "mib": 1 << 20, "gb": 1 << 30, "gib": 1 << 30,
}  # fmt: skip

# What PyYAML says, and what a person who is no parser does about it; the first pattern that is found counts.
_SYNTAX = (
    (r"scanning an (?:alias|anchor)", "a value that begins with '*' or '&' needs quotes around it"),
    (r"character '\\t'", "a tab is used for indentation; YAML takes spaces only"),
    (r"character '(.)' that cannot start", r"'\1' cannot begin a value; put quotes around the value"),
    (r"mapping values are not allowed", "a ': ' that does not belong there; quote the value, or mend the indentation"),
    (r"expected <block end>", "the indentation does not fit the lines above"),
    (r"found unexpected end of stream", "a quote is not closed"),
    (r"expected ',' or '(.)'", r"a bracket is not closed, or a comma is missing: expected ',' or '\1'"),
    (r"found another document", "a second document begins; one is expected, without '---' between its parts"),
    (r"could not determine a constructor for the tag '(.*)'", r"tags such as \1 are not supported"),
)  # fmt: skip


def _refusal(problem: str, mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, mark)


class _Loader(yaml.SafeLoader):
    """The safe loader, refusing keys given twice and aliases (which let ten lines become a billion)."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise _refusal(
                "aliases are not supported; put quotes around a value that begins with '*'",
                self.peek_event().start_mark,
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _refusal(f"key {key!r} is not text", key_node.start_mark)
            if key in seen:
                raise _refusal(f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_file(path: str, kind: type[T]) -> T:
    """
    Read one settings file.

    :param path: where the file is; also how errors call it.
    :param kind: the msgspec Struct to fill.
    :raises InvalidYaml: if the file cannot be read, is not YAML, or does not fit `kind`.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidYaml(f"{path}: {error.strerror or error}") from error
    return parse(content, kind, path)


def parse(content: bytes | str, kind: type[T], source: str, *, if_empty: str = "") -> T:
    """
    Turn YAML text into settings.

    :param source: what errors call this text, usually the file's name.
    :param if_empty: why a text that says nothing is refused; unless given it is an empty mapping.
    :raises InvalidYaml: naming source, key path or line, and what was expected there.
    """
    if len(content) > MAX_FILE_BYTES:
        raise InvalidYaml(f"{source}: larger than {MAX_FILE_BYTES} bytes")
    try:
        raw = yaml.load(content, Loader=_Loader)  # noqa: S506 -- _Loader is a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f"{error.problem_mark.line + 1}" if error.problem_mark else "?"
        raise InvalidYaml(f"{source}: line {line}: {_syntax(error.problem or '', error.context or '')}") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InvalidYaml(f"{source}: not YAML: {(str(error).splitlines() or ['?'])[0]}") from error
    if raw is None and if_empty:
        raise InvalidYaml(f"{source}: {if_empty}")
    return convert({} if raw is None else raw, kind, source)


def convert(raw: object, kind: type[T], source: str) -> T:
    """
    Turn plain dictionaries and lists into settings.

    :raises InvalidYaml: naming source, key path, and what was expected there.
    """
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise InvalidYaml(f"{source}: {_explain(str(error), raw, kind)}") from error
    except UnicodeEncodeError as error:  # YAML's "\ud800" makes half a character
        raise InvalidYaml(f"{source}: {error.object!r} is not valid Unicode") from error


def changed_keys(before: object, after: object, path: str = "") -> list[str]:
    """
    Return the paths of the keys in which two settings of one kind differ.

    :param path: of both; sections are gone into, lists and mappings are named as a whole.
    """
    if not isinstance(before, msgspec.Struct) or type(before) is not type(after):
        return [] if before == after else [path]
    found: list[str] = []
    for field in msgspec.structs.fields(type(before)):
        below = _join(path, field.encode_name)
        found += changed_keys(getattr(before, field.name), getattr(after, field.name), below)
    return found


def _syntax(problem: str, context: str) -> str:
    said = f"{context}, {problem}"
    for pattern, words in _SYNTAX:
        if match := re.search(pattern, said):
            return match.expand(words)
    return problem or context


def _explain(message: str, raw: object, kind: type) -> str:
    match = _AT.match(message)
    what, path_text = (match["what"], match["path"] or "$") if match else (message, "$")
    path, value = _follow(path_text[1:], raw, message, kind)
    shape = _shape_at(path, inspect.type_info(kind))
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
    if unknown := _UNKNOWN.match(what):
        options = shape.types if isinstance(shape, inspect.UnionType) else (shape,)
        structs = [option for option in options if isinstance(option, inspect.StructType)]
        known = [field.encode_name for struct in structs for field in struct.fields]
        near = difflib.get_close_matches(unknown["name"], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(known)}"
        return f"{_join(where, unknown['name'])}: unknown key; {hint}"
    if missing := _MISSING.match(what):
        field_shape = _shape_at((*path, missing["name"]), inspect.type_info(kind))
        return f"{_join(where, missing['name'])}: missing; expected {_describe(field_shape)}"
    if not what.startswith("Expected") and not what.startswith("Invalid"):
        # From a Struct's __post_init__, whose words begin with the key, or with "expected" if they are about the whole.
        return f"{where}: {what}" if where and what.startswith("expected ") else _join(where, what)
    place = f"{where}: " if where else ""
    return f"{place}expected {_describe(shape)}, got {_shorten(value)}{_hint(shape, value)}"


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _follow(text: str, raw: object, message: str, kind: type) -> tuple[_Path, object]:
    """Walk msgspec's path text through the raw value; `[...]` is some key of a mapping, which is looked for."""
    path: list[str | int] = []
    value = raw
    for step in _STEP.finditer(text):
        if step["any"]:
            key = _wrong_key(raw, path, message, kind)
            if key is None:
                break
            path.append(key)
        else:
            path.append(step["name"] if step["name"] is not None else int(step["index"]))
        value = _below(value, path[-1])
    return tuple(path), value


def _below(value: object, step: str | int) -> object:
    if isinstance(value, dict):
        return value.get(step)
    return value[step] if isinstance(value, list) and isinstance(step, int) and step < len(value) else None


def _wrong_key(raw: object, path: Sequence[str | int], message: str, kind: type) -> str | None:
    """Find the key of the mapping at a path for which alone the message is the same."""
    whole = copy.deepcopy(raw)
    mapping: Any = whole
    for step in path:
        mapping = _below(mapping, step)
    if not isinstance(mapping, dict):
        return None
    items = dict(mapping)
    for key in list(items)[:MAX_TRIED_KEYS]:
        mapping.clear()
        mapping[key] = items[key]
        try:
            msgspec.convert(whole, kind)
        except msgspec.ValidationError as error:
            if str(error) == message:
                return str(key)
    return None


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
            elif isinstance(option, inspect.TupleType) and isinstance(step, int) and step < len(option.item_types):
                shape = option.item_types[step]
                break
            elif isinstance(option, inspect.DictType):
                shape = option.value_type
                break
        else:
            return inspect.AnyType()
    return shape


def _describe(shape: inspect.Type, *, many: bool = False) -> str:
    """
    Say in words what a value of this type looks like, bounds included.

    :param many: in the plural, without an article.
    """
    if isinstance(shape, inspect.Metadata):
        said = (shape.extra_json_schema or {}).get("description")
        return str(said) if said else _describe(shape.type, many=many)
    if isinstance(shape, inspect.UnionType):
        return " or ".join(dict.fromkeys(_describe(option, many=many) for option in shape.types))
    if isinstance(shape, inspect.IntType | inspect.FloatType):
        name = "whole number" if isinstance(shape, inspect.IntType) else "number"
        bounds = _bounds(shape)
        return f"{name}s{bounds}" if many else f"a {name}{bounds}"
    if isinstance(shape, inspect.StrType):
        if shape.pattern:
            return f"text matching {shape.pattern}"
        limit = f" of at most {shape.max_length} characters" if shape.max_length else ""
        return f"{'texts' if many else 'text'}{limit}" if many or not shape.min_length else f"non-empty text{limit}"
    if isinstance(shape, inspect.LiteralType):
        return " or ".join(repr(value) for value in shape.values)
    if isinstance(shape, inspect.TupleType):
        return f"a list of {len(shape.item_types)} {_describe(shape.item_types[0], many=True)}"
    if isinstance(shape, inspect.ListType | inspect.VarTupleType):
        return f"{'lists' if many else 'a list'} of {_length(shape)}{_describe(shape.item_type, many=True)}"
    if isinstance(shape, inspect.StructType | inspect.DictType):
        return "mappings" if many else "a mapping"
    words: dict[type, str] = {inspect.BoolType: "true or false", inspect.NoneType: "null"}
    return words.get(type(shape), "another value")


def _bounds(shape: inspect.IntType | inspect.FloatType) -> str:
    if shape.ge is not None and shape.le is not None:
        return f" from {shape.ge:g} to {shape.le:g}" if shape.le < 1e6 else f" from {shape.ge} to {shape.le}"
    words = (("above", shape.gt), ("of at least", shape.ge), ("below", shape.lt), ("at most", shape.le))
    return "".join(f" {word} {bound}" for word, bound in words if bound is not None).replace(" at most", ", at most")


def _length(shape: inspect.ListType | inspect.VarTupleType) -> str:
    least, most = shape.min_length, shape.max_length
    if least and most:
        return f"{least} to {most} "
    return "one or more " if least == 1 else f"at least {least} " if least else f"at most {most} " if most else ""


def _hint(shape: inspect.Type, value: object) -> str:
    """Say how the same is written rightly, where that is plain."""
    options = shape.types if isinstance(shape, inspect.UnionType) else (shape,)
    if any(isinstance(option, inspect.ListType | inspect.VarTupleType) for option in options):
        return f"; write [{value!r}]" if isinstance(value, str) and value else ""
    if not isinstance(value, str):
        is_plain = isinstance(value, int | float) and any(isinstance(option, inspect.StrType) for option in options)
        return "; put quotes around it" if is_plain else ""
    for option in options:
        if isinstance(option, inspect.LiteralType):
            near = difflib.get_close_matches(value, [str(each) for each in option.values], n=1)
            return f"; did you mean {near[0]}?" if near else ""
        if isinstance(option, inspect.BoolType) and value.lower() in ("yes", "no", "true", "false", "on", "off"):
            return f"; write {'true' if value.lower() in ('yes', 'true', 'on') else 'false'}, without quotes"
        if isinstance(option, inspect.IntType | inspect.FloatType) and (match := _QUANTITY.fullmatch(value.strip())):
            unit = (match["unit"] or "").lower()
            return f"; write {float(match['count']) * _UNITS.get(unit, 1):.15g}" + ("" if unit else ", without quotes")
    return ""


def _shorten(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    try:
        text = "a mapping" if isinstance(value, dict) else repr(value)
    except ValueError:  # YAML reads hexadecimal numbers of any length, and Python writes none of more than 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."

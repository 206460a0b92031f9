"""
`dns.yaml`: reading it, and refusing it with the key's path and what was expected.

The safe loader, without aliases and without keys given twice: a line that is silently ignored is a limit that does
not exist. What the values mean is checked by whoever uses them.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml

from warp_dns.errors import InvalidSettings
from warp_dns.settings import ServerSettings, ZoneSettings

MAX_FILE_BYTES = 1 << 20


class DnsFile(ServerSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    The whole file: what `ServerSettings` has, and besides:

    :ivar listen: addresses for UDP and TCP; port 53 when left out.
    :ivar workers: processes that answer UDP.
    :ivar metrics: an endpoint for `/metrics`, `/ready` and `/live`, such as `tcp:9153:interface=127.0.0.1`.
    """

    listen: Annotated[list[str], msgspec.Meta(min_length=1)]
    zones: Annotated[list[ZoneSettings], msgspec.Meta(min_length=1)]
    workers: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    metrics: str = ""

    @property
    def server(self) -> ServerSettings:
        """The part that is the server's."""
        return ServerSettings(**{name: getattr(self, name) for name in ServerSettings.__struct_fields__})


def read_configuration(path: str) -> DnsFile:
    """
    Read a configuration file.

    :raises InvalidSettings: naming the file, and the key or line that is wrong.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidSettings(f"{path}: {error.strerror or error}") from error
    if len(content) > MAX_FILE_BYTES:
        raise InvalidSettings(f"{path}: larger than {MAX_FILE_BYTES} bytes")
    return parse_configuration(content, path)


def parse_configuration(content: bytes | str, source: str) -> DnsFile:
    """
    Turn YAML text into a configuration.

    :param source: what errors call the text, usually the file's name.
    :raises InvalidSettings: naming the key or line that is wrong.
    """
    try:
        value = yaml.load(content, _Loader)  # noqa: S506  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise InvalidSettings(f"{source}:{line}: {error.problem}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidSettings(f"{source}: not YAML: {error}") from error
    try:
        return msgspec.convert(value, DnsFile)
    except msgspec.ValidationError as error:
        raise InvalidSettings(f"{source}: {_wording(str(error))}") from error


def _wording(message: str) -> str:
    """Put the path first: msgspec writes "what - at `$.zones[0].name`"."""
    what, _, at = message.partition(" - at ")
    path = at.strip("`").removeprefix("$").removeprefix(".")
    return f"{path}: {what}" if path else what


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.constructor.ConstructorError(None, None, "aliases are not supported", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str) or key in seen:
                problem = f"key {key!r} is given twice" if key in seen else f"key {key!r} is not text"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

"""
`dns.yaml`: which keys it has.

`warp_base.yaml_reader` reads it and words what is wrong; its error becomes `InvalidSettings` here. What the values mean
is checked where they are used.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec

from warp_base.yaml_reader import InvalidYaml, parse, read_file
from warp_dns.errors import InvalidSettings
from warp_dns.settings import ServerSettings, ZoneSettings


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


def read_configuration(path: str) -> DnsFile:
    """
    Read a configuration file.

    :raises InvalidSettings: naming the file, and the key or line that is wrong.
    """
    with _as_invalid_settings():
        return read_file(path, DnsFile)


def parse_configuration(content: bytes | str, source: str) -> DnsFile:
    """
    Turn YAML text into a configuration.

    :param source: what errors call the text, usually the file's name.
    :raises InvalidSettings: naming the key or line that is wrong.
    """
    with _as_invalid_settings():
        return parse(content, DnsFile, source)


@contextmanager
def _as_invalid_settings() -> Iterator[None]:
    try:
        yield
    except InvalidYaml as error:
        raise InvalidSettings(f"{error}") from error

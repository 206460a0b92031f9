"""
Reading a YAML file into settings, with errors that name the key's path, what was expected, and what was found.

`warp_base.yaml_reader` reads the file and words what is wrong; its error becomes ours here. `nearest_directory` checks
a directory that settings name and that may not exist yet.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from warp_base import yaml_reader
from warp_base.yaml_reader import MAX_FILE_BYTES, InvalidYaml, changed_keys
from warp_twisted.errors import InvalidSettings

__all__ = ["MAX_FILE_BYTES", "changed_keys", "convert", "nearest_directory", "parse", "read_file"]

T = TypeVar("T")


def read_file(path: str, kind: type[T]) -> T:
    """
    Read one settings file.

    :param path: where the file is; also how errors call it.
    :param kind: the msgspec Struct to fill.
    :raises InvalidSettings: if the file cannot be read, is not YAML, or does not fit `kind`.
    """
    with _as_ours():
        return yaml_reader.read_file(path, kind)


def parse(content: bytes | str, kind: type[T], source: str, *, if_empty: str = "") -> T:
    """
    Turn YAML text into settings.

    :param source: what errors call this text, usually the file's name.
    :param if_empty: why a text that says nothing is refused; unless given it is an empty mapping.
    :raises InvalidSettings: naming source, key path or line, and what was expected there.
    """
    with _as_ours():
        return yaml_reader.parse(content, kind, source, if_empty=if_empty)


def convert(raw: object, kind: type[T], source: str) -> T:
    """
    Turn plain dictionaries and lists into settings.

    :raises InvalidSettings: naming source, key path, and what was expected there.
    """
    with _as_ours():
        return yaml_reader.convert(raw, kind, source)


def nearest_directory(path: Path, key: str) -> Path:
    """
    Return a directory that a setting names, or the nearest one above it if it is still to be made.

    :param key: the setting's, for the error.
    :raises InvalidSettings: if something else is there, so that it can never be made.
    """
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not there.is_dir():
        raise InvalidSettings(f"{key}: {there}: expected a directory, found something else")
    return there


@contextmanager
def _as_ours() -> Iterator[None]:
    try:
        yield
    except InvalidYaml as error:
        raise InvalidSettings(f"{error}") from error

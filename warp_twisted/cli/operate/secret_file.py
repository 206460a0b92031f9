"""A file for a secret that an edge is about to make: there before the secret is, and gone if none is made."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from warp_twisted.cli.errors import FileTaken


@contextmanager
def secret_file(path: Path | None) -> Iterator[Callable[[str], None]]:
    """
    Make a file that its owner alone may read, so that no secret is made that cannot be kept.

    :param path: None for no file.
    :yields: what takes the text; it is written when the block ends, and the file is removed if the block fails.
    :raises FileTaken: if there is such a file.
    """
    kept: list[str] = []
    descriptor = _new_file(path) if path is not None else None
    try:
        yield kept.append
    except BaseException:
        if descriptor is not None and path is not None:
            os.close(descriptor)
            path.unlink()
        raise
    if descriptor is not None:
        with os.fdopen(descriptor, "w") as file:
            file.writelines(kept)


def _new_file(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise FileTaken(
            f"{path} exists already, perhaps with a token that is still good; remove it, or name another with --out"
        ) from error

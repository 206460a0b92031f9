"""What the shell's completion asks an edge: quickly, and without a word if there is no answer."""

from typing import TypeVar

import click

from warp_twisted.cli.operate.admin import find_admin
from warp_twisted.cli.operate.answers import read
from warp_twisted.errors import WarpError

COMPLETION_SECONDS = 1.0

T = TypeVar("T")
V = TypeVar("V")


def listed_for_completion(ctx: click.Context, name: str, kind: type[list[T]]) -> list[T]:
    """
    Return what an edge lists; nothing if it does not answer.

    :param ctx: of the command that is completed; `--admin` may be among its parameters.
    :param name: of the list in the admin interface, such as `bans` or `policy/versions`.
    """
    return asked_for_completion(ctx, name, kind) or []


def asked_for_completion(ctx: click.Context, name: str, kind: type[V]) -> V | None:
    """Return what an edge says, as `listed_for_completion` does; None if it does not answer."""
    try:
        return read(find_admin(ctx.params.get("admin"), timeout=COMPLETION_SECONDS).get("v1", *name.split("/")), kind)
    except (WarpError, OSError):
        return None

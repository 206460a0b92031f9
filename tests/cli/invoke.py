"""Running the command in this process, as a user would see it."""

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

from warp_twisted.cli.main import run


@dataclass(frozen=True, slots=True)
class Ran:
    """What one run of the command came to."""

    status: int
    output: str
    errors: str


def invoke(*arguments: str) -> Ran:
    """Run `warp` with arguments."""
    output, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(errors):
        status = run(arguments)
    return Ran(status, output.getvalue(), errors.getvalue())

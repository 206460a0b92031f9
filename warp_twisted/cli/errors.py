"""What can go wrong in a command, and how it is told; `exit_code` tells scripts which it was."""

from warp_twisted.errors import WarpError


def sentence(error: BaseException) -> str:
    """Say what an error is in one line, without the number that the system's errors begin with."""
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    else:
        text = str(error) or type(error).__name__
    return " ".join(text.split()).rstrip(".")


class EdgeUnreachable(WarpError):
    """No edge answers on its admin socket."""

    exit_code = 3


class EdgeRefused(WarpError):
    """The edge refused what was asked."""


class FileTaken(WarpError):
    """A file that a command is to make is there already."""


class DemoFailed(WarpError):
    """The demo could not start."""

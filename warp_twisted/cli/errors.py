"""What can go wrong between the command and an edge; `exit_code` tells scripts which."""

from warp_twisted.errors import WarpError


class EdgeUnreachable(WarpError):
    """No edge answers on its admin socket."""

    exit_code = 3


class EdgeRefused(WarpError):
    """The edge refused what was asked."""


class DemoFailed(WarpError):
    """The demo could not start."""

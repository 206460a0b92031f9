"""
The root of every error that Warp raises on purpose, and the few that cross rooms.

Each room derives its own family from `WarpError` in a module of its own. The docstring of a leaf is the
sentence an operator sees when no better message is given.
"""


class WarpError(Exception):
    """Warp could not do what was asked."""

    def __str__(self) -> str:
        return super().__str__() or (self.__doc__ or "").strip()


class InvalidName(WarpError, ValueError):
    """The text is not a valid hostname, pattern, label or selector."""


class InvalidSettings(WarpError):
    """The configuration was refused; the one that was running stays."""


class TunnelLost(WarpError):
    """The tunnel ended before the work on it was done."""


class NotAllowed(WarpError):
    """The certificate or token does not allow this hostname."""

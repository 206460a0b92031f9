"""What can be wrong with a policy."""

from warp_twisted.errors import InvalidSettings


class InvalidPolicy(InvalidSettings):
    """The policy was refused; the one that was in force stays."""


class NewerPolicy(InvalidPolicy):
    """The policy was written for a newer release of Warp."""

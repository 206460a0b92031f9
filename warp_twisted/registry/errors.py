"""What can go wrong between the registry and those who use it."""

from warp_twisted.errors import WarpError


class RegistryError(WarpError):
    """The registry could not do what was asked."""


class LeaseNotFound(RegistryError):
    """The lease ran out or was revoked; what it held is gone."""


class Compacted(RegistryError):
    """The changes asked for are no longer kept; read everything again."""


class TooLarge(RegistryError):
    """A key, a value or the registry as a whole is over its limit."""


class StoreClosed(RegistryError):
    """The registry is closed."""


class StoreInUse(RegistryError):
    """Another process has this registry open."""


class StoreBroken(RegistryError):
    """The registry's file cannot be read or written."""


class StoreHandedOver(RegistryError):
    """Another process of this edge writes the registry; ask that one."""


class StoreTooNew(StoreBroken):
    """The registry's file was written by a later release, and must not be read by this one."""


class BadValue(RegistryError):
    """The registry holds a value that is not what its key promises."""


class NotEmpty(RegistryError):
    """The place that a registry is to be copied to holds one already."""


class NotTheSame(RegistryError):
    """What was written is not what is read there."""


class PolicyChanged(RegistryError):
    """Another version of the policy is in force than the one that was to be replaced."""

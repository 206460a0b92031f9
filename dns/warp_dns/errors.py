"""
What can go wrong in the DNS rooms, as the operator reads it.

One family, `DnsError`; each leaf's docstring is the sentence shown when no better message is given. Faults of a
peer's message are not here: they become response codes and never leave `query` and `responder` as exceptions.
"""


class DnsError(Exception):
    """The DNS server could not do what was asked."""

    def __str__(self) -> str:
        return super().__str__() or (self.__doc__ or "").strip()


class InvalidRecord(DnsError, ValueError):
    """The record is not valid in presentation format."""


class InvalidZone(DnsError, ValueError):
    """The zone was refused; the one that was served stays."""


class BadMasterFile(InvalidZone):
    """The zone's master file cannot be used; its settings can."""


class KeyLeftOut(DnsError):
    """The key is configured, but its secret could not be read."""


class InvalidSettings(DnsError, ValueError):
    """The configuration was refused; the one that was running stays."""


class BadNumberedZone(DnsError):
    """What another server told of the numbered zone is nothing that a zone can hold."""


class EdgeNotUnderstood(DnsError):
    """The edge sent something that is not what was asked for."""


class ListenFailed(DnsError):
    """An address to serve DNS on could not be bound."""


def refuse(error: DnsError) -> None:
    """Raise what would be left out otherwise: for those who want to hear of everything that is wrong."""
    raise error

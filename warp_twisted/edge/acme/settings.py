"""`acme` of edge.yaml: with whom certificates are ordered, and for which names."""

from typing import Annotated

import msgspec

from warp_twisted.acme.door import ExternalAccount, Settings
from warp_twisted.errors import InvalidName
from warp_twisted.names import HostnamePattern

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
Names = Annotated[tuple[Text, ...], msgspec.Meta(min_length=1, max_length=100)]


class EabSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What binds the account to one that exists at the authority (RFC 8555 §7.3.4); the key is a file's content."""

    key_id: Text
    hmac_key_file: Text


class AcmeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    The section.

    :ivar directory: a URL of an authority's directory, or `letsencrypt`, `letsencrypt-staging`, `zerossl`, `google`.
    :ivar root: a file of PEM certificates that the authority's own server is verified with; None: the system's.
    :ivar certificates: the names of each certificate; empty: one for the zone and `*.` below it.
    :ivar caa: whether CAA records say that nobody else may issue for the zone.
    """

    directory: Text = "letsencrypt"
    email: str = ""
    root: Text | None = None
    profile: str = ""
    eab: EabSettings | None = None
    certificates: Annotated[tuple[Names, ...], msgspec.Meta(max_length=100)] = ()
    caa: bool = True

    def __post_init__(self) -> None:
        if "://" in self.directory and not self.directory.startswith("https://"):
            raise ValueError(f"directory: expected https:// or a name that is known, got {self.directory!r}")
        for index, names in enumerate(self.certificates):
            for number, name in enumerate(names):
                try:
                    normal = HostnamePattern.parse(name).text
                except InvalidName as error:
                    raise ValueError(f"certificates[{index}][{number}]: {error}") from error
                if normal != name:
                    raise ValueError(f"certificates[{index}][{number}]: expected {normal!r}, got {name!r}")
        first = [names[0] for names in self.certificates]
        if len(set(first)) < len(first):
            raise ValueError("certificates: two begin with the same name, by which they are called")

    def wanted(self, zone: str) -> tuple[tuple[str, ...], ...]:
        """Return the names of each certificate that is wanted."""
        return self.certificates or ((zone, f"*.{zone}"),)

    @property
    def told(self) -> Settings:
        """What the issuing process is told."""
        return Settings(
            directory=self.directory,
            email=self.email,
            root=self.root or "",
            profile=self.profile,
            external_account=ExternalAccount(key_id=self.eab.key_id, hmac_key_file=self.eab.hmac_key_file)
            if self.eab is not None
            else None,
        )

"""What can be wrong with certificates, requests for them, and join tokens."""

from warp_twisted.errors import WarpError


class CaError(WarpError):
    """The certificate authority could not do what was asked."""


class BadRequest(CaError):
    """The certificate request is not acceptable."""


class BadCertificate(CaError):
    """The certificate is not one that Warp issued for this purpose."""


class IssuerExpired(CaError):
    """The issuing certificate is not valid now."""


class BadCaFile(CaError):
    """A file of the certificate authority cannot be used."""


class AlreadyExists(CaError):
    """A certificate authority is there already; it is not overwritten."""


class BadJoinToken(CaError, ValueError):
    """The join token is damaged; was it copied in full?"""


class TokenRefused(CaError):
    """The join token does not let this agent in."""

    code = "token"


class TokenUnknown(TokenRefused):
    """The join token is not known to this fleet, or its secret is wrong."""

    code = "token_unknown"


class TokenExpired(TokenRefused):
    """The join token has expired; ask for a new one."""

    code = "token_expired"


class TokenUsedUp(TokenRefused):
    """The join token has been used as often as it may be; ask for a new one."""

    code = "token_used_up"


class KeyRevoked(TokenRefused):
    """The key is that of an agent that was revoked; make a new one."""

    code = "key_revoked"

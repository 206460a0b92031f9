"""
CAA records of the zone (RFC 8659): only the authority that certificates are ordered from may issue for it, and only for
our account there (`accounturi`, RFC 8657), by what we can prove (`validationmethods`).

So nobody else gets a certificate who can answer a challenge for a moment. CAA records of the zone's own file win.
"""

from urllib.parse import quote

from warp_twisted.registry.acme.records import AcmeAccount
from warp_twisted.registry.model import Value
from warp_twisted.registry.published.records import Record

MAX_ISSUERS = 10


def caa_records(zone: str, ttl: int, account: Value | None) -> tuple[Record, ...]:
    """
    Return the records of the zone's name; none while there is no account, or if they are not wanted.

    :param account: the registry's value.
    """
    if not isinstance(account, AcmeAccount) or not account.caa or not account.url:
        return ()
    url = quote(account.url, safe="/:@!$&'()*+,=?-._~%")  # no space, quote or semicolon gets into a record
    return tuple(
        Record(zone, "CAA", ttl, f'0 {tag} "{issuer}; accounturi={url}; validationmethods={methods}"')
        for issuer in account.issuers[:MAX_ISSUERS]
        if _is_domain(issuer)
        for tag, methods in (("issue", "dns-01,http-01"), ("issuewild", "dns-01"))
    )


def _is_domain(issuer: str) -> bool:
    return 0 < len(issuer) <= 253 and all(part.isalnum() for part in issuer.replace("-", "a").split("."))

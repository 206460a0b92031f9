"""The authorities that can be named without their URL. Pure."""

from urllib.parse import urlsplit

from warp_twisted.errors import InvalidSettings

NAMED = {
    "letsencrypt": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
    "zerossl": "https://acme.zerossl.com/v2/DV90",
    "google": "https://dv.acme-v02.api.pki.goog/directory",
}


def directory_url(text: str) -> str:
    """
    Return the URL of an authority's directory.

    :param text: a key of `NAMED`, or the URL itself.
    :raises InvalidSettings: if it is neither; RFC 8555, 6.1: "All interactions [...] MUST use HTTPS".
    """
    url = NAMED.get(text, text)
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        names = ", ".join(NAMED)
        raise InvalidSettings(f"acme.directory: expected an https URL or one of {names}, got {text!r}")
    return url

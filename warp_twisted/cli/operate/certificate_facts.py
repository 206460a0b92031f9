"""What the commands of `warp ca` say of a certificate, for people and as JSON."""

from pathlib import Path

from cryptography import x509

from warp_twisted.ca.issue import fingerprint, permitted_names
from warp_twisted.cli.output import say


def certificate_facts(certificate: x509.Certificate, path: Path, key: Path | None = None) -> dict[str, object]:
    """Return what there is to know of a certificate; `key`: where its key is, if it was made now."""
    facts: dict[str, object] = {
        "certificate": str(path),
        "subject": certificate.subject.rfc4514_string(),
        "fingerprint_sha256": fingerprint(certificate).hex(),
        "permitted": list(permitted_names(certificate)),
        "expires_at": certificate.not_valid_after_utc.timestamp(),
    }
    return facts if key is None else {**facts, "key": str(key)}


def tell_certificate(certificate: x509.Certificate, path: Path, key: Path | None = None) -> None:
    """Print the same in words."""
    until = certificate.not_valid_after_utc
    permitted = permitted_names(certificate)
    say(f"{path}: {certificate.subject.rfc4514_string().removeprefix('CN=')}, until {until:%Y-%m-%d}")
    say(f"  SHA-256 {fingerprint(certificate).hex()}")
    if permitted:
        say(f"  issues under {', '.join(permitted)}")
    if key is not None:
        say(f"  key in {key}")

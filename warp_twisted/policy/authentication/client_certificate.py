"""
Certificates that visitors prove in their TLS handshake, against authorities that a rule names.

Pure. The handshake proved that the visitor has the key; that the certificate is one of the rule's authorities, holds
today, and is for a client, is verified here, so that nothing depends on how a connection was made.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from fnmatch import translate
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy, PolicyBuilder, Store, VerificationError

from warp_twisted.policy.authentication.remembered import RememberedAnswers
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.interfaces import ABSENT, Answer, Identity, Outcome

KIND = "client_certificate"
MAX_CERTIFICATES = 100  # in a file of authorities
REMEMBERED_SECONDS = 60.0
MAX_REASON = 200  # characters of what the verifier says


class AuthoritiesError(ValueError):
    """A file of authorities cannot be used; the text says why."""


def read_authorities(text: str) -> tuple[x509.Certificate, ...]:
    """
    Read certificates of authorities in PEM.

    :raises AuthoritiesError: there are none, too many, something else, or one that may not sign others, and so would
        let nobody in.
    """
    try:
        found = tuple(x509.load_pem_x509_certificates(text.encode()))
    except ValueError:
        raise AuthoritiesError("expected certificates in PEM") from None
    if len(found) > MAX_CERTIFICATES:
        raise AuthoritiesError(f"more than {MAX_CERTIFICATES} certificates")
    for each in found:
        if not _is_authority(each):
            raise AuthoritiesError(
                f"{each.subject.rfc4514_string()} is no authority: it may not sign certificates (basicConstraints CA)"
            )
    return found


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        extensions = certificate.extensions
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False
    usages = [each.value for each in extensions if isinstance(each.value, x509.KeyUsage)]
    return constraints.ca and all(usage.key_cert_sign for usage in usages)


def _check_authority(policy: Policy, certificate: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("no authority")


def _check_signs(policy: Policy, certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an authority that signs no certificates")


def _check_client(policy: Policy, certificate: x509.Certificate, usage: x509.ExtendedKeyUsage | None) -> None:
    if usage is not None and not {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & {
        *usage
    }:
        raise ValueError("not for a client")


# RFC 5280, without what the web's own authorities promise besides: many owners' have no key identifiers, and their
# clients' certificates no subject alternative names.
_AUTHORITY = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _check_authority)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _check_signs)
)
_CLIENT = ExtensionPolicy.permit_all().may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _check_client)


class ClientCertificateCheck:
    """
    One rule's authorities and names.

    :param san: DNS names, email addresses and URIs, of which the certificate must have one; `*` stands for any
        characters. None for any name.
    :param fingerprints: SHA-256 in lower-case hexadecimal digits, of which it must have one; None for any.
    """

    kind = KIND
    challenge = None
    carriers: tuple[bytes, ...] = ()

    def __init__(
        self,
        authorities: Sequence[x509.Certificate],
        *,
        san: Sequence[str] | None = None,
        fingerprints: frozenset[str] | None = None,
    ) -> None:
        self.authorities = tuple(each.public_bytes(Encoding.DER) for each in authorities)
        self._store = Store(list(authorities))
        self._san = None if san is None else re.compile("|".join(map(translate, san)))
        self._fingerprints = fingerprints
        self._remembered = RememberedAnswers()

    def look(self, facts: Facts, now: float, wall: float) -> Answer:
        """Verify the certificate of the connection."""
        chain = facts.chain
        if not chain:
            return ABSENT
        digest = self._remembered.digest(b"".join(chain))
        known = self._remembered.get(digest, now, wall)
        if known is None:
            known, until_wall = self._verified(chain, wall)
            self._remembered.put(digest, known, now + REMEMBERED_SECONDS, until_wall)
        return known

    def _verified(self, chain: Sequence[bytes], wall: float) -> tuple[Answer, float]:
        """Return the answer, and until when by the calendar it may hold."""
        der = chain[0]
        fingerprint = sha256(der).hexdigest()
        if self._fingerprints is not None and fingerprint not in self._fingerprints:
            return _refused("another fingerprint"), float("inf")
        instant = datetime.fromtimestamp(wall, UTC)
        try:
            certificate = x509.load_der_x509_certificate(der)
            verified = (
                PolicyBuilder()
                .store(self._store)
                .time(instant)
                .extension_policies(ca_policy=_AUTHORITY, ee_policy=_CLIENT)
                .build_client_verifier()
                .verify(certificate, [x509.load_der_x509_certificate(each) for each in chain[1:]])
            )
        except (ValueError, VerificationError) as error:
            # The verifier goes on to quote the certificate, which is the visitor's words.
            why = str(error).removeprefix("validation failed: ").partition(" (encountered")[0]
            reason = f"not of these authorities, not for a client, or not valid today: {why[:MAX_REASON]}"
            return _refused(reason), wall + REMEMBERED_SECONDS
        names = [str(name.value) for name in verified.subjects or () if isinstance(name.value, str)]
        if self._san is not None and not any(self._san.fullmatch(name) for name in names):
            return _refused("another name"), float("inf")
        subject = names[0] if names else certificate.subject.rfc4514_string()
        identity = Identity(KIND, subject, {"fingerprint": fingerprint})
        return Answer(Outcome.PROVEN, identity), certificate.not_valid_after_utc.timestamp()


def _refused(reason: str) -> Answer:
    return Answer(Outcome.REFUSED, reason=reason)

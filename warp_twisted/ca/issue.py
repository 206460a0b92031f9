"""
Certificates, from keys, names and the time as arguments: what Warp issues, and how it reads its own.

Root (offline, 10 years) → one intermediate for each edge node (1 year) → the edge's own certificate for its tunnel
listener, and agents' certificates. All keys are ECDSA P-256. An agent's certificate says who it is (URI SAN
`warp://agent/ID`) and which hostnames it may serve (dNSName SANs, wildcards as in `HostnamePattern`); an edge's says
which edge it is (`warp://edge/NAME`), to other edges (`ca.edge_identity`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from warp_twisted.ca.errors import BadCertificate, BadRequest, IssuerExpired
from warp_twisted.errors import InvalidName
from warp_twisted.names import HostnamePattern

ROOT_LIFETIME = timedelta(days=3650)
INTERMEDIATE_LIFETIME = timedelta(days=365)
EDGE_LIFETIME = timedelta(days=7)
AGENT_LIFETIME = timedelta(hours=24)
# Clocks are not all right: a verifier that is behind by so much takes for good what was issued a moment ago. An hour is
# what Let's Encrypt takes. Less for a short life, see `_builder`.
BACKDATED = timedelta(hours=1)
MAX_REQUEST_BYTES = 16384  # a P-256 request has some 400
MAX_PATTERNS = 100

AGENT_URI = "warp://agent/"
EDGE_URI = "warp://edge/"

Address = IPv4Address | IPv6Address

# What `cryptography` raises at bytes that are not what they should be; it has no common base.
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    InvalidSignature,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True)
class Issuer:
    """
    A CA certificate with its key, masked in the repr.

    :param chain: the certificates above it that a peer needs, without the root.
    """

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...] = ()

    def __repr__(self) -> str:
        return f"Issuer({self.certificate.subject.rfc4514_string()!r}, key=****)"


@dataclass(frozen=True, slots=True)
class AgentIdentity:
    """Who an agent's certificate says it is, and what it may serve."""

    id: str
    patterns: tuple[HostnamePattern, ...]
    expires_at: float
    serial: int


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a key."""
    return ec.generate_private_key(ec.SECP256R1())


def new_request(key: ec.EllipticCurvePrivateKey) -> str:
    """Write a certificate request (PEM) that proves possession of a key and asks for nothing else."""
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode("ascii")


def read_request(pem: str) -> ec.EllipticCurvePublicKey:
    """
    Check a certificate request and return its key; what it may be called is not for the asker to say.

    :raises BadRequest: if it is not exactly one P-256 request with a good signature and no wishes.
    """
    text = pem.strip()
    if len(text) > MAX_REQUEST_BYTES:
        raise BadRequest(f"the certificate request is larger than {MAX_REQUEST_BYTES} bytes")
    begin, end = "-----BEGIN CERTIFICATE REQUEST-----", "-----END CERTIFICATE REQUEST-----"
    if not text.startswith(begin) or not text.endswith(end) or text.count("-----BEGIN") != 1:
        raise BadRequest("exactly one PEM block CERTIFICATE REQUEST is expected")
    try:
        request = x509.load_pem_x509_csr(text.encode())
        key = request.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise BadRequest("the certificate request must be for an ECDSA P-256 key")  # others may take long to check
        is_signed = request.is_signature_valid
        wishes = len(request.extensions)
    except UNREADABLE as error:
        raise BadRequest(f"the certificate request cannot be read: {error}") from error
    if not is_signed:
        raise BadRequest("the certificate request is not signed by its own key")
    if wishes:
        raise BadRequest("the certificate request asks for extensions; the join token says what is issued")
    return key


def issue_root(key: ec.EllipticCurvePrivateKey, name: str, now: datetime) -> x509.Certificate:
    """
    Make a root, which signs intermediates only.

    :param name: for people, such as the zone.
    """
    return issue_self_signed(key, f"Warp root of {name}", now, path_length=1)


def issue_self_signed(
    key: ec.EllipticCurvePrivateKey, common_name: str, now: datetime, *, path_length: int
) -> x509.Certificate:
    """
    Make a certificate at the top of a chain.

    :param path_length: of the authorities below it; 0: it signs no other authority.
    """
    subject = _name(common_name)
    builder = _builder(subject, subject, key.public_key(), now, now + ROOT_LIFETIME)
    return _authority(builder, key.public_key(), key.public_key(), path_length=path_length).sign(key, hashes.SHA256())


def issue_intermediate(
    root: Issuer,
    public_key: ec.EllipticCurvePublicKey,
    edge: str,
    now: datetime,
    permitted: Sequence[str] = (),
    lifetime: timedelta = INTERMEDIATE_LIFETIME,
) -> x509.Certificate:
    """
    Make an edge node's own issuer.

    :param edge: the edge's name, for people.
    :param permitted: names under which it may issue, such as the zone; empty allows every name.
    :raises IssuerExpired: if the root is not valid now.
    """
    until = _until(root, now, lifetime)
    builder = _builder(_name(intermediate_name(edge)), root.certificate.subject, public_key, now, until)
    builder = _authority(builder, public_key, root.key.public_key(), path_length=0).add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
    )
    if permitted:
        names = x509.NameConstraints([x509.DNSName(name) for name in permitted], None)
        builder = builder.add_extension(names, critical=True)
    return builder.sign(root.key, hashes.SHA256())


def intermediate_name(edge: str) -> str:
    """Return the common name of an edge's intermediate, which no other edge's has."""
    return f"Warp edge {edge}"


def issue_edge(
    issuer: Issuer,
    public_key: ec.EllipticCurvePublicKey,
    names: Sequence[str],
    addresses: Sequence[Address],
    now: datetime,
    lifetime: timedelta = EDGE_LIFETIME,
    *,
    edge: str = "",
) -> x509.Certificate:
    """
    Make the certificate of an edge's tunnel listener.

    :param names: hostnames under which agents dial it; the first also stands in the subject.
    :param edge: the name by which other edges know it, and let it dial them; empty: it is for a listener only.
    :raises IssuerExpired: if the issuer is not valid now.
    """
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    alternatives += [x509.IPAddress(address) for address in addresses]
    usages = [ExtendedKeyUsageOID.SERVER_AUTH]
    if edge:
        alternatives.append(x509.UniformResourceIdentifier(EDGE_URI + edge))
        usages.append(ExtendedKeyUsageOID.CLIENT_AUTH)
    return issue_leaf(issuer, public_key, names[0], alternatives, usages, now, lifetime)


def issue_agent(
    issuer: Issuer,
    public_key: ec.EllipticCurvePublicKey,
    agent: str,
    patterns: Sequence[HostnamePattern],
    now: datetime,
    lifetime: timedelta = AGENT_LIFETIME,
) -> x509.Certificate:
    """
    Make an agent's certificate.

    :raises IssuerExpired: if the issuer is not valid now.
    :raises BadRequest: if a pattern is outside what the issuer may issue, or there are none or too many.
    """
    if not 1 <= len(patterns) <= MAX_PATTERNS:
        raise BadRequest(f"an agent has 1 to {MAX_PATTERNS} hostname patterns")
    check_permitted(issuer, patterns)
    alternatives: list[x509.GeneralName] = [x509.UniformResourceIdentifier(AGENT_URI + agent)]
    alternatives += [x509.DNSName(pattern.text) for pattern in patterns]
    return issue_leaf(issuer, public_key, agent, alternatives, [ExtendedKeyUsageOID.CLIENT_AUTH], now, lifetime)


def issue_leaf(
    issuer: Issuer,
    public_key: ec.EllipticCurvePublicKey,
    subject: str,
    alternatives: Sequence[x509.GeneralName],
    usages: Sequence[x509.ObjectIdentifier],
    now: datetime,
    lifetime: timedelta,
) -> x509.Certificate:
    """
    Make a certificate that signs no others.

    :param subject: for people; its first 64 characters are used.
    :param alternatives: what it is good for by name; empty: for nothing that is looked up by a name.
    :raises IssuerExpired: if the issuer is not valid now.
    """
    until = _until(issuer, now, lifetime)
    builder = (
        _builder(_name(subject[:64]), issuer.certificate.subject, public_key, now, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(_authority_key(issuer.key.public_key()), critical=False)
    )
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(issuer.key, hashes.SHA256())


def check_permitted(issuer: Issuer, patterns: Sequence[HostnamePattern]) -> None:
    """
    Refuse hostnames that the issuer's own certificate does not let it issue for.

    :raises BadRequest: naming the first.
    """
    permitted = permitted_names(issuer.certificate)
    for pattern in patterns:
        base = pattern.text.removeprefix("*.")
        if permitted and not any(base == name or base.endswith("." + name) for name in permitted):
            raise BadRequest(f"{pattern} is outside what this edge may issue for: {', '.join(permitted)}")


def permitted_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the names under which a CA certificate may issue; empty: every name."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.value for name in constraints.permitted_subtrees or () if isinstance(name, x509.DNSName))


def agent_identity(certificate: x509.Certificate) -> AgentIdentity:
    """
    Read an agent's certificate, whose chain has been verified already.

    :raises BadCertificate: if it is not an agent's: exactly one `warp://agent/ID`, patterns, and client use.
    """
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        uris = alternatives.get_values_for_type(x509.UniformResourceIdentifier)
        patterns = tuple(HostnamePattern.parse(name) for name in alternatives.get_values_for_type(x509.DNSName))
    except (x509.ExtensionNotFound, InvalidName, *UNREADABLE) as error:
        raise BadCertificate(f"not an agent's certificate: {error}") from error
    if list(usage) != [ExtendedKeyUsageOID.CLIENT_AUTH]:
        raise BadCertificate("not an agent's certificate: it is not for clients")
    if len(uris) != 1 or not uris[0].startswith(AGENT_URI) or not uris[0].removeprefix(AGENT_URI):
        raise BadCertificate(f"not an agent's certificate: one {AGENT_URI}ID is expected")
    return AgentIdentity(
        id=uris[0].removeprefix(AGENT_URI),
        patterns=patterns,
        expires_at=certificate.not_valid_after_utc.timestamp(),
        serial=certificate.serial_number,
    )


def fingerprint(certificate: x509.Certificate) -> bytes:
    """Return the SHA-256 of a certificate (32 bytes), by which join tokens pin the root."""
    return certificate.fingerprint(hashes.SHA256())


def to_pem(*certificates: x509.Certificate) -> str:
    """Write certificates one after the other."""
    return "".join(each.public_bytes(serialization.Encoding.PEM).decode("ascii") for each in certificates)


def key_to_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Write a private key (PKCS #8, not encrypted)."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def utc(seconds: float) -> datetime:
    """Turn seconds since the epoch into what the functions here take as `now`."""
    return datetime.fromtimestamp(seconds, UTC)


def _until(issuer: Issuer, now: datetime, lifetime: timedelta) -> datetime:
    """Return when a certificate ends: after its lifetime, and never after its issuer."""
    certificate = issuer.certificate
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise IssuerExpired(
            f"{certificate.subject.rfc4514_string()} is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} "
            f"to {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, and this machine's clock shows "
            f"{now:%Y-%m-%d %H:%M}"
        )
    return min(now + lifetime, certificate.not_valid_after_utc)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    # An agent renews at half of the certificate's life, which must not be over when it begins.
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - min(BACKDATED, (until - now) / 10))
        .not_valid_after(until)
    )


def _authority(
    builder: x509.CertificateBuilder,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    path_length: int,
) -> x509.CertificateBuilder:
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_authority_key(issuer_key), critical=False)
    )


def _authority_key(key: ec.EllipticCurvePublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)


def _key_usage(signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )

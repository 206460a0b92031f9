"""
Which edge a certificate is of, to other edges. Pure; the chain has been verified by whoever asks.

An edge's own certificate says `warp://edge/NAME` and is for servers and clients; an agent's says `warp://agent/ID` and
is for clients alone, so neither is ever taken for the other. Every intermediate of the fleet could write any name, so
two more things must hold: the issuer is the intermediate of that edge, as the offline root has named it, and its key is
the one that the registry keeps for the edge. An edge that was taken over can so pose as no other, and one that was
removed from the registry, or has got a new intermediate since, as nobody.
"""

from base64 import b64decode, b64encode

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from warp_twisted.ca.errors import BadCertificate
from warp_twisted.ca.issue import EDGE_URI, UNREADABLE, intermediate_name

MAX_KEY_CHARACTERS = 200  # a P-256 key has 124
_USAGES = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


def edge_identity(certificate: x509.Certificate) -> str:
    """
    Read an edge's name from its certificate, whose chain leads to the fleet's root.

    :raises BadCertificate: if it is not an edge's, or was not issued by the intermediate of the edge that it names.
    """
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        uris = alternatives.get_values_for_type(x509.UniformResourceIdentifier)
        issuers = [attribute.value for attribute in certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except (x509.ExtensionNotFound, *UNREADABLE) as error:
        raise BadCertificate(f"not an edge's certificate: {error}") from error
    if set(usage) != _USAGES:
        raise BadCertificate("not an edge's certificate: it is not for servers and clients")
    if len(uris) != 1 or not uris[0].startswith(EDGE_URI) or uris[0] == EDGE_URI:
        raise BadCertificate(f"not an edge's certificate: one {EDGE_URI}NAME is expected")
    name = uris[0].removeprefix(EDGE_URI)
    if issuers != [intermediate_name(name)]:
        raise BadCertificate(f"the certificate of edge {name} was issued by another: {issuers}")
    return name


def authority_key(intermediate: x509.Certificate) -> str:
    """Return the public key of an edge's intermediate as the registry keeps it (SubjectPublicKeyInfo, base64)."""
    key = intermediate.public_key()
    return b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode("ascii")


def check_issued_under(certificate: x509.Certificate, key: str) -> None:
    """
    Refuse a certificate that another key than that of its edge's intermediate has signed.

    :param key: as `authority_key` writes it.
    :raises BadCertificate: if it has, or the key cannot be read.
    """
    try:
        public = load_der_public_key(b64decode(key[:MAX_KEY_CHARACTERS], validate=True))
        if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
            raise BadCertificate("the key that the registry keeps of the edge is not an ECDSA P-256 key")
        algorithm = certificate.signature_hash_algorithm
        if algorithm is None:
            raise BadCertificate("the edge's certificate is signed in another way than Warp's are")
        public.verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(algorithm))
    except UNREADABLE as error:
        if isinstance(error, InvalidSignature):
            raise BadCertificate("the intermediate that issued it is not the one that the registry knows") from error
        raise BadCertificate(f"the key that the registry keeps of the edge cannot be read: {error}") from error

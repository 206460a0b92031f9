"""
Proof that an agent whose certificate has ended is the one that it was issued to.

The agent shows its ended chain, and signs with the key of the chain's leaf what nobody could have signed before: a
nonce that the edge has just made. Both ends of that proof are here; whether the agent may return is for the edge to
judge, which knows the registry. Pure: time and nonce are handed in. What is signed: wire/spec.md §8.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from warp_twisted.ca.errors import BadCertificate
from warp_twisted.ca.issue import AgentIdentity, agent_identity, utc

MAX_CERTIFICATES = 3  # the leaf, its issuer, and one more while a root is changed
MAX_CHAIN_CHARACTERS = 48_000  # a leaf with 100 hostnames at their longest has 35,000
_PURPOSE = b"warp-return/1\0"  # so that the signature is good for nothing else


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenAgent:
    """
    An agent that has proven who it is.

    :ivar key: of its certificate; the next one is for the same.
    :ivar key_sha256: as `key_fingerprint` writes it.
    """

    identity: AgentIdentity
    key: ec.EllipticCurvePublicKey
    key_sha256: str


def key_fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """Return the SHA-256 of a public key (SubjectPublicKeyInfo, DER), 64 hexadecimal digits."""
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def sign_return(key: ec.EllipticCurvePrivateKey, nonce: str, chain_pem: str) -> str:
    """
    Prove that the key of an ended certificate is here now.

    :param nonce: as the edge sent it.
    :param chain_pem: the certificate and its issuers, leaf first.
    :returns: an ECDSA signature (DER), hexadecimal.
    :raises BadCertificate: if the chain cannot be read.
    """
    leaf = _read_chain(chain_pem)[0]
    return key.sign(_signed(nonce, leaf), ec.ECDSA(hashes.SHA256())).hex()


def prove_return(
    chain_pem: str, signature: str, nonce: str, roots: Sequence[x509.Certificate], now: float
) -> ProvenAgent:
    """
    Check such a proof: the chain led to one of the roots when its leaf ended, and the leaf's key has signed the nonce.

    :param now: seconds since the epoch. A leaf that has not ended yet is checked as of now, and one that has not begun,
        as an edge whose clock was ahead has issued it, as of its beginning.
    :raises BadCertificate: if anything is wrong with it; costs ten checks of a signature with one root, about 1 ms.
    """
    leaf, *issuers = _read_chain(chain_pem)
    key = [_p256_key(certificate) for certificate in (*issuers, leaf)][-1]  # other kinds may take long to check
    try:
        key.verify(bytes.fromhex(signature), _signed(nonce, leaf), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError) as error:
        raise BadCertificate("the answer to the edge's nonce was not signed by the certificate's key") from error
    issuers = _genuine_issuers(leaf, issuers, roots)
    as_of = max(leaf.not_valid_before_utc, min(leaf.not_valid_after_utc, utc(now)))
    try:
        PolicyBuilder().store(Store(list(roots))).time(as_of).build_client_verifier().verify(leaf, issuers)
    except (VerificationError, ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise BadCertificate(f"the certificate was not issued by this fleet: {error}") from error
    return ProvenAgent(identity=agent_identity(leaf), key=key, key_sha256=key_fingerprint(key))


def _genuine_issuers(
    leaf: x509.Certificate, issuers: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """
    Return the issuers from the leaf's to the first that a root has issued, judged by their signatures alone.

    What else they say is compared only then: a chain that somebody made up has room for a thousand names and as many
    constraints on names, which take 240 ms to compare, and are compared before any signature is looked at.

    :raises BadCertificate: if there is none.
    """
    genuine: list[x509.Certificate] = []
    for issuer in issuers:
        issued = genuine[-1] if genuine else leaf
        if any(_has_issued(root, issued) for root in roots):
            return genuine
        if not _has_issued(issuer, issued):
            break
        genuine.append(issuer)
    if not any(_has_issued(root, genuine[-1] if genuine else leaf) for root in roots):
        raise BadCertificate("the certificate was not issued by this fleet: its issuers do not lead to a root")
    return genuine


def _has_issued(issuer: x509.Certificate, issued: x509.Certificate) -> bool:
    try:
        issued.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _signed(nonce: str, leaf: x509.Certificate) -> bytes:
    return _PURPOSE + nonce.encode("utf-8", "surrogatepass") + b"\0" + leaf.fingerprint(hashes.SHA256())


def _p256_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadCertificate("not an agent's certificate: ECDSA P-256 keys are expected")
    return key


def _read_chain(chain_pem: str) -> list[x509.Certificate]:
    if len(chain_pem) > MAX_CHAIN_CHARACTERS:
        raise BadCertificate(f"the chain of certificates has more than {MAX_CHAIN_CHARACTERS} characters")
    if chain_pem.count("-----BEGIN") > MAX_CERTIFICATES:
        raise BadCertificate(f"the chain has more than {MAX_CERTIFICATES} certificates")
    try:
        chain = x509.load_pem_x509_certificates(chain_pem.encode("utf-8", "surrogatepass"))
        for certificate in chain:
            certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise BadCertificate(f"the chain of certificates cannot be read: {error}") from error
    return chain

"""
Secrets that lie in the registry, sealed to one edge's key, so that the registry and its backups hold none in the clear.

A sealed text is `1.` and base64url of: 32 bytes, the public half of a key that is made for this text alone (X25519);
and the secret under AES-256-GCM, which ends in 16 bytes of tag. The key of AES comes from the exchange by HKDF-SHA256
(RFC 5869): salt is the two public keys, info is `warp sealed 1`. As each key is used once, the nonce is 12 bytes of 0.
What the text is about is authenticated with it, so no record takes the place of another. Pure but for randomness.
"""

import base64
import binascii

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

MAX_SECRET_BYTES = 64 << 10
_VERSION = "1."
_KEY_BYTES = 32
_NONCE = bytes(12)
_INFO = b"warp sealed 1"


def new_private_key() -> bytes:
    """Make a key that opens what is sealed to its public half; PEM, for a file that one user may read."""
    return X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_key_of(private: bytes) -> str:
    """
    Return the public half of a key, base64url.

    :raises ValueError: if the PEM holds no such key.
    """
    return _encoded(_loaded(private).public_key().public_bytes_raw())


def seal(secret: str, public_key: str, about: str) -> str:
    """
    Seal a secret to a key.

    :param public_key: as `public_key_of` returns it.
    :param about: which record it belongs to, such as `order warp.example`; needed to open it.
    :raises ValueError: if the key is none, or the secret too long.
    """
    content = secret.encode()
    if len(content) > MAX_SECRET_BYTES:
        raise ValueError(f"a secret of more than {MAX_SECRET_BYTES} bytes is not sealed")
    recipient = X25519PublicKey.from_public_bytes(_decoded(public_key))
    once = X25519PrivateKey.generate()
    own = once.public_key().public_bytes_raw()
    cipher = _cipher(once.exchange(recipient), own, recipient.public_bytes_raw())
    return _VERSION + _encoded(own + cipher.encrypt(_NONCE, content, about.encode()))


def open_sealed(private: bytes, sealed: str, about: str) -> str:
    """
    Open what was sealed to a key.

    :param private: PEM.
    :raises ValueError: if it was sealed to another key or is about another record, is damaged, or of a later version.
    """
    if not sealed.startswith(_VERSION):
        raise ValueError("it is sealed in a way that this release does not know")
    content = _decoded(sealed[len(_VERSION) :])
    key = _loaded(private)
    own, encrypted = content[:_KEY_BYTES], content[_KEY_BYTES:]
    shared = key.exchange(X25519PublicKey.from_public_bytes(own))
    try:
        cipher = _cipher(shared, own, key.public_key().public_bytes_raw())
        return cipher.decrypt(_NONCE, encrypted, about.encode()).decode()
    except InvalidTag as error:
        raise ValueError("it is sealed to another key, is about something else, or is damaged") from error


def _cipher(shared: bytes, own: bytes, recipient: bytes) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=own + recipient, info=_INFO).derive(shared))


def _loaded(private: bytes) -> X25519PrivateKey:
    key = load_pem_private_key(private, None)
    if not isinstance(key, X25519PrivateKey):
        raise ValueError("expected an X25519 key")
    return key


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(f"expected base64url: {error}") from error

"""
A certificate that was ordered, made ready to be shown: its chain and key come as text, not as files.

Python lets OpenSSL read both from a file only. So they are written into one that has no name and lies in memory, which
is closed again: the key is on no disk in the clear.
"""

import os
import ssl

from cryptography import x509

from warp_twisted.edge.certificates.contexts import visitors_context
from warp_twisted.edge.certificates.directory import Certificate, names_of


def load_ordered(name: str, chain: str, key: str) -> Certificate:
    """
    Return a certificate to show; runs in any thread, for some milliseconds.

    :param chain: PEM, the leaf first.
    :param key: PEM.
    :raises ValueError: if it cannot be used, or the key is another's.
    """
    context = visitors_context()
    descriptor = os.memfd_create("warp certificate", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(f"{chain.rstrip()}\n{key.rstrip()}\n".encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=_no_password)
    except (ssl.SSLError, OSError) as error:
        raise ValueError(f"the certificate for {name} cannot be used: {error}") from error
    finally:
        os.close(descriptor)
    leaf = x509.load_pem_x509_certificate(chain.encode())
    names = names_of(leaf)
    return Certificate(
        name=name,
        hostnames=tuple(hostname.lower().removesuffix(".") for hostname in names.get_values_for_type(x509.DNSName)),
        addresses=(),
        expires_at=leaf.not_valid_after_utc.timestamp(),
        context=context,
    )


def _no_password() -> str:
    raise ValueError("its key is encrypted")

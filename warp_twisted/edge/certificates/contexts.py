"""What the TLS of visitors' connections is like, whichever certificate they are shown."""

import ssl

from warp_twisted.edge.certificates.openssl import keep_no_sessions
from warp_twisted.tunnel.groups import restrict_groups

# TLS 1.2 with forward secrecy and authenticated encryption only; TLS 1.3 has its own list.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


def visitors_context() -> ssl.SSLContext:
    """
    Return a context without a certificate.

    :raises InvalidSettings: if this Python with its OpenSSL cannot be served with.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    context.num_tickets = 1  # resumes the next connection; OpenSSL's second costs a tenth of a handshake
    # Where a visitor is asked for a certificate, an authority that a policy names is believed, also below another one.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    keep_no_sessions(context)
    restrict_groups(context)
    return context

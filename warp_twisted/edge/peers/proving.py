"""
Whether a connection is that of another edge: by its certificate, and by the record that the registry keeps of the edge.

Which certificate is an edge's is `ca.edge_identity`'s; that its chain leads to the root, TLS has seen to.
"""

from collections.abc import Mapping

from cryptography import x509

from warp_twisted.ca.edge_identity import check_issued_under, edge_identity
from warp_twisted.ca.errors import BadCertificate
from warp_twisted.edge.errors import PeerRefused
from warp_twisted.registry.edge_records import EdgeRecord


def prove_edge(
    certificate: x509.Certificate | None, records: Mapping[str, EdgeRecord], own: str, expected: str | None = None
) -> str:
    """
    Return which edge a certificate is of.

    :param records: of the edges of the fleet, by name.
    :param own: this edge's name, which no other has.
    :param expected: who was dialed; None: whoever it is.
    :raises PeerRefused: saying why it is nobody's.
    """
    if certificate is None:
        raise PeerRefused("it showed no certificate")
    try:
        name = edge_identity(certificate)
        if expected is not None and name != expected:
            raise PeerRefused(f"it is edge {name}, not {expected}")
        if name == own:
            raise PeerRefused(f"it says that it is this edge, {own}")
        record = records.get(name)
        if record is None:
            raise PeerRefused(f"the registry has no record of edge {name}")
        check_issued_under(certificate, record.authority_key)
    except BadCertificate as error:
        raise PeerRefused(str(error)) from error
    return name

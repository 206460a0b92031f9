"""
What a visitor's TLS connection was proved for: the name that the visitor asked for, the certificate it was shown, and
the one that it was asked for.

A client may use a connection for other names as well that its certificate covers (RFC 9110 §4.3.3), and only where
what was agreed on in the handshake holds for them, too. Otherwise a visitor could be let in under the conditions of one
hostname and ask for another. What a connection was not made for is answered 421 (RFC 9110 §7.4, §15.5.20).
"""

import ssl
from collections.abc import Callable, Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Proof:
    """
    What the handshake of one connection has shown.

    :param asked: the hostname that the visitor named (SNI), in lower case without a trailing dot; None if it named
        none.
    :param names: of the certificate that it was shown: DNS names and `*.` patterns in lower case, IP addresses as a URI
        has them.
    :param authorities: DER of those of whose certificates it was asked for one; none: it was not asked.
    :param chain: in DER: the certificate that it showed and proved to have the key of, then others that came with it.
    """

    asked: str | None = None
    names: Collection[str] = frozenset()
    authorities: frozenset[bytes] = frozenset()
    chain: tuple[bytes, ...] = ()

    def admits(self, hostname: str) -> bool:
        """
        Whether a request for a hostname may be served on this connection.

        The name that was asked for is always admitted: its visitor has accepted what it was shown, also where that is
        the default certificate. Any other one must be covered, as the asked one must, by the certificate that was
        shown. Who named none (old programs, health checks of an address) may ask for what the certificate covers.

        :param hostname: in lower case, without a trailing dot; an IPv6 address in brackets.
        """
        if hostname == self.asked:
            return True
        return self._covers(hostname) and (self.asked is None or self._covers(self.asked))

    def chain_for(self, authorities: frozenset[bytes]) -> tuple[bytes, ...] | None:
        """
        Return what the visitor showed for a hostname whose policy asks for a certificate of some authorities.

        A visitor that was told of other authorities, or of none as its hostname or the policy was another one, could
        not choose the right certificate. It can on a new connection, but for one that names no hostname: it is never
        asked, and has nothing to show.

        :returns: None if the connection was not made for these authorities.
        """
        if authorities == self.authorities:
            return self.chain
        return None if self.asked is not None else ()

    def _covers(self, hostname: str) -> bool:
        """Whether the certificate is for a hostname; a wildcard stands for one label (RFC 9525 §6.3)."""
        return hostname in self.names or "*." + hostname.partition(".")[2] in self.names


class ProvenTls(ssl.SSLObject):
    """
    TLS on a visitor's connection, which remembers its proof.

    :ivar proof: set by whoever chooses the certificate, during the handshake.
    :ivar may_ask_for: whether the visitor may go on, asked once with the hostname that it names; None: it may.
    """

    proof = Proof()
    may_ask_for: Callable[[str], bool] | None = None

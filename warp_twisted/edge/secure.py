"""
TLS for visitors: `tunnel.tls` with the one thing a tunnel never needs, to stop reading the peer.
"""

from warp_twisted.tunnel.tls import TlsProtocol


class VisitorTls(TlsProtocol):
    """The transport of a `SecureVisitor`."""

    def pause_reading(self) -> None:
        """Read the visitor no more; what TLS holds already, at most one record, is still delivered."""
        self._below.pauseProducing()

    def resume_reading(self) -> None:
        """Read the visitor again."""
        self._below.resumeProducing()

    def connectionMade(self) -> None:
        self._below.setTcpNoDelay(True)
        self._below.setTcpKeepAlive(True)
        super().connectionMade()

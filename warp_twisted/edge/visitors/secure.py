"""
A visitor on TLS, and what runs on it.
"""

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from warp_twisted.edge.certificates.proof import Proof
from warp_twisted.edge.policy.passage import Passage
from warp_twisted.edge.refusals import CERTIFICATE_NOT_ASKED, MISDIRECTED_HOST
from warp_twisted.edge.visitors.connection import VisitorConnection
from warp_twisted.edge.visitors.interfaces import VisitorSide
from warp_twisted.http1.refusals import MessageRefused
from warp_twisted.tunnel.tls import TlsProtocol


@implementer(IPushProducer)
class SecureVisitor(VisitorConnection):
    """
    A visitor on TLS; its transport holds back what the socket does not take, and says so.

    :param proof: what the handshake has shown.
    """

    scheme = "https"
    transport: TlsProtocol
    _is_full = False

    def __init__(self, visitors: VisitorSide, address: str, proof: Proof, passage: Passage | None = None) -> None:
        super().__init__(visitors, address, passage)
        self._proof = proof

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)
        super().connectionMade()

    def check_hostname(self, hostname: str) -> None:
        if not self._proof.admits(hostname):
            raise MessageRefused(MISDIRECTED_HOST)
        self.hostname = hostname

    def chain_for(self, authorities: frozenset[bytes]) -> tuple[bytes, ...]:
        chain = self._proof.chain_for(authorities)
        if chain is None:
            raise MessageRefused(CERTIFICATE_NOT_ASKED)
        return chain

    def write(self, data: bytes) -> None:
        if self.is_clogged:
            self._enqueue(data)
        else:
            self.transport.write(data)

    def _put(self, piece: bytes) -> None:
        self._is_full = False
        self.transport.write(piece)
        if not self._is_full:
            self._make_progress()

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self._is_full = True
        if not self.is_clogged:
            self._clog()

    def resumeProducing(self) -> None:
        """The transport's buffer is empty."""
        self._make_progress()

    def stopProducing(self) -> None:
        """The connection is gone; `connectionLost` follows."""

    def peer_ended(self) -> bool:
        """The visitor said goodbye: see `TlsProtocol`. What else it says is read, to hear when TCP ends."""
        if not self.is_waited_for:
            return False
        self.has_ended = True
        self.transport.resume_reading()
        self.visitor_ended()
        return True

    def is_reset(self) -> bool:
        """No: TLS reads on, and hears of it at once."""
        return False

    def end_sending(self) -> None:
        self.transport.loseWriteConnection()

    def _expect_bulk(self, is_bulk: bool) -> None:
        """TLS sees for itself how much comes."""

    def _stop_reading(self) -> None:
        if not self.has_ended:
            self.transport.pause_reading()

    def _start_reading(self) -> None:
        self.transport.resume_reading()

    def _lose(self) -> None:
        """TLS drops what comes after its goodbye and waits for the visitor's, so it always lingers."""
        self.wait(self.visitors.timeouts.visitor_stall)
        self.transport.loseConnection()

    def _cut(self) -> None:
        self.transport.abortConnection()

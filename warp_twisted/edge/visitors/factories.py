"""
Who is let in: what plain and TLS listeners make of a new connection, within the limits on how many there may be.
"""

import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import ceil

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory, Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure

from warp_base.accepting import Option
from warp_twisted.edge.certificates.asking import shown_chain
from warp_twisted.edge.certificates.proof import Proof, ProvenTls
from warp_twisted.edge.exchange.pages import RETRY_SECONDS
from warp_twisted.edge.exchange.pages import response as error_response
from warp_twisted.edge.policy.judgement import refusal_lines, refusal_of
from warp_twisted.edge.policy.passage import Passage
from warp_twisted.edge.refusals import PLAIN_ON_TLS
from warp_twisted.edge.routes.limits import network_of, plain_address
from warp_twisted.edge.visitors.crowd import Visitors
from warp_twisted.edge.visitors.plain import PlainVisitor
from warp_twisted.edge.visitors.secure import SecureVisitor
from warp_twisted.errors import WarpError
from warp_twisted.http1.refusals import Refusal
from warp_twisted.policy.authentication.client_certificate import KIND as CLIENT_CERTIFICATE
from warp_twisted.policy.verdict import REFUSED, Objection
from warp_twisted.tunnel.errors import PeerNotTrusted
from warp_twisted.tunnel.tls import TlsProtocol

TURNED_AWAY = 100  # connections over the limit that are told why; others are closed without a word
UNSENT_BYTES = 262_144  # that the kernel takes beyond what the visitor's window lets it send
# Small writes go out at once, dead visitors are noticed, and the kernel holds little. Without the last, it takes some
# megabytes for a slow visitor and reports room only when a third of them is gone: memory that nobody counts, and a slow
# visitor looks for minutes like a stalled one.
VISITOR_OPTIONS: tuple[Option, ...] = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES),
)


class _TurnedAway(Protocol):
    """A connection over the limit: says why, and closes; it tells when it is gone."""

    def __init__(self, page: bytes, clock: IReactorTime, seconds: float, gone: Callable[[], None]) -> None:
        self._page = page
        self._gone = gone
        self._deadline = clock.callLater(seconds, self._abort)

    def connectionMade(self) -> None:
        self.transport.write(self._page)  # type: ignore[union-attr]  # set while connected
        self.transport.loseWriteConnection()  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._deadline.active():
            self._deadline.cancel()
        self._gone()

    def _abort(self) -> None:
        self.transport.abortConnection()  # type: ignore[union-attr]


class VisitorTls(TlsProtocol):
    """The transport of a `SecureVisitor`; until there is one, a connection on which nothing is asked."""

    @property
    def proof(self) -> Proof:
        """What the handshake has shown."""
        proof = self._tls.proof if isinstance(self._tls, ProvenTls) else Proof()
        return replace(proof, chain=shown_chain(self._tls)) if proof.authorities else proof

    @property
    def asked(self) -> str:
        """The hostname that the visitor named in the handshake; empty if it has named none."""
        return (self._tls.proof.asked or "") if isinstance(self._tls, ProvenTls) else ""

    def ask_first(self, may_ask_for: Callable[[str], bool]) -> None:
        """Ask whether the visitor may go on, when it names a hostname in the handshake."""
        if isinstance(self._tls, ProvenTls):
            self._tls.may_ask_for = may_ask_for

    def give_way(self) -> bool:
        """Close at once, unless the handshake is done or the connection is closing; return whether it did."""
        if self.is_shaking_hands:
            self.abortConnection()
            return True
        return False


def _may_ask_for(visitors: Visitors, passage: Passage, hostname: str) -> bool:
    """Whether the limits of a hostname's connections let one pass; if not, it is logged."""
    verdict = passage.ask_for(hostname, visitors.seconds())
    if verdict is None or verdict.objection is None:
        return True
    _log_before_tls(visitors, passage.source.address, refusal_of(verdict.objection), verdict.objection, hostname)
    return False


def _log_before_tls(
    visitors: Visitors, address: str, refusal: Refusal, objection: Objection | None, hostname: str = ""
) -> None:
    """Log a refusal in or before the handshake: the visitor can be told nothing, or only an alert."""
    visitors.log_refusal(address, "https", refusal, visitors.next_request_id(), 0, objection, hostname)


def _answer_plainly(visitors: Visitors, address: str) -> bytes:
    """Log a request of plain HTTP where TLS is spoken, and return the answer."""
    request_id = visitors.next_request_id()
    page = error_response(
        PLAIN_ON_TLS, request_id, b"", visitors.date(), connection=b"Connection: close\r\n", has_body=True
    )
    visitors.log_refusal(address, "http", PLAIN_ON_TLS, request_id, len(page))
    return page


class VisitorFactory(ServerFactory):
    """Lets visitors in on plain TCP."""

    noisy = False

    def __init__(self, visitors: Visitors) -> None:
        self._visitors = visitors
        self._turning_away = 0

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Make a visitor's connection, or one that explains why there is none, unless there are many of those."""
        visitors = self._visitors
        address = plain_address(getattr(addr, "host", ""))
        if visitors.policy.banning.turns_away(address, network_of(address)):
            return None
        passage, objection = visitors.arrive(address, "http")
        refusal = refusal_of(objection) if objection is not None else visitors.admit(address)
        if refusal is None:
            visitors.metrics.connections += 1
            return PlainVisitor(visitors, address, passage)
        if passage is not None:
            passage.leave()
        request_id = visitors.next_request_id()
        page = error_response(
            refusal,
            request_id,
            b"",
            visitors.date(),
            connection=b"Connection: close\r\n",
            has_body=True,
            retry_seconds=ceil(objection.wait) if objection is not None and objection.wait else RETRY_SECONDS,
            lines=refusal_lines(objection, b"/", b"") if objection is not None else b"",
        )
        visitors.log_refusal(address, "http", refusal, request_id, len(page), objection)
        if self._turning_away >= TURNED_AWAY:
            return None
        self._turning_away += 1
        return _TurnedAway(page, visitors.clock, visitors.timeouts.linger, self._turned_away)

    def _turned_away(self) -> None:
        self._turning_away -= 1


class SecureVisitorFactory(Factory):
    """
    Lets visitors in on TLS.

    :param context: what is shown; its `sni_callback` chooses the certificate, and leaves the proof with `ProvenTls`.
    """

    noisy = False

    def __init__(self, visitors: Visitors, context: ssl.SSLContext) -> None:
        self._visitors = visitors
        self._context = context

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Begin a handshake; over the limit the connection is closed, because nothing can be said before TLS."""
        visitors = self._visitors
        address = plain_address(getattr(addr, "host", ""))
        network = network_of(address)
        if visitors.policy.banning.turns_away(address, network):
            return None
        is_counted = address not in visitors.http_proxies  # one of those begins handshakes for many visitors
        passage, objection = visitors.arrive(address, "https")
        if objection is not None:
            refusal: Refusal | None = refusal_of(objection)
        else:
            refusal = visitors.handshake_rate.admit(network, visitors.seconds()) if is_counted else None
            refusal = refusal or visitors.admit(address)
        if refusal is not None:
            if passage is not None:
                passage.leave()
            _log_before_tls(visitors, address, refusal, objection)
            return None
        visitors.metrics.connections += 1

        def secured(transport: TlsProtocol) -> SecureVisitor:
            visitors.shaking_hands.pop(protocol, None)
            return SecureVisitor(visitors, address, protocol.proof, passage)

        def failed(error: WarpError) -> None:
            visitors.shaking_hands.pop(protocol, None)
            if passage is not None:
                passage.leave()
            if isinstance(error, PeerNotTrusted):
                if is_counted:
                    visitors.handshake_rate.charge_untrusted(network, visitors.seconds())
                # It showed a certificate that no authority of the policy vouches for.
                untrusted = Objection("", REFUSED, f"{CLIENT_CERTIFICATE}: {error}")
                _log_before_tls(visitors, address, refusal_of(untrusted), untrusted, protocol.asked)
            visitors.handshake_failed(address)

        protocol = VisitorTls(
            self._context,
            is_server=True,
            secured=secured,
            failed=failed,
            clock=visitors.clock,
            handshake_seconds=visitors.timeouts.header,
            close_seconds=visitors.timeouts.header,
            handshakes=visitors.handshakes,
            network=network,
            plain_answer=partial(_answer_plainly, visitors, address),
        )
        if passage is not None:
            protocol.ask_first(partial(_may_ask_for, visitors, passage))
        visitors.shaking_hands[protocol] = None
        return protocol

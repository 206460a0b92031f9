"""
The certificate of this edge's tunnel listener: issued by its own intermediate, renewed while it runs.

The key never leaves the state directory and changes with every certificate. Connections that exist are not touched;
new ones see the new certificate. One that was issued while this machine's clock was wrong is replaced when it is right.
A start uses the certificate of before for the first half of its life, and where no other can be written, as on a full
disk, to its end.
"""

import ssl
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from warp_base.reactor import InThread
from warp_base.wall_clock import WallClock
from warp_twisted.ca.errors import CaError
from warp_twisted.ca.issue import EDGE_URI, issue_edge, key_to_pem, new_key, to_pem, utc
from warp_twisted.ca.store import EdgeAuthority, read_certificates, read_key, write_file
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.errors import InvalidSettings, WarpError
from warp_twisted.tunnel.contexts import edge_context, peer_context

CHECK_SECONDS = 60.0
RETRY_SECONDS = 600.0


class TunnelCertificate:
    """
    Keeps a valid certificate in front of agents.

    :param directory: where chain and key are kept, as OpenSSL reads files.
    :param changed: called with each new context.
    :param in_thread: makes the certificates that follow the first; by default they are made at once.
    """

    _log = Logger()

    def __init__(
        self,
        authority: EdgeAuthority,
        settings: EdgeSettings,
        directory: Path,
        clock: IReactorTime,
        wall: WallClock,
        changed: Callable[[ssl.SSLContext], None],
        in_thread: InThread = execute,
    ) -> None:
        self._authority = authority
        self._edge = settings.edge.name
        self._names = [settings.hostname]
        self._addresses = [ip_address(text) for text in settings.edge.addresses]
        self._lifetime = settings.ca.edge_lifetime
        self._directory = directory
        self._chain_file, self._key_file = directory / "tunnel.pem", directory / "tunnel.key"
        self._clock = clock
        self._wall = wall
        self._changed = changed
        self._in_thread = in_thread
        self._dialing: ssl.SSLContext | None = None
        self._is_renewing = False
        self._check = LoopingCall(self._renew_if_due)
        self._check.clock = clock
        self._begins_at = 0.0
        self._renew_at = 0.0
        self._retry_at = 0.0
        self.expires_at = 0.0

    def start(self) -> None:
        """
        Use the certificate of before, or issue one.

        :raises CaError: if the intermediate cannot issue now.
        :raises InvalidSettings: if what was issued cannot be used, or cannot be written and there is no other.
        """
        kept = self._kept()
        if kept is not None:
            self._note(kept)
        try:
            if kept is not None and self._is_fresh():
                self._changed(self._context())
            else:
                self._use(self._issue())
        except OSError as error:
            if kept is None or not self._begins_at <= self._wall.now() < self.expires_at:
                raise InvalidSettings(f"state: {self._directory}: {error.strerror or error}") from error
            self._changed(self._context())
            self._not_renewed(error)
        self._check.start(CHECK_SECONDS, now=False)

    def stop(self) -> None:
        """Renew no more."""
        if self._check.running:
            self._check.stop()

    def _issue(self) -> tuple[x509.Certificate, ssl.SSLContext]:
        """Issue a certificate, store it, and return it and its context; runs in any thread."""
        now = self._wall.now()
        issuer = self._authority.issuer
        key = new_key()
        lifetime = timedelta(seconds=self._lifetime)
        certificate = issue_edge(
            issuer, key.public_key(), self._names, self._addresses, utc(now), lifetime, edge=self._edge
        )
        write_file(self._key_file, key_to_pem(key), 0o600, overwrite=True)
        write_file(self._chain_file, to_pem(certificate, *issuer.chain).encode(), 0o644, overwrite=True)
        return certificate, self._context()

    def _use(self, issued: tuple[x509.Certificate, ssl.SSLContext]) -> None:
        certificate, context = issued
        self._note(certificate)
        self._changed(context)

    def _kept(self) -> x509.Certificate | None:
        """Return the certificate of before, if it is one that would be issued now: same names, issuers and lifetime."""
        issuer = self._authority.issuer
        try:
            certificate = read_certificates(self._chain_file)[0]
            is_whole = self._chain_file.read_text("ascii") == to_pem(certificate, *issuer.chain)
            is_ours = read_key(self._key_file).public_key() == certificate.public_key()
            certificate.verify_directly_issued_by(issuer.certificate)
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (CaError, OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return None
        kinds = (x509.DNSName, x509.IPAddress, x509.UniformResourceIdentifier)
        is_for_us = [names.get_values_for_type(kind) for kind in kinds] == [
            self._names, self._addresses, [EDGE_URI + self._edge]
        ]  # fmt: skip
        lasts = certificate.not_valid_after_utc.timestamp() - self._wall.now() <= self._lifetime
        return certificate if is_whole and is_ours and is_for_us and lasts else None

    def _note(self, certificate: x509.Certificate) -> None:
        self.expires_at = certificate.not_valid_after_utc.timestamp()
        self._begins_at = certificate.not_valid_before_utc.timestamp()
        self._renew_at = self.expires_at - self._lifetime / 2

    def _context(self) -> ssl.SSLContext:
        """Return what shows agents what is in the files, and make what is shown to other edges; runs in any thread."""
        roots = self._authority.roots_pem
        self._dialing = peer_context(root_pem=roots, chain_file=self._chain_file, key_file=self._key_file)
        return edge_context(root_pem=roots, chain_file=self._chain_file, key_file=self._key_file)

    def dialing_context(self) -> ssl.SSLContext:
        """
        Return what other edges are dialed with.

        :raises InvalidSettings: before there is a certificate.
        """
        if self._dialing is None:
            raise InvalidSettings("this edge has no certificate yet")
        return self._dialing

    def _is_fresh(self) -> bool:
        return self._begins_at <= self._wall.now() < self._renew_at

    def clock_stepped(self) -> None:
        """Look at once: what was issued by the time of before may not be valid yet, or no longer."""
        self._retry_at = 0.0
        self._renew_if_due()

    def _renew_if_due(self) -> Deferred[None] | None:
        if self._is_renewing or self._is_fresh() or self._clock.seconds() < self._retry_at:
            return None
        return Deferred.fromCoroutine(self._renew())

    async def _renew(self) -> None:
        self._is_renewing = True
        try:
            self._use(await self._in_thread(self._issue))
            self._log.info("the tunnel listener has a new certificate")
        except (WarpError, OSError) as error:
            self._not_renewed(error)
        finally:
            self._is_renewing = False

    def _not_renewed(self, error: Exception) -> None:
        self._retry_at = self._clock.seconds() + RETRY_SECONDS
        self._log.error(
            "no new certificate for the tunnel listener, the old one ends in {hours:.1f} h: {error}",
            hours=(self.expires_at - self._wall.now()) / 3600, error=error,
        )  # fmt: skip

"""
The certificate of this edge's tunnel listener: issued by its own intermediate, renewed while it runs.

The key never leaves the state directory and changes with every certificate. Connections that exist are not touched;
new ones see the new certificate. One that was issued while this machine's clock was wrong is replaced when it is right.
"""

import ssl
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from warp_base.wall_clock import WallClock
from warp_twisted.ca.issue import issue_edge, key_to_pem, new_key, to_pem, utc
from warp_twisted.ca.store import EdgeAuthority, write_file
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.errors import WarpError
from warp_twisted.tunnel.contexts import edge_context

CHECK_SECONDS = 60.0
RETRY_SECONDS = 600.0


class TunnelCertificate:
    """
    Keeps a valid certificate in front of agents.

    :param directory: where chain and key are kept, as OpenSSL reads files.
    :param changed: called with each new context.
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
    ) -> None:
        self._authority = authority
        self._names = [settings.hostname]
        self._addresses = [ip_address(text) for text in settings.edge.addresses]
        self._lifetime = settings.ca.edge_lifetime
        self._directory = directory
        self._clock = clock
        self._wall = wall
        self._changed = changed
        self._check = LoopingCall(self._renew_if_due)
        self._check.clock = clock
        self._begins_at = 0.0
        self._renew_at = 0.0
        self._retry_at = 0.0
        self.expires_at = 0.0

    def start(self) -> None:
        """
        Issue the first certificate.

        :raises CaError: if the intermediate cannot issue now.
        :raises InvalidSettings: if what was issued cannot be used.
        """
        self._renew()
        self._check.start(CHECK_SECONDS, now=False)

    def stop(self) -> None:
        """Renew no more."""
        if self._check.running:
            self._check.stop()

    def _renew(self) -> None:
        now = self._wall.now()
        issuer = self._authority.issuer
        key = new_key()
        certificate = issue_edge(
            issuer, key.public_key(), self._names, self._addresses, utc(now), timedelta(seconds=self._lifetime)
        )
        chain_file, key_file = self._directory / "tunnel.pem", self._directory / "tunnel.key"
        write_file(key_file, key_to_pem(key), 0o600, overwrite=True)
        write_file(chain_file, to_pem(certificate, *issuer.chain).encode(), 0o644, overwrite=True)
        context = edge_context(root_pem=self._authority.roots_pem, chain_file=chain_file, key_file=key_file)
        self.expires_at = certificate.not_valid_after_utc.timestamp()
        self._begins_at = certificate.not_valid_before_utc.timestamp()
        self._renew_at = now + (self.expires_at - now) / 2
        self._changed(context)

    def clock_stepped(self) -> None:
        """Look at once: what was issued by the time of before may not be valid yet, or no longer."""
        self._retry_at = 0.0
        self._renew_if_due()

    def _renew_if_due(self) -> None:
        now = self._wall.now()
        if self._begins_at <= now < self._renew_at or self._clock.seconds() < self._retry_at:
            return
        try:
            self._renew()
            self._log.info("the tunnel listener has a new certificate")
        except (WarpError, OSError) as error:
            self._retry_at = self._clock.seconds() + RETRY_SECONDS
            self._log.error(
                "no new certificate for the tunnel listener, the old one ends in {hours:.1f} h: {error}",
                hours=(self.expires_at - now) / 3600, error=error,
            )  # fmt: skip

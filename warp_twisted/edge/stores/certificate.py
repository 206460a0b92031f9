"""
The certificate with which this edge asks etcd: read at the start and with each reload, and missed before it ends.

Nobody renews it but the operator (`warp ca registry renew`, or site.yml), so the edge says in time when that was not
done: with the metric of all its certificates, and in the log, once a day in the last 30 days.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography import x509
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from warp_base.wall_clock import WallClock
from warp_twisted.ca.errors import CaError
from warp_twisted.edge.stores.settings import EtcdSettings, RegistrySettings
from warp_twisted.errors import InvalidSettings
from warp_twisted.registry.etcd.trust import RegistryTrust, TrustFiles

LOOK_SECONDS = 3600.0
SAY_SECONDS = 86400.0
WARN_SECONDS = 30 * 86400.0


def load_trust(settings: EtcdSettings, roots: Sequence[x509.Certificate]) -> RegistryTrust | None:
    """
    Read what etcd is asked with; None: it is asked without TLS.

    :param roots: of the fleet, which must not be etcd's authority.
    :raises InvalidSettings: naming the key.
    """
    files = _files(settings)
    if files is None:
        return None
    try:
        return RegistryTrust(files, roots)
    except CaError as error:
        raise _refusal(settings, error) from error


class RegistryCertificate:
    """
    What etcd is asked with, over the edge's life.

    :param settings: returns the settings of this moment; None: there is no etcd.
    :param trust: what is in use; None: no TLS.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        wall: WallClock,
        settings: Callable[[], RegistrySettings | None],
        trust: RegistryTrust | None,
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._settings = settings
        self._trust = trust
        self._said_at: float | None = None
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    @property
    def expires_at(self) -> float | None:
        """When it ends, in seconds since the epoch; None: there is none."""
        return self._trust.expires_at if self._trust is not None else None

    def start(self) -> None:
        """Begin to look how long it lasts."""
        if self._trust is not None and not self._looking.running:
            self._looking.start(LOOK_SECONDS)

    def stop(self) -> None:
        """Look no more."""
        if self._looking.running:
            self._looking.stop()

    def read(self) -> None:
        """
        Use what the files hold now; touches nothing but files, so that a thread may do it.

        :raises InvalidSettings: naming the key; nothing has changed then.
        """
        settings = self._settings()
        files = _files(settings.etcd) if settings is not None else None
        if settings is None or files is None or self._trust is None:
            return
        try:
            self._trust.read(files)
        except CaError as error:
            raise _refusal(settings.etcd, error) from error

    def _look(self) -> None:
        if self.expires_at is None:
            return
        left = self.expires_at - self._wall.now()
        now = self._clock.seconds()
        if left >= WARN_SECONDS or (self._said_at is not None and now - self._said_at < SAY_SECONDS):
            return
        self._said_at = now
        self._log.warn(
            "the certificate with which this edge asks etcd ends in {days:.1f} days; without it no token, enrollment or"
            " change is possible",
            days=left / 86400,
        )


def _files(settings: EtcdSettings) -> TrustFiles | None:
    if settings.ca is None or settings.certificate is None or settings.key is None:
        return None
    return TrustFiles(ca=Path(settings.ca), certificate=Path(settings.certificate), key=Path(settings.key))


def _refusal(settings: EtcdSettings, error: CaError) -> InvalidSettings:
    key = next(
        (f".{name}" for name in ("key", "certificate", "ca") if str(error).startswith(str(getattr(settings, name)))),
        "",
    )
    return InvalidSettings(f"registry.etcd{key}: {error}")

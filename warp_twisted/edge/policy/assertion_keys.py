"""
This edge's keys for assertions: kept in its state directory, renewed while it runs, and published with all others'.

The private halves never leave the state directory; the public ones are in this edge's entry of the registry, so that
every edge can publish those of the whole fleet.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from warp_base.reactor import InThread
from warp_base.wall_clock import WallClock
from warp_twisted.ca.store import write_file
from warp_twisted.policy.authentication.assertion import Assertions, key_set
from warp_twisted.policy.authentication.key_ring import KeyRing, read_key_ring
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Change, Edge

FILE = "assertion-keys.json"
CHECK_SECONDS = 60.0


class AssertionKeys:
    """
    Keeps the keys of one edge.

    A key that cannot be written, as on a full disk, does not replace the one before; the first is used unwritten, and
    written as soon as that is possible.

    :param directory: the edge's state.
    :param issuer: as in `SigningKey.signed`.
    :param in_thread: writes the file.
    :ivar assertions: signs with the key of this moment.
    """

    _log = Logger()

    def __init__(
        self, directory: Path, issuer: str, clock: IReactorTime, wall: WallClock, in_thread: InThread = execute
    ) -> None:
        self._path = directory / FILE
        self._wall = wall
        self._in_thread = in_thread
        self._is_failing = False
        self._written = self._read()
        self._ring = self._written.renewed(wall.now())
        self.assertions = Assertions(self._ring.signing(wall.now()), issuer)
        self._checking = LoopingCall(self._check)
        self._checking.clock = clock

    def start(self) -> None:
        """Write what is not written yet, and begin to look for what is due."""
        self._checking.start(CHECK_SECONDS)

    def stop(self) -> None:
        """Renew no more."""
        if self._checking.running:
            self._checking.stop()

    @property
    def public(self) -> tuple[Mapping[str, str], ...]:
        """The public halves of the keys that are used, were, or will be."""
        return self._ring.public

    def _read(self) -> KeyRing:
        try:
            return read_key_ring(self._path.read_bytes())
        except FileNotFoundError:
            return KeyRing()
        except (OSError, ValueError) as error:
            self._log.error(
                "keys for assertions cannot be read, and new ones are made: {path}: {error}",
                path=str(self._path), error=error,
            )  # fmt: skip
            return KeyRing()

    def _check(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.renew())

    async def renew(self) -> None:
        """Make what is due."""
        wall = self._wall.now()
        ring = self._ring.renewed(wall)
        if ring is not self._written:
            try:
                await self._in_thread(lambda: write_file(self._path, ring.encoded(), 0o600, overwrite=True))
            except OSError as error:
                if not self._is_failing:
                    self._log.error(
                        "keys for assertions cannot be written, those of before stay in use: {path}: {error}",
                        path=str(self._path), error=error,
                    )  # fmt: skip
                self._is_failing = True
                ring = self._ring
            else:
                self._written = ring
                self._is_failing = False
        self._ring = ring
        self.assertions.use(ring.signing(wall))


class PublishedKeys:
    """
    The key set of the whole fleet, made anew when an edge's keys change.

    :param own: this edge's keys, which are published whether the registry has them yet or not.
    """

    def __init__(self, mirror: Mirror, own: AssertionKeys) -> None:
        self._mirror = mirror
        self._own = own
        self._content = b""
        self._of: tuple[Mapping[str, str], ...] = ()
        mirror.subscribe(self._changed)

    def _changed(self, changes: Sequence[Change]) -> None:
        if any(isinstance(change.before or change.after, Edge) for change in changes):
            self._content = b""

    def content(self) -> bytes:
        """Return it as JSON (RFC 7517 §5)."""
        own = self._own.public
        if not self._content or own != self._of:
            self._of = own
            edges = [*self._mirror.edges.values()]
            keys = [*own, *(key for edge in edges for key in edge.assertion_keys)]
            self._content = key_set([*{key.get("kid", ""): key for key in keys}.values()])
        return self._content

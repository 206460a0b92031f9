"""
This edge's record in the registry: where other edges dial it, and how they know it.

It lasts, so that an edge that is away is still one of the fleet. Written when it is not what it should be; where the
registry takes nothing now, again a little later.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_twisted.registry.edge_records import EdgeRecord
from warp_twisted.registry.errors import RegistryError
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import encode
from warp_twisted.registry.store import Store

LOOK_SECONDS = 5.0


class OwnRecord:
    """
    The record of one edge.

    :param describe: returns what it should be now.
    """

    _log = Logger()

    def __init__(self, store: Store, mirror: Mirror, clock: IReactorTime, describe: Callable[[], EdgeRecord]) -> None:
        self._store = store
        self._mirror = mirror
        self._describe = describe
        self._looking = LoopingCall(self.look)
        self._looking.clock = clock
        self._problem = ""

    def start(self) -> None:
        """Begin to keep it true."""
        if not self._looking.running:
            self._looking.start(LOOK_SECONDS)

    def stop(self) -> None:
        """Keep it true no more; it stays."""
        if self._looking.running:
            self._looking.stop()

    def look(self) -> Deferred[None]:
        """Write it, if it is not there as it should be."""
        record = self._describe()
        if not self._mirror.is_current or self._mirror.edge_records.get(record.name) == record:
            return succeed(None)
        written: Deferred[int] = self._store.put(record.key, encode(record))
        return written.addCallbacks(self._written, self._not_written)

    def _written(self, revision: int) -> None:
        self._problem = ""

    def _not_written(self, failure: Failure) -> None:
        failure.trap(RegistryError)
        if str(failure.value) != self._problem:
            self._problem = str(failure.value)
            self._log.warn(
                "this edge's record is not in the registry, so other edges may not know it: {error}",
                error=failure.value,
            )

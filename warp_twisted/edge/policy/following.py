"""
Keeping to a policy's file: read at the start and at a reload, and again whenever it, or a file that it names, changes.

All that is read is read in a thread. What cannot be used changes nothing: the policy in force stays, and the log says
why, once for each state of the files.
"""

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from warp_base.reactor import InThread
from warp_twisted.edge.policy.databases import Databases
from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.edge.policy.loading import Loaded, Refused, Watched, load
from warp_twisted.errors import InvalidSettings

LOOK_SECONDS = 2.0


class PolicyFollower:
    """
    Follows one file.

    :param in_force: what is told of each policy.
    """

    _log = Logger()

    def __init__(self, in_force: PolicyInForce, clock: IReactorTime, in_thread: InThread) -> None:
        self._in_force = in_force
        self._in_thread = in_thread
        self._lock = DeferredLock()
        self._file: str | None = None
        self._directory = ""
        self._watched: Watched | None = None
        self._databases = Databases()
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def begin(self, file: str | None, directory: str) -> None:
        """
        Read the policy for the first time, at once.

        :param file: None for no policy.
        :param directory: of the files that it names.
        :raises InvalidSettings: naming the key `policy`: an edge without its policy must not serve.
        """
        self._file, self._directory = file, directory
        if file is not None:
            loaded, self._watched = self._load_named(file, directory)
            self._in_force.use(loaded)

    def start(self) -> None:
        """Begin to look for changes."""
        self._looking.start(LOOK_SECONDS, now=False)

    def stop(self) -> None:
        """Look no more."""
        if self._looking.running:
            self._looking.stop()

    async def reload(self, file: str | None, directory: str) -> None:
        """
        Follow a file, or another one, and read it now.

        :raises InvalidSettings: if it cannot be used, naming the key `policy`; the policy in force, and the file that
            is followed, stay.
        """
        await self._lock.acquire()
        try:
            loaded: Loaded | None = None
            watched: Watched | None = None
            if file is not None:
                loaded, watched = await self._in_thread(lambda: self._load_named(file, directory))
            self._file, self._directory, self._watched = file, directory, watched
            self._in_force.use(loaded)
        finally:
            self._lock.release()

    def _look(self) -> Deferred[None] | None:
        if self._watched is None:
            return None
        looked = Deferred.fromCoroutine(self.look())
        looked.addErrback(lambda failure: self._log.failure("the policy's files could not be looked at", failure))
        return looked

    async def look(self) -> None:
        """Read the policy again if a file has changed."""
        await self._lock.acquire()
        try:
            file, directory, watched = self._file, self._directory, self._watched
            if file is None or watched is None or not await self._in_thread(watched.have_changed):
                return
            before = self._in_force.loaded
            try:
                loaded, self._watched = await self._in_thread(lambda: self._load(file, directory, before))
            except Refused as error:
                self._watched = error.watched
                self._log.error("the policy is not used, the one before stays in force: {error}", error=str(error))
                return
            self._in_force.use(loaded)
            rules = len(loaded.compiled.document.rules)
            self._log.info("the policy was read again: {file}, rules: {rules}", file=file, rules=rules)
        finally:
            self._lock.release()

    def _load_named(self, file: str, directory: str) -> tuple[Loaded, Watched]:
        """Read a policy that edge.yaml names; what is wrong is told with its key there."""
        try:
            return self._load(file, directory, self._in_force.loaded)
        except Refused as error:
            raise InvalidSettings(f"policy: {error}") from error

    def _load(self, file: str, directory: str, before: Loaded | None) -> tuple[Loaded, Watched]:
        limiters = before.limiters if before is not None else {}
        return load(file, directory, limiters, lambda token: self._in_force.find_token(token), self._databases)


def check_policy(file: str, directory: str) -> None:
    """
    See whether a policy can be used.

    :raises InvalidSettings: naming the key `policy`, and what is wrong.
    """
    try:
        load(file, directory, {})
    except Refused as error:
        raise InvalidSettings(f"policy: {error}") from error

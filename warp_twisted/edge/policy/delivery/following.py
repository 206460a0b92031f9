"""
Keeping to the policy that this edge is meant to have: that of a file which edge.yaml names, else the fleet's.

A file is read at the start and at a reload; the fleet's policy is the registry's, and read whenever another version is
put in force. Either is read again when a file that it names changes. All that is read is read in a thread, and put in
force in one step. What cannot be used changes nothing: the policy in force stays, and log and status say why. At the
start there is none to stay with: then a file stops the start, and without the fleet's policy nobody is let through.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from warp_base.reactor import InThread
from warp_twisted.edge.policy.databases import Databases
from warp_twisted.edge.policy.delivery.closed import RULE as CLOSED
from warp_twisted.edge.policy.delivery.closed import closed_policy
from warp_twisted.edge.policy.delivery.parsing import parse
from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.edge.policy.loading import Loaded, Refused, Watched, let_go, load, load_text, prepare
from warp_twisted.edge.policy.parts import Limiters
from warp_twisted.errors import InvalidSettings
from warp_twisted.policy.authentication.service_token import KnownToken
from warp_twisted.registry.errors import BadValue, RegistryError

LOOK_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyText:
    """A version of the fleet's policy."""

    number: int
    content: bytes

    @property
    def name(self) -> str:
        """What errors call it."""
        return f"version {self.number} of the policy"


class FleetPolicy(Protocol):
    """The policy in the registry; see `edge.policy.delivery.fleet`."""

    @property
    def number(self) -> int:
        """The version that is to be in force; 0: there was never one."""

    async def text(self) -> PolicyText | None:
        """
        Read that version; None if there is none.

        :raises RegistryError: if it cannot be read.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """
    How this edge stands to the policy that it is meant to have.

    :ivar file: which edge.yaml names; None: it follows the fleet's.
    :ivar wanted: the version of the fleet's policy that is to be in force; 0: there is none.
    :ivar version: the one that is; 0: none, or that of the file.
    :ivar error: why what is wanted is not in force; empty: it is.
    :ivar closed: whether nobody is let through, as none can be used.
    """

    file: str | None = None
    wanted: int = 0
    version: int = 0
    error: str = ""
    closed: bool = False


@dataclass(frozen=True, slots=True)
class _Judged:
    """A policy that was compiled and is to come from the registry soon, for the policy that was in force then."""

    content: bytes
    directory: str
    before: Loaded | None
    loaded: Loaded
    watched: Watched

    def is_of(self, text: PolicyText, directory: str, before: Loaded | None) -> bool:
        """Whether it is what compiling a text now would come to."""
        return before is self.before and (text.content, directory) == (self.content, self.directory)


class PolicyFollower:
    """
    Follows one policy.

    :param in_force: what is told of each.
    :ivar changed: called when `standing` may have changed.
    """

    _log = Logger()

    def __init__(self, in_force: PolicyInForce, clock: IReactorTime, in_thread: InThread) -> None:
        self._in_force = in_force
        self._clock = clock
        self._in_thread = in_thread
        self._lock = DeferredLock()
        self._fleet: FleetPolicy | None = None
        self._file: str | None = None
        self._directory = ""
        self._text: PolicyText | None = None  # of the fleet's, as it was read last, whether or not it can be used
        self._watched: Watched | None = None
        self._databases = Databases()
        self._judged: _Judged | None = None
        self._version = 0
        self._error = ""
        self._is_woken = False
        self.changed: Callable[[], object] = lambda: None
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    @property
    def standing(self) -> Standing:
        """How this edge stands to its policy now."""
        wanted = self._fleet.number if self._fleet is not None else 0
        return Standing(
            file=self._file, wanted=wanted, version=self._version, error=self._error, closed=self._is_closed
        )

    @property
    def _is_closed(self) -> bool:
        return self._in_force.loaded is not None and self._in_force.loaded.source == CLOSED

    def begin(self, file: str | None, directory: str) -> None:
        """
        Read a file for the first time, at once.

        :param file: None for the fleet's policy, which `join` reads.
        :param directory: of the files that the policy names.
        :raises InvalidSettings: naming the key `policy`: an edge without its policy must not serve.
        """
        self._file, self._directory = file, directory
        if file is not None:
            try:
                loaded, self._watched = self._load(file, directory)
            except Refused as error:
                raise InvalidSettings(f"policy: {error}") from error
            self._in_force.use(loaded)

    async def join(self, fleet: FleetPolicy) -> None:
        """Follow the fleet's policy from now on, unless there is a file; if it cannot be used, let nobody through."""
        self._fleet = fleet
        if self._is_behind():
            self._in_force.use(closed_policy())
            await self.look()

    def start(self) -> None:
        """Begin to look for changes."""
        self._looking.start(LOOK_SECONDS, now=False)

    def stop(self) -> None:
        """Look no more."""
        if self._looking.running:
            self._looking.stop()

    def wake(self) -> None:
        """Another version of the fleet's policy is to be in force: look soon."""
        if not self._is_woken and self._looking.running:
            self._is_woken = True
            self._clock.callLater(0, self._look)

    async def reload(self, file: str | None, directory: str) -> None:
        """
        Follow a file, another one, or the fleet's policy, and read it now.

        :raises InvalidSettings: if it cannot be used, naming the key `policy`; the policy in force, and what is
            followed, stay. A version of the fleet's that was followed before is no reason: edge.yaml does not name it.
        """
        await self._lock.acquire()
        try:
            is_same = file is None and self._file is None and directory == self._directory
            try:
                text = await self._fleet.text() if file is None and self._fleet is not None else None
                source = file or text
                found = await self._found(source, directory) if source is not None else None
            except (Refused, RegistryError) as error:
                if not is_same:
                    raise InvalidSettings(f"policy: {error}") from error
                self._not_used(error)
                return
            if is_same and found is None:
                return
            self._file, self._directory, self._text = file, directory, text
            loaded, self._watched = found or (None, None)
            self._put_in_force(loaded, text.number if text is not None else 0)
        finally:
            self._lock.release()

    async def judge(self, content: bytes, name: str, *, keep: bool) -> int:
        """
        See whether a text could be put in force here.

        :param name: what errors call it.
        :param keep: whether it is about to come from the registry.
        :returns: how many rules it has.
        :raises Refused: naming the key's path and what was expected there.
        """
        await self._lock.acquire()
        try:
            before, directory = self._in_force.loaded, self._directory
            if not keep:
                return await self._in_thread(lambda: self._count_rules(content, name, directory))
            hostnames = self._in_force.hostnames()
            loaded, watched = await self._in_thread(lambda: self._load_text(content, name, directory, hostnames))
            self._forget_judged()
            self._judged = _Judged(content, directory, before, loaded, watched)
            return len(loaded.compiled.document.rules)
        finally:
            self._lock.release()

    def _look(self) -> Deferred[None] | None:
        looked = Deferred.fromCoroutine(self.look())
        looked.addErrback(lambda failure: self._log.failure("the policy could not be looked at", failure))
        return looked

    async def look(self) -> None:
        """Read the policy again if another version is to be in force, or a file has changed."""
        await self._lock.acquire()
        self._is_woken = False
        try:
            watched = self._watched
            if self._is_behind() or (watched is not None and await self._in_thread(watched.have_changed)):
                await self._read_again()
        finally:
            self._lock.release()

    def _is_behind(self) -> bool:
        if self._file is not None or self._fleet is None:
            return False
        return self._fleet.number != (self._text.number if self._text is not None else 0)

    async def _read_again(self) -> None:
        file, text = self._file, self._text
        try:
            if self._is_behind() and self._fleet is not None:
                text = await self._fleet.text()
                if text is None:
                    raise BadValue("the registry has no policy any more")
            source = file or text
            if source is None:
                return
            loaded, self._watched = await self._found(source, self._directory)
        except RegistryError as error:
            self._not_used(error)
            return
        except Refused as error:
            self._text, self._watched = text, error.watched
            self._not_used(error)
            return
        self._text = text
        self._put_in_force(loaded, text.number if text is not None else 0)
        rules = len(loaded.compiled.document.rules)
        self._log.info("the policy was read again: {source}, rules: {rules}", source=loaded.source, rules=rules)

    def _not_used(self, error: Exception) -> None:
        before, self._error = self._error, str(error)
        if before == self._error:
            return
        self.changed()
        if self._is_closed:
            self._log.error("nobody is let through until the policy can be used: {error}", error=self._error)
        else:
            self._log.error("the policy is not used, the one before stays in force: {error}", error=self._error)

    def _put_in_force(self, loaded: Loaded | None, version: int) -> None:
        """Swap the policy, and let go of the one before in a thread, but for what requests under way hold of it."""
        before = self._in_force.loaded
        self._in_force.use(loaded)
        self._version, self._error = version, ""
        self._forget_judged()
        self._let_go(before)
        self.changed()

    def _forget_judged(self) -> None:
        """What was judged is in force now, or never will be."""
        judged, self._judged = self._judged, None
        if judged is not None and judged.loaded is not self._in_force.loaded:
            self._let_go(judged.loaded)

    def _let_go(self, loaded: Loaded | None) -> None:
        last = [loaded] if loaded is not None else []
        gone = self._in_thread(lambda: let_go(last))
        gone.addErrback(lambda failure: self._log.failure("a policy was not let go of", failure))

    async def _found(self, source: str | PolicyText, directory: str) -> tuple[Loaded, Watched]:
        """Read a file or compile a text, in a thread, unless it was judged just now."""
        hostnames = self._in_force.hostnames()
        if isinstance(source, str):
            return await self._in_thread(lambda: self._load(source, directory, hostnames))
        judged = self._judged
        if judged is not None and judged.is_of(source, directory, self._in_force.loaded):
            return judged.loaded, judged.watched
        return await self._in_thread(lambda: self._load_text(source.content, source.name, directory, hostnames))

    def _limiters(self) -> Limiters:
        """Return those that go on counting."""
        loaded = self._in_force.loaded
        return loaded.limiters if loaded is not None else {}

    def _find(self, token: str) -> KnownToken | None:
        return self._in_force.find_token(token)

    def _count_rules(self, content: bytes, name: str, directory: str) -> int:
        found = [self._load_text(content, name, directory)[0]]
        count = len(found[0].compiled.document.rules)
        let_go(found)
        return count

    def _load(self, file: str, directory: str, hostnames: Sequence[str] = ()) -> tuple[Loaded, Watched]:
        found = load(file, directory, self._limiters(), self._find, self._databases, parse)
        prepare(found[0], hostnames)
        return found

    def _load_text(
        self, content: bytes, name: str, directory: str, hostnames: Sequence[str] = ()
    ) -> tuple[Loaded, Watched]:
        found = load_text(content, name, directory, self._limiters(), self._find, self._databases, parse)
        prepare(found[0], hostnames)
        return found

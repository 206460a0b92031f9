"""
What operators do with the fleet's policy: apply a text, look at what was applied, go back to a version of before.

A text is judged as this edge would have it in force, files that it names included, before anything is written. Of two
operators who replace the same version one is told that it came second.
"""

import pwd
from collections.abc import Sequence
from dataclasses import dataclass, replace

from twisted.logger import Logger

from warp_base.reactor import InThread
from warp_base.wall_clock import WallClock
from warp_twisted.edge.errors import EdgeError, PolicyVersionUnknown
from warp_twisted.edge.policy.delivery.following import PolicyFollower
from warp_twisted.policy.errors import InvalidPolicy
from warp_twisted.registry.errors import BadValue, PolicyChanged
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import PolicyVersion
from warp_twisted.registry.policy_versions import PolicyVersions

MAX_WAITING = 8  # texts that are judged one after the other


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """
    Who applies a policy, and on what conditions.

    :ivar uid: of the unix user; None: not known.
    :ivar message: what for.
    :ivar if_version: the version that must be in force, 0 for none; None: whichever is.
    :ivar is_check: whether to stop before anything is written.
    :ivar beside_file: whether it is put into the registry though this edge follows a file, and goes on with that.
    """

    uid: int | None = None
    message: str = ""
    if_version: int | None = None
    is_check: bool = False
    beside_file: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """
    What came of it.

    :ivar changed: whether there is, or would be, another version.
    :ivar version: the one in force now; that of before where nothing was written.
    :ivar replaced: the one that was in force; 0: none.
    :ivar restores: the version whose text it has again; 0: none.
    :ivar rules: how many it has.
    :ivar in_force: whether it is in force on this edge.
    :ivar error: why not; empty if it is, or nothing was written, or this edge follows a file.
    :ivar file: that this edge follows; None: the fleet's policy.
    """

    changed: bool
    version: int
    replaced: int
    restores: int = 0
    rules: int = 0
    in_force: bool = False
    error: str = ""
    file: str | None = None


class PolicyApplications:
    """What operators do with the fleet's policy, on one edge."""

    _log = Logger()

    def __init__(
        self,
        versions: PolicyVersions,
        mirror: Mirror,
        follower: PolicyFollower,
        wall: WallClock,
        in_thread: InThread,
    ) -> None:
        self._versions = versions
        self._mirror = mirror
        self._follower = follower
        self._wall = wall
        self._in_thread = in_thread
        self._waiting = 0

    def history(self) -> Sequence[PolicyVersion]:
        """Return the versions that are kept, the newest first."""
        return sorted(self._mirror.policy_versions.values(), key=lambda version: version.number, reverse=True)

    async def show(self, number: int = 0) -> tuple[PolicyVersion, bytes] | None:
        """
        Return a version and its text.

        :param number: 0: the one that is to be in force; None is returned if there is none.
        :raises PolicyVersionUnknown: if it is not kept.
        :raises RegistryError: if it cannot be read.
        """
        if not number:
            return await self._versions.in_force()
        version = self._kept(number)
        return version, await self._versions.text_of(version)

    async def apply(self, text: bytes, name: str, wish: Application) -> Applied:
        """
        Put a text in force on every edge.

        :param name: what errors call it.
        :raises InvalidPolicy: if this edge cannot use it; nothing has changed then.
        :raises EdgeError: if this edge follows a file, or too many wait.
        :raises PolicyChanged: if another version than `wish.if_version` is in force, or another one was applied
            meanwhile.
        :raises RegistryError: if the registry cannot be read or written.
        """
        return await self._in_turn(text, name, wish)

    async def back(self, number: int, wish: Application) -> Applied:
        """
        Put the text of a version of before in force again, as a new version.

        :param number: 0: the version before the one in force, or before the one that this has the text of.
        :raises PolicyVersionUnknown: if it is not kept.
        :raises WarpError: as `apply`.
        """
        self._refuse_beside_a_file(wish)
        if not number:
            current = await self._versions.current()
            since = (current.restores or current.number) if current is not None else 0
            older = [version.number for version in self.history() if version.number < since]
            if current is None:
                raise PolicyVersionUnknown("no policy was applied yet; warp policy apply puts one in force")
            if not older:
                raise PolicyVersionUnknown(
                    "no version of the policy is kept that is older than the one in force; "
                    "warp policy history lists those that are kept, and {} applied lets everything through"
                )
            number = older[0]
        version = self._kept(number)
        text = await self._versions.text_of(version)
        return await self._in_turn(text, f"version {number} of the policy", wish, restores=version.restores or number)

    async def _in_turn(self, text: bytes, name: str, wish: Application, restores: int = 0) -> Applied:
        self._refuse_beside_a_file(wish)
        if self._waiting >= MAX_WAITING:
            raise EdgeError(f"{MAX_WAITING} policies wait to be judged; try again when they are")
        self._waiting += 1
        try:
            return await self._apply(text, name, wish, restores)
        finally:
            self._waiting -= 1

    async def _apply(self, text: bytes, name: str, wish: Application, restores: int) -> Applied:
        number = await self._versions.number()
        if wish.if_version is not None and wish.if_version != number:
            raise PolicyChanged(
                f"version {number} of the policy is in force, not {wish.if_version}; look at warp policy show,"
                " and apply again"
            )
        try:
            text.decode()
        except UnicodeDecodeError:
            raise InvalidPolicy(f"{name}: expected UTF-8") from None
        is_same = number > 0 and await self._is_in_force(text)
        rules = await self._follower.judge(text, name, keep=not (is_same or wish.is_check))
        if is_same:
            await self._follower.look()
            return self._stands(Applied(changed=False, version=number, replaced=number, rules=rules))
        if wish.is_check:
            file = self._follower.standing.file
            return Applied(changed=True, version=number, replaced=number, restores=restores, rules=rules, file=file)
        author = await self._in_thread(lambda: user_name(wish.uid))
        added = await self._versions.add(
            text,
            [*self._mirror.policy_versions.values()],
            replaces=number,
            applied_at=self._wall.now(),
            author=author,
            message=wish.message,
            restores=restores,
        )
        self._log.info(
            "version {version} of the policy was applied by {author}", version=added.number, author=author or "somebody"
        )
        await self._follower.look()
        return self._stands(
            Applied(changed=True, version=added.number, replaced=number, restores=restores, rules=rules)
        )

    def _stands(self, applied: Applied) -> Applied:
        """Add how this edge stands to what was applied."""
        standing = self._follower.standing
        if standing.file is not None:
            return replace(applied, file=standing.file)
        return replace(applied, in_force=standing.version == applied.version, error=standing.error)

    async def _is_in_force(self, text: bytes) -> bool:
        try:
            found = await self._versions.in_force()
            return found is not None and text == found[1]
        except BadValue:  # what is there cannot be read, and is to be replaced
            return False

    def _kept(self, number: int) -> PolicyVersion:
        for version in self._mirror.policy_versions.values():
            if version.number == number:
                return version
        raise PolicyVersionUnknown(
            f"version {number} of the policy is not kept; warp policy history lists those that are"
        )

    def _refuse_beside_a_file(self, wish: Application) -> None:
        file = self._follower.standing.file
        if file is not None and not wish.beside_file:
            raise EdgeError(
                f"this edge follows a file, not the fleet's policy: change {file}, or take the key policy out of"
                " edge.yaml, and reload"
            )


def user_name(uid: int | None) -> str:
    """Return a user's name, or number; runs in a thread, as users may be kept elsewhere."""
    if uid is None:
        return ""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"

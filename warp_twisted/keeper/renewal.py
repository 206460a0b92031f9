"""
The keeper goes on as the code of another release: the same process, its children and sockets, another program.

The state is written to a file in memory that the next program inherits. That program judges it first, in a process
beside, so that a release which cannot go on with it is not begun: then the keeper stays what it is.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from warp_twisted.errors import WarpError
from warp_twisted.keeper.actions import Launch, Phase
from warp_twisted.keeper.handover import Handover

STATE_FD = "WARP_KEEPER_STATE"
VERSION = 1
JUDGE_SECONDS = 5.0
MAX_STATE_BYTES = 256 * 1024


class InvalidState(WarpError):
    """What the keeper before this one left is not what this release goes on with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptChild:
    """A child as it is handed on: descriptors stay open, process numbers stay true."""

    number: int
    pid: int
    line: int
    beat_at: float | None
    kill_at: float | None
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """
    What one keeper leaves to the next.

    :ivar control: the descriptor of the control socket; None: there is none.
    """

    handover: Handover
    children: Sequence[KeptChild]
    notices: int
    control: int | None

    @property
    def descriptors(self) -> list[int]:
        """What the next program inherits."""
        own = [self.notices, *(child.line for child in self.children)]
        return own if self.control is None else [*own, self.control]

    def have(self) -> None:
        """Keep what was inherited from processes that are started from now on."""
        for descriptor in self.descriptors:
            os.set_inheritable(descriptor, False)


def to_json(kept: Kept) -> bytes:
    """Write the state down; only one in which nothing is awaited is ever written."""
    handover = kept.handover
    return json.dumps(
        {
            "version": VERSION,
            "launch": asdict(handover.launch),
            "former": asdict(handover.former) if handover.former else None,
            "serving": handover.serving,
            "draining": handover.draining,
            "can_hand_over": handover.can_hand_over,
            "served_at": handover.served_at,
            "next_child": handover.next_child,
            "children": [asdict(child) for child in kept.children],
            "notices": kept.notices,
            "control": kept.control,
        }
    ).encode()


def from_json(text: bytes) -> Kept:
    """
    Read it again.

    :raises InvalidState: if it is of another version, or broken.
    """
    try:
        content: dict[str, Any] = json.loads(text)
        if content["version"] != VERSION:
            raise InvalidState(f"the keeper's state has version {content['version']!r}, this release reads {VERSION}")
        handover = Handover(
            launch=_launch(content["launch"]),
            former=_launch(content["former"]) if content["former"] else None,
            phase=Phase.SERVING,
            serving=content["serving"],
            draining=list(content["draining"]),
            can_hand_over=content["can_hand_over"],
            served_at=content["served_at"],
            next_child=content["next_child"],
        )
        children = [KeptChild(**child) for child in content["children"]]
        kept = Kept(
            handover=handover,
            children=children,
            notices=content["notices"],
            control=content["control"],
        )
        is_whole = sorted(handover.children) == sorted(child.number for child in children)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidState(f"the keeper's state is broken: {error!r}") from error
    if not is_whole:
        raise InvalidState("the keeper's state does not name each child once")
    return kept


def read(descriptor: int) -> Kept:
    """
    Read the state that was inherited.

    :raises InvalidState: as `from_json`.
    """
    try:
        return from_json(os.pread(descriptor, MAX_STATE_BYTES, 0))
    except OSError as error:
        raise InvalidState(f"the keeper's state cannot be read: {error.strerror}") from error


def judge(command: Sequence[str], environment: Mapping[str, str], state: int) -> str:
    """
    Ask the other release whether it goes on with a state; return why it does not, or nothing.

    :param command: how the keeper of that release is started, with `--check`.
    :param state: the file in memory.
    """
    try:
        done = subprocess.run(  # noqa: S603 -- our own module
            command,
            env={**environment, STATE_FD: str(state)},
            pass_fds=(state,),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=JUDGE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().split("\n")
    return said[-1] or f"status {done.returncode}" if done.returncode else ""


def write(kept: Kept) -> int:
    """Return a file in memory with the state, for the next program."""
    descriptor = os.memfd_create("warp-keeper")
    os.write(descriptor, to_json(kept))
    return descriptor


def become(command: Sequence[str], environment: Mapping[str, str], state: int, inherited: Sequence[int]) -> NoReturn:
    """
    Go on as another program.

    :param inherited: descriptors that it needs.
    :raises OSError: if it cannot be started; this program goes on.
    """
    for descriptor in (state, *inherited):
        os.set_inheritable(descriptor, True)
    try:
        sys.stdout.flush()
        os.execve(command[0], list(command), {**environment, STATE_FD: str(state)})  # noqa: S606 -- our own module
    finally:
        for descriptor in (state, *inherited):
            os.set_inheritable(descriptor, False)


def _launch(content: Mapping[str, Any]) -> Launch:
    return Launch(python=str(content["python"]), command=tuple(map(str, content["command"])), mark=str(content["mark"]))

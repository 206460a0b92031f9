"""
The bans that an edge made itself, handed from one process of it to the next: whoever was banned stays so.

They go through a file in the state directory, which the next process reads and removes. Instants are those of the
monotonic clock, which processes of one boot of the machine share; a file of another boot is not believed. Bans of
operators are in the registry (`edge.kept_bans`), where the next process finds them.
"""

import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import msgspec
from twisted.internet.defer import execute
from twisted.logger import Logger

from warp_base.reactor import InThread
from warp_base.slices import Slices, in_steps
from warp_twisted.ca.store import write_file
from warp_twisted.edge.policy.banning import Banning
from warp_twisted.policy.bans import MAX_BANS

FILE = "handed-bans.jsonl"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MAX_BYTES = 32 * 1024 * 1024  # 100,000 bans have some 10 MB
BANS_IN_A_STEP = 200  # 0.2 ms


class _Beginning(msgspec.Struct, frozen=True, kw_only=True):
    boot: str


class _Handed(msgspec.Struct, frozen=True, kw_only=True):
    network: str
    until: float
    reason: str


_encode = msgspec.json.Encoder().encode
_read_ban = msgspec.json.Decoder(_Handed).decode
_read_beginning = msgspec.json.Decoder(_Beginning).decode


class HandedBans:
    """
    Hands on, or takes.

    :param directory: the edge's state.
    :param is_kept: whether the ban of a network is in the registry.
    :param in_thread: reads and writes the file.
    :param seconds: the monotonic clock that `banning` goes by.
    """

    _log = Logger()

    def __init__(
        self,
        directory: Path,
        banning: Banning,
        slices: Slices,
        is_kept: Callable[[str], bool] = lambda network: False,
        in_thread: InThread = execute,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_kept = is_kept
        self._seconds = seconds
        self._path = directory / FILE
        self._banning = banning
        self._slices = slices
        self._in_thread = in_thread

    async def hand_on(self) -> None:
        """Write down who is banned; that it cannot be is logged, and nothing to fail for."""
        try:
            content = await self._slices.result_of(self._written())
            await self._in_thread(lambda: self._write(content))
        except OSError as error:
            self._log.warn(
                "bans are not handed on to the next process, which makes them anew: {path}: {reason}",
                path=str(self._path), reason=error.strerror,
            )  # fmt: skip

    async def take(self) -> None:
        """Ban whom the process before this one had banned, for the rest of the time; nothing without its file."""
        try:
            content = await self._in_thread(self._read)
        except OSError:
            return
        try:
            await self._slices.run(self._taken(content))
        except msgspec.MsgspecError as error:
            self._log.warn("bans of the process before are not believed: {error}", error=error)

    def _written(self) -> Generator[None, None, list[bytes]]:
        lines = [_encode(_Beginning(boot=_boot()))]
        now = self._seconds()
        for step in in_steps(self._banning.bans.all(), BANS_IN_A_STEP):
            lines += [
                _encode(_Handed(network=network, until=ban.until, reason=ban.reason))
                for network, ban in step
                if ban.until > now and not self._is_kept(network)
            ]
            yield
        return lines

    def _write(self, lines: list[bytes]) -> None:
        self._path.unlink(missing_ok=True)  # of a hand-over that failed
        write_file(self._path, b"\n".join(lines), 0o600, overwrite=True)

    def _read(self) -> list[bytes]:
        try:
            with self._path.open("rb") as file:
                return file.read(MAX_BYTES).split(b"\n")
        finally:
            self._path.unlink(missing_ok=True)

    def _taken(self, lines: list[bytes]) -> Iterator[None]:
        if not lines[0] or _read_beginning(lines[0]).boot != _boot():
            return
        now = self._seconds()
        for step in in_steps(lines[1 : MAX_BANS + 1], BANS_IN_A_STEP):
            for line in step:
                ban = _read_ban(line)
                if ban.until > now and not self._banning.bans.until(ban.network) > now:
                    self._banning.put(ban.network, ban.until - now, ban.reason)
            yield


def _boot() -> str:
    """Return which boot of the machine this is."""
    return BOOT_ID.read_text("ascii").strip()

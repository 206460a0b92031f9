"""
The files that a server reads: master files and secrets, and what a zone's settings and files say together.

Bounded reads; what the contents mean is decided elsewhere.
"""

import os
import secrets as random_secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from twisted.internet.threads import deferToThreadPool

from warp_base.reactor import Reactor
from warp_base.slices import Slices
from warp_dns.errors import BadMasterFile, DnsError, InvalidSettings, InvalidZone, KeyLeftOut, refuse
from warp_dns.message.cookies import SECRET_BYTES, parse_secrets
from warp_dns.message.tsig import check_secret, parse_secret
from warp_dns.serve.serials import FirstSerial, first_serial
from warp_dns.settings import Secrets, ServerSettings, ZoneSettings
from warp_dns.zone.master import StaticRecords, reading, static_records
from warp_dns.zone.steps import finish
from warp_dns.zone.warnings import zone_warnings

MAX_MASTER_BYTES = 64 << 20  # a larger zone is not what this server is for, and would stop it for minutes
_MAX_SMALL_BYTES = 65536

T = TypeVar("T")
FileState = tuple[int, int, int]  # modification time in ns, size, inode


def read_secrets(settings: ServerSettings, leave_out: Callable[[DnsError], None] = refuse) -> Secrets:
    """
    Read the secrets that the settings name; a cookie secret is made when they name none that can be read.

    :param leave_out: told of each file that cannot be used, with its key.
    """
    cookies: list[bytes] = []
    if settings.cookies.enabled:
        path = settings.cookies.secrets_file
        try:
            cookies = _cookie_secrets(path) if path else [random_secrets.token_bytes(SECRET_BYTES)]
        except DnsError as error:
            leave_out(InvalidSettings(f"cookies.secrets_file: {error}"))
            cookies = [random_secrets.token_bytes(SECRET_BYTES)]
    keys, left_out = [], []
    for index, key in enumerate(settings.keys):
        try:
            secret = _of_file(key.secret_file, parse_secret, _text(key.secret_file))
            check_secret(key.algorithm, secret)
            keys.append((key.name, key.algorithm, secret))
        except DnsError as error:
            leave_out(InvalidSettings(f"keys[{index}].secret_file: {error}"))
            left_out.append(key.name)
    return Secrets(cookies, keys, left_out)


def _cookie_secrets(path: str) -> list[bytes]:
    found = _of_file(path, parse_secrets, _text(path))
    if not found:
        raise InvalidSettings(f"{path}: expected a secret of {2 * SECRET_BYTES} hexadecimal digits, found none")
    return found


def _of_file(path: str, parse: Callable[[str], T], text: str) -> T:
    """Parse what a file holds; what is wrong with it is said with the file's name."""
    try:
        return parse(text)
    except InvalidSettings as error:
        raise InvalidSettings(f"{path}: {error}") from error


def read_zone(settings: ZoneSettings) -> StaticRecords:
    """
    Read a zone's static records.

    :raises InvalidZone: naming the file, and the line if it could be read.
    """
    return static_records(settings, read_master_file(settings))


def read_master_file(settings: ZoneSettings) -> bytes:
    """
    Return what a zone's master file holds; nothing if there is none.

    :raises InvalidZone: naming the file.
    """
    if not settings.master_file:
        return b""
    try:
        return _read(settings.master_file, MAX_MASTER_BYTES)
    except OSError as error:
        raise InvalidZone(f"{settings.master_file}: {error.strerror or error}") from error


def state_of(path: str) -> FileState | None:
    """Return what changes when a file does, or None if it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _text(path: str) -> str:
    try:
        return _read(path, _MAX_SMALL_BYTES).decode()
    except OSError as error:
        raise InvalidSettings(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InvalidSettings(f"{path}: not text") from error


def _read(path: str, limit: int) -> bytes:
    with Path(path).open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise DnsError(f"{path}: larger than {limit} bytes")
    return content


class ZoneFile:
    """
    What a zone's settings and its files say, and which state of the master file that was.

    :ivar static: the records.
    :ivar first: what the file of serials says, if there is one; only for a zone that was not served before.
    :ivar warnings: what is odd about the records.
    """

    def __init__(
        self,
        static: StaticRecords,
        state: FileState | None,
        warnings: Sequence[str],
        first: FirstSerial | None = None,
    ) -> None:
        self.static = static
        self.state = state
        self.warnings = warnings
        self.first = first

    @classmethod
    def read(cls, settings: ZoneSettings, clock_serial: int, *, is_live: bool) -> "ZoneFile":
        """
        Read it at once, for a server that does not answer yet.

        :param clock_serial: the serial that the clock says.
        :param is_live: whether a source publishes records of the zone, too.
        :raises DnsError: naming the key, and what is wrong with its value.
        """
        state = file_state(settings)
        with _of_master_file(settings):
            static = read_zone(settings)
        warnings = finish(zone_warnings(static, is_live=is_live))
        return cls(static, state, warnings, _first_serial(settings, clock_serial))

    @classmethod
    async def read_in_slices(
        cls,
        reactor: Reactor,
        slices: Slices,
        settings: ZoneSettings,
        clock_serial: int | None = None,
        *,
        is_live: bool,
    ) -> "ZoneFile":
        """
        Read it while answers go out: files in a thread, the lines in slices.

        :param clock_serial: the serial that the clock says; None for a zone that goes on from its own.
        :param is_live: whether a source publishes records of the zone, too.
        :raises DnsError: naming the key, and what is wrong with its value.
        """
        pool = reactor.getThreadPool()
        state = await deferToThreadPool(reactor, pool, file_state, settings)
        first = None
        if clock_serial is not None:
            first = await deferToThreadPool(reactor, pool, _first_serial, settings, clock_serial)
        with _of_master_file(settings):
            content = await deferToThreadPool(reactor, pool, read_master_file, settings)
            static = await slices.result_of(reading(settings, content))
        return cls(static, state, await slices.result_of(zone_warnings(static, is_live=is_live)), first)


def _first_serial(settings: ZoneSettings, at_least: int) -> FirstSerial | None:
    if not settings.serial_file:
        return None
    with at_key("serial_file"):
        return first_serial(settings.serial_file, at_least)


@contextmanager
def at_key(key: str) -> Iterator[None]:
    """Put a key's path before what is said of its value."""
    try:
        yield
    except KeyLeftOut:
        raise
    except DnsError as error:
        raise InvalidSettings(f"{key}: {error}") from error


@contextmanager
def _of_master_file(settings: ZoneSettings) -> Iterator[None]:
    """Put the key before what is said of a master file, unless it is about another setting."""
    try:
        yield
    except InvalidZone as error:
        is_of_file = settings.master_file and str(error).startswith(settings.master_file)
        if is_of_file:
            raise BadMasterFile(f"master_file: {error}") from error
        raise


def file_state(settings: ZoneSettings) -> FileState | None:
    """Return the state of a zone's master file, if it has one."""
    return state_of(settings.master_file) if settings.master_file else None

"""
The files that a server reads: master files and secrets.

Bounded reads; what the contents mean is decided elsewhere.
"""

import os
import secrets as random_secrets
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from warp_dns.errors import DnsError, InvalidSettings, InvalidZone, refuse
from warp_dns.message.cookies import SECRET_BYTES, parse_secrets
from warp_dns.message.tsig import check_secret, parse_secret
from warp_dns.settings import Secrets, ServerSettings, ZoneSettings
from warp_dns.zone.master import StaticRecords, static_records

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

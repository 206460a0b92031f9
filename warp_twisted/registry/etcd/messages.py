"""
What is said to etcd v3 through its JSON gateway, and what it answers.

Pure: bytes in, values out. Keys and values are base64 in JSON, revisions are decimal text, and what is zero, empty or
false is left out. Source: etcd's `rpc.proto` and `kv.proto`, which are the same in 3.4 to 3.6 for what is used here;
errors of a watch come with the status 200, `canceled` and `compact_revision` (seen with 3.4.23).
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from warp_twisted.registry.errors import StoreBroken

ROOT = "/warp/"  # before each key, so that an etcd may hold other things too
PAGE = 250  # keys in one answer
MAX_OPERATIONS = 128  # of one transaction; etcd's default
RANGE_PATH, TRANSACTION_PATH, WATCH_PATH = "/v3/kv/range", "/v3/kv/txn", "/v3/watch"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Change:
    """A key that was put, or with no value removed."""

    key: str
    value: bytes | None
    modified: int


@dataclass(frozen=True, slots=True)
class Page:
    """Some keys in order, at a revision; `more` says whether others follow."""

    changes: tuple[Change, ...]
    revision: int
    more: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What became of a transaction.

    :ivar revision: of etcd after it.
    :ivar is_change: whether it changed anything, and so has that revision of its own.
    """

    succeeded: bool
    revision: int
    is_change: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """
    One message of a watch.

    :ivar changes: of whole revisions, in order.
    :ivar revision: of etcd when it was sent; everything up to it was told.
    :ivar is_compacted: the watch ended because what it asked for is no longer kept.
    :ivar ended: why the watch ended; empty while it goes on.
    """

    changes: tuple[Change, ...] = ()
    revision: int = 0
    is_compacted: bool = False
    ended: str = ""


class _Header(msgspec.Struct):
    revision: str = "0"


class _KeyValue(msgspec.Struct):
    key: bytes
    value: bytes = b""
    mod_revision: str = "0"


class _Range(msgspec.Struct):
    header: _Header
    kvs: list[_KeyValue] = []
    more: bool = False


class _Deleted(msgspec.Struct):
    deleted: str = "0"


class _Response(msgspec.Struct):
    response_put: dict[str, msgspec.Raw] | None = None
    response_delete_range: _Deleted | None = None


class _Transaction(msgspec.Struct):
    header: _Header
    succeeded: bool = False
    responses: list[_Response] = []


class _Event(msgspec.Struct):
    kv: _KeyValue
    type: str = "PUT"


class _Watched(msgspec.Struct):
    header: _Header
    created: bool = False
    canceled: bool = False
    compact_revision: str = "0"
    cancel_reason: str = ""
    events: list[_Event] = []


class _WatchLine(msgspec.Struct):
    result: _Watched | None = None
    error: dict[str, object] | None = None


class _Error(msgspec.Struct):
    message: str = ""
    error: str = ""


def range_request(after: str | None = None, revision: int = 0) -> bytes:
    """
    Ask for a page of all keys.

    :param after: the last key of the page before.
    :param revision: at which they are read, so that pages fit together; 0 for the latest.
    """
    begin = _key("") if after is None else _text((ROOT + after).encode() + b"\0")
    wish: dict[str, object] = {"key": begin, "range_end": _END, "limit": PAGE}
    if revision:
        wish["revision"] = str(revision)
    return msgspec.json.encode(wish)


def transaction_request(expected: Mapping[str, int], wanted: Mapping[str, bytes | None]) -> bytes:
    """
    Ask for values, or that there be none, if each key was last modified at its revision; 0 means that it is absent.
    """
    return msgspec.json.encode(
        {
            "compare": [
                {"key": _key(key), "target": "MOD", "result": "EQUAL", "mod_revision": str(modified)}
                for key, modified in expected.items()
            ],
            "success": [
                {"request_put": {"key": _key(key), "value": _text(value)}}
                if value is not None
                else {"request_delete_range": {"key": _key(key)}}
                for key, value in wanted.items()
            ],
        }
    )


def watch_request(after_revision: int) -> bytes:
    """Ask for every change of all keys after a revision."""
    start = str(after_revision + 1)
    return msgspec.json.encode({"create_request": {"key": _key(""), "range_end": _END, "start_revision": start}})


def read_page(answer: bytes) -> Page:
    """
    Read the answer to `range_request`.

    :raises StoreBroken: if it is none.
    """
    found = _read(answer, _Range)
    return Page(tuple(_puts(found.kvs)), _revision(found.header.revision), found.more)


def read_outcome(answer: bytes) -> Outcome:
    """
    Read the answer to `transaction_request`.

    :raises StoreBroken: if it is none.
    """
    found = _read(answer, _Transaction)
    is_change = any(
        each.response_put is not None
        or (each.response_delete_range is not None and _revision(each.response_delete_range.deleted))
        for each in found.responses
    )
    return Outcome(found.succeeded, _revision(found.header.revision), bool(is_change))


def read_watch_line(line: bytes) -> Heard:
    """
    Read one line of the answer to `watch_request`.

    :raises StoreBroken: if it is none.
    """
    found = _read(line, _WatchLine)
    if found.result is None:
        return Heard(ended=str((found.error or {}).get("message", "etcd ended the watch")))
    result = found.result
    revision = _revision(result.header.revision)
    if result.canceled:
        is_compacted = _revision(result.compact_revision) > 0
        return Heard((), revision, is_compacted, result.cancel_reason or "etcd ended the watch")
    changes = tuple(
        Change(_name(each.kv.key), None if each.type == "DELETE" else each.kv.value, _revision(each.kv.mod_revision))
        for each in result.events
    )
    # A revision's changes come in one message, and `created` comes before changes that happened already.
    return Heard(changes, changes[-1].modified if changes else 0 if result.created else revision)


def error_of(answer: bytes) -> str:
    """Return what etcd says was wrong, in an answer whose status is not 200."""
    try:
        found = msgspec.json.decode(answer, type=_Error)
    except msgspec.DecodeError:
        return answer[:200].decode("utf-8", "replace")
    return found.message or found.error


def _read(answer: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.DecodeError as error:
        raise StoreBroken(f"etcd answered what is none of its messages: {error}") from error


def _puts(found: Iterable[_KeyValue]) -> Iterable[Change]:
    return (Change(_name(each.key), each.value, _revision(each.mod_revision)) for each in found)


def _name(key: bytes) -> str:
    try:
        name = key.decode()
    except UnicodeDecodeError as error:
        raise StoreBroken("etcd holds a key that is not UTF-8") from error
    if not name.startswith(ROOT):
        raise StoreBroken(f"etcd told of a key that nobody asked for: {name[:80]!r}")
    return name[len(ROOT) :]


def _revision(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 19:
        raise StoreBroken(f"etcd answered what is no revision: {text[:40]!r}")
    return int(text)


def _key(key: str) -> str:
    return _text((ROOT + key).encode())


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


_END = _text(ROOT[:-1].encode() + bytes([ord(ROOT[-1]) + 1]))

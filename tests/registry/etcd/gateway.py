"""An etcd in memory that speaks the JSON of the gateway, and can be away, silent, behind or forgetful."""

import base64
import json
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from warp_twisted.registry.errors import StoreBroken
from warp_twisted.registry.etcd.messages import RANGE_PATH, TRANSACTION_PATH, Heard, read_watch_line

Key = dict[str, Any]


class MemoryEtcd:
    """
    All members together.

    :param clock: lets watches begin in a later turn.
    :ivar is_away: calls fail, and running watches end.
    :ivar is_silent: calls wait for ever, and watches say nothing.
    :ivar is_mute: watches say nothing, while calls are answered.
    :ivar loses_answers: what is asked for is done, and the call fails.
    :ivar calls: paths that were asked for.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock
        self.keys: dict[bytes, Key] = {}
        self.history: list[list[Key]] = []  # events by revision; the first revision with a change is 2, as with etcd
        self.compacted = 0
        self.is_away = self.is_silent = self.is_mute = self.loses_answers = False
        self.calls: list[str] = []
        self.watches: list[MemoryWatch] = []
        self.when_asked: Callable[[], object] = lambda: None

    @property
    def revision(self) -> int:
        """Of the last change."""
        return len(self.history) + 1

    def client(self) -> "MemoryClient":
        """Return a client of it."""
        return MemoryClient(self)

    def compact(self) -> None:
        """Forget every change so far."""
        self.compacted = self.revision

    def cut(self) -> None:
        """End the running watches, and answer nobody."""
        self.is_away = True
        watches, self.watches = self.watches, []
        for watch in watches:
            watch.tell({"error": {"message": "cut"}})

    def answer(self, path: str, body: bytes) -> dict[str, Any]:
        """Answer a call."""
        wish = json.loads(body)
        return self._range(wish) if path == RANGE_PATH else self._transact(wish)

    def _header(self) -> dict[str, str]:
        return {"revision": str(self.revision)}

    def _range(self, wish: dict[str, Any]) -> dict[str, Any]:
        begin, end = base64.b64decode(wish["key"]), base64.b64decode(wish["range_end"])
        # Changes after the asked revision would not be in it; tests make none between two pages.
        found = [self.keys[key] for key in sorted(self.keys) if begin <= key < end]
        page = found[: wish["limit"]]
        return {"header": self._header(), "kvs": page, "more": len(page) < len(found)}

    def _transact(self, wish: dict[str, Any]) -> dict[str, Any]:
        for each in wish.get("compare", ()):
            key = base64.b64decode(each["key"])
            if self.keys.get(key, {}).get("mod_revision", "0") != each["mod_revision"]:
                return {"header": self._header()}
        events: list[Key] = []
        responses: list[dict[str, Any]] = []
        revision = str(self.revision + 1)
        for each in wish["success"]:
            if "request_put" in each:
                put = each["request_put"]
                item = {"key": put["key"], "value": put["value"], "mod_revision": revision}
                self.keys[base64.b64decode(put["key"])] = item
                events.append({"kv": item})
                responses.append({"response_put": {}})
            else:
                text = each["request_delete_range"]["key"]
                gone = self.keys.pop(base64.b64decode(text), None)
                if gone is not None:
                    events.append({"type": "DELETE", "kv": {"key": text, "mod_revision": revision}})
                responses.append({"response_delete_range": {"deleted": "1"} if gone else {}})
        if events:
            self.history.append(events)
            if not (self.is_mute or self.is_silent):
                for watch in tuple(self.watches):
                    watch.tell({"result": {"header": self._header(), "events": events}})
        return {"header": self._header(), "succeeded": True, "responses": responses}

    def begin(self, watch: "MemoryWatch", body: bytes) -> None:
        """Begin a watch."""
        if watch.is_over or self.is_silent:
            return
        start = int(json.loads(body)["create_request"]["start_revision"])
        if start <= self.compacted:
            result = {"header": self._header(), "canceled": True, "compact_revision": str(self.compacted)}
            watch.tell({"result": result})
            return
        self.watches.append(watch)
        watch.tell({"result": {"header": self._header(), "created": True}})
        missed = [event for events in self.history[start - 2 :] for event in events]
        if missed and not self.is_mute:
            watch.tell({"result": {"header": self._header(), "events": missed}})


class MemoryWatch:
    """One watch."""

    def __init__(self, etcd: MemoryEtcd, heard: Callable[[Heard], object]) -> None:
        self._etcd = etcd
        self._heard = heard
        self.is_over = False

    def tell(self, line: dict[str, Any]) -> None:
        """Send a line."""
        if not self.is_over:
            heard = read_watch_line(json.dumps(line).encode())
            if heard.ended:
                self.cancel()
            self._heard(heard)

    def cancel(self) -> None:
        """Say nothing more."""
        self.is_over = True
        if self in self._etcd.watches:
            self._etcd.watches.remove(self)


class MemoryClient:
    """Asks it; each call is answered at once, if at all."""

    def __init__(self, etcd: MemoryEtcd) -> None:
        self._etcd = etcd
        self.left: list[str] = []

    @property
    def endpoint(self) -> str:
        """See `Etcd`."""
        return "memory"

    async def call(self, path: str, body: bytes) -> bytes:
        """See `Etcd`."""
        self._etcd.calls.append(path)
        if path == TRANSACTION_PATH:
            self._etcd.when_asked()
        if self._etcd.is_silent:
            await Deferred()
        if self._etcd.is_away:
            raise StoreBroken("etcd at memory does not answer: away")
        answer = json.dumps(self._etcd.answer(path, body)).encode()
        if self._etcd.loses_answers and path == TRANSACTION_PATH:
            raise StoreBroken("etcd at memory does not answer: lost")
        return answer

    async def watch(self, body: bytes, heard: Callable[[Heard], object]) -> MemoryWatch:
        """See `Etcd`."""
        if self._etcd.is_away:
            raise StoreBroken("etcd at memory does not answer: away")
        watch = MemoryWatch(self._etcd, heard)
        self._etcd.clock.callLater(0, self._etcd.begin, watch, body)
        return watch

    def leave(self, url: str) -> None:
        """See `Etcd`."""
        self.left.append(url)

    async def close(self) -> None:
        """See `Etcd`."""

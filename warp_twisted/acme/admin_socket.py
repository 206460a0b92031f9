"""
The door as the process goes through it: requests on the edge's admin socket, one after the other.

It blocks, for a bounded time, and reads answers of bounded length: the edge is believed, but may hang.
"""

import http.client
from typing import TypeVar
from urllib.parse import quote

import msgspec

from warp_twisted.acme.door import Account, Certificate, Chain, Challenge, Lock, Order, View
from warp_twisted.acme.errors import DoorRefused
from warp_twisted.acme.time_limit import TooSlow, within
from warp_twisted.unix_http import UnixConnection

CALL_SECONDS = 30.0  # the registry of a fleet may choose a new leader meanwhile
MAX_ANSWER_BYTES = 64 << 20  # a view of ten thousand orders, each with a sealed key

T = TypeVar("T")


class AdminSocket:
    """
    The edge behind its admin socket; see `door.Door`.

    :param path: of the socket.
    """

    def __init__(self, path: str, call_seconds: float = CALL_SECONDS) -> None:
        self._path = path
        self._seconds = call_seconds

    def view(self) -> View:
        """Return what is to be done, and what was."""
        return self._answer("GET", "/v1/acme", None, View)

    def lock(self, holder: str, seconds: float) -> bool:
        """Take or keep the lock; False while another one holds it."""
        try:
            self._call("PUT", "/v1/acme/lock", Lock(holder=holder, seconds=seconds))
        except DoorRefused as error:
            if error.status == http.client.CONFLICT:
                return False
            raise
        return True

    def keep_account(self, account: Account) -> None:
        """Keep the account."""
        self._call("PUT", "/v1/acme/account", account)

    def keep_order(self, order: Order) -> None:
        """Keep an order."""
        self._call("PUT", f"/v1/acme/orders/{_segment(order.name)}", order)

    def publish(self, challenge: Challenge) -> None:
        """Publish a challenge, or lengthen its lease."""
        self._call("POST", "/v1/challenges", challenge)

    def withdraw(self, challenge: Challenge) -> None:
        """Withdraw a challenge."""
        self._call("DELETE", "/v1/challenges", challenge)

    def take_certificate(self, name: str, certificate: Certificate) -> None:
        """Put a certificate in force on all edges."""
        self._call("PUT", f"/v1/certificates/{_segment(name)}", certificate)

    def chain(self, name: str) -> str:
        """Return the certificate in force, PEM."""
        return self._answer("GET", f"/v1/certificates/{_segment(name)}", None, Chain).chain

    def _answer(self, method: str, path: str, body: msgspec.Struct | None, kind: type[T]) -> T:
        content = self._call(method, path, body)
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.MsgspecError, ValueError) as error:
            raise DoorRefused(f"the edge's answer to {method} {path} is not understood: {error}") from error

    def _call(self, method: str, path: str, body: msgspec.Struct | None) -> bytes:
        """
        Ask the edge.

        :raises DoorRefused: with the edge's own words, or why it was not reached.
        """
        connection = UnixConnection(self._path, self._seconds)
        try:
            with within(self._seconds):
                content = b"" if body is None else msgspec.json.encode(body)
                connection.request(method, path, content, {"Content-Type": "application/json"})
                response = connection.getresponse()
                answer = response.read(MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException, TooSlow) as error:
            raise DoorRefused(f"the edge does not answer at {self._path}: {error}") from error
        finally:
            connection.close()
        if len(answer) > MAX_ANSWER_BYTES:
            raise DoorRefused(f"the edge's answer to {method} {path} is longer than {MAX_ANSWER_BYTES} bytes")
        if response.status != http.client.OK:
            raise DoorRefused(_reason(answer) or f"the edge answers {response.status}", response.status)
        return answer


class _Error(msgspec.Struct):
    error: str = ""


def _reason(answer: bytes) -> str:
    try:
        return msgspec.json.decode(answer, type=_Error).error
    except (msgspec.MsgspecError, ValueError):
        return ""


def _segment(name: str) -> str:
    return quote(name, safe="*")

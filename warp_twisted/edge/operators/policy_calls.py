"""
The calls of the admin interface about the fleet's policy: `/v1/policy` and what is below.

A policy's text is the body as it is, so that nothing of 512 KiB is decoded in the event loop; what goes with it is in
the query. What the calls do is decided by `edge.policy.delivery.applying`.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec
from twisted.web.http import Request

from warp_twisted.edge.operators.sites import asking_user
from warp_twisted.edge.policy.delivery.applying import Application, Applied
from warp_twisted.policy.document.policy import MAX_BYTES
from warp_twisted.registry.model import PolicyVersion

MAX_NAME = 255  # of what errors call a text
MAX_MESSAGE = 1000
MAX_NUMBER = 2**53

Call = tuple[str, str, Callable[..., Any]]


class Applications(Protocol):
    """What operators do with the fleet's policy; see `edge.policy.delivery.applying`."""

    def history(self) -> Sequence[PolicyVersion]:
        """Return the versions that are kept, the newest first."""

    async def show(self, number: int = 0) -> tuple[PolicyVersion, bytes] | None:
        """Return a version and its text."""

    async def apply(self, text: bytes, name: str, wish: Application) -> Applied:
        """Put a text in force on every edge."""

    async def back(self, number: int, wish: Application) -> Applied:
        """Put the text of a version of before in force again."""


class PolicyCalls:
    """The calls of one edge."""

    def __init__(self, applications: Applications) -> None:
        self._applications = applications

    def calls(self) -> Sequence[Call]:
        """Return method, path and function of each."""
        return (
            ("GET", "/v1/policy", lambda request: self._shown(0)),
            ("POST", "/v1/policy", self._apply),
            ("GET", "/v1/policy/versions", lambda request: self._applications.history()),
            ("GET", "/v1/policy/versions/<number>", self._version),
            ("POST", "/v1/policy/back", self._back),
        )

    def _version(self, request: Request, number: str) -> Awaitable[object]:
        return self._shown(_number(number, "version", 1))

    async def _shown(self, number: int) -> object:
        shown = await self._applications.show(number)
        return _described(*shown) if shown is not None else {"number": 0, "text": ""}

    def _apply(self, request: Request) -> Awaitable[object]:
        content = request.content
        text = content.read(MAX_BYTES + 1) if content is not None else b""
        return self._applications.apply(text, _text(request, b"name", MAX_NAME) or "the policy", _wish(request))

    def _back(self, request: Request) -> Awaitable[object]:
        number = _text(request, b"version", MAX_NAME)
        return self._applications.back(_number(number, "version", 1) if number else 0, _wish(request))


def _wish(request: Request) -> Application:
    """Read who asks, and on what conditions."""
    if_version = _text(request, b"if_version", MAX_NAME)
    return Application(
        uid=asking_user(request),
        message=_text(request, b"message", MAX_MESSAGE),
        if_version=_number(if_version, "if_version", 0) if if_version else None,
        is_check=_text(request, b"check", 1) not in ("", "0"),
        beside_file=_text(request, b"beside_file", 1) not in ("", "0"),
    )


def _text(request: Request, name: bytes, most: int) -> str:
    """
    Read a parameter of the query; empty if it is not there.

    :raises ValueError: if it is too long, or not UTF-8.
    """
    values: list[bytes] = request.args.get(name, [b""])
    text = values[-1].decode()
    if len(text) > most:
        raise ValueError(f"{name.decode()}: expected at most {most} characters")
    return text


def _number(text: str, name: str, least: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16 and least <= int(text) <= MAX_NUMBER):
        raise ValueError(f"{name}: expected a whole number of at least {least}, got {text[:40]!r}")
    return int(text)


def _described(version: PolicyVersion, text: bytes) -> object:
    return {**msgspec.to_builtins(version), "text": text.decode()}

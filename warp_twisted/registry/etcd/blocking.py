"""
Asking etcd from a program without a reactor: one call after the other, each of them awaited.

For commands that do one thing and end. The edge asks with `registry.etcd.client`.
"""

import ssl
from collections.abc import Sequence
from typing import Protocol
from urllib.error import HTTPError, URLError
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

from warp_twisted.registry.errors import StoreBroken
from warp_twisted.registry.etcd.messages import error_of
from warp_twisted.registry.etcd.trust import TrustFiles

CALL_SECONDS = 10.0
MAX_ANSWER_BYTES = 32 * 1024 * 1024


class BlockingCalls(Protocol):
    """What asks etcd, and waits for the answer."""

    @property
    def name(self) -> str:
        """Which etcd this is, for messages."""

    def call(self, path: str, body: bytes) -> bytes:
        """
        Make one call.

        :raises StoreBroken: if there is no answer, or it is an error.
        """


class BlockingEtcd:
    """
    Asks the first of some members that answers, and from then on that one.

    :param urls: of the members.
    :param files: for TLS; None: without.
    :raises StoreBroken: if a file cannot be used.
    """

    def __init__(self, urls: Sequence[str], files: TrustFiles | None) -> None:
        self._urls = list(urls)
        handlers: list[ProxyHandler | HTTPSHandler] = [ProxyHandler({})]
        if files is not None:
            try:
                context = ssl.create_default_context(cafile=files.ca)
                context.load_cert_chain(files.certificate, files.key)
            except (OSError, ssl.SSLError) as error:
                raise StoreBroken(f"{files.ca}, {files.certificate}, {files.key}: {error}") from error
            handlers.append(HTTPSHandler(context=context))
        self._opener = build_opener(*handlers)
        self._is_chosen = False

    @property
    def name(self) -> str:
        """See `BlockingCalls`."""
        return f"etcd at {self._urls[0]}"

    def call(self, path: str, body: bytes) -> bytes:
        """See `BlockingCalls`."""
        while True:
            try:
                answer = self._ask(path, body)
            except StoreBroken:
                if self._is_chosen or len(self._urls) == 1:
                    raise
                self._urls.pop(0)
            else:
                self._is_chosen = True
                return answer

    def _ask(self, path: str, body: bytes) -> bytes:
        request = Request(self._urls[0] + path, body, {"Content-Type": "application/json"})  # noqa: S310 -- an operator's
        try:
            with self._opener.open(request, timeout=CALL_SECONDS) as response:
                answer: bytes = response.read(MAX_ANSWER_BYTES + 1)
        except HTTPError as error:
            raise StoreBroken(f"{self.name} refuses: {error_of(error.read(65536))}") from error
        except URLError as error:
            raise StoreBroken(f"{self.name} does not answer: {error.reason}") from error
        except OSError as error:
            raise StoreBroken(f"{self.name} does not answer: {error}") from error
        if len(answer) > MAX_ANSWER_BYTES:
            raise StoreBroken(f"{self.name}: the answer is longer than {MAX_ANSWER_BYTES} bytes")
        return answer

"""
An edge's admin interface, for Ansible's modules: HTTP and JSON on a unix socket, with the standard library only.

Modules run on the edge's host with the host's own Python, where Warp's packages are not importable.
"""

import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

SOCKET = "/run/warp-edge/admin.sock"
TIMEOUT_SECONDS = 15.0
MAX_ANSWER_BYTES = 64 << 20


class AdminError(Exception):
    """The edge cannot be asked, or refuses; the message says why."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Admin:
    """
    One edge.

    :param path: of its socket.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def call(
        self,
        method: str,
        *target: str,
        body: object = None,
        query: Mapping[str, str] | None = None,
        content: bytes | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> Any:
        """
        Ask the edge for something.

        :param target: segments of the path, not yet quoted.
        :param body: is sent as JSON.
        :param content: is sent as it is, in place of a body.
        :param timeout: seconds for each step.
        :returns: the answer's JSON; every answer has some.
        :raises AdminError: if nobody answers, or for any status but 2xx, with the edge's reason.
        """
        url = "/" + "/".join(quote(segment, safe="") for segment in target)
        url += f"?{urlencode(query)}" if query else ""
        headers = {} if body is None else {"content-type": "application/json"}
        sent = content if body is None else json.dumps(body).encode()
        try:
            return json.loads(self._ask(method, url, sent, headers, timeout))
        except ValueError as error:
            raise AdminError(f"{self._path}: the answer is no JSON; is this an edge's admin socket?") from error

    def metrics(self) -> str:
        """
        Ask the edge for its metrics, in Prometheus's text.

        :raises AdminError: as above.
        """
        return self._ask("GET", "/metrics", None, {}, TIMEOUT_SECONDS).decode(errors="replace")

    def _ask(self, method: str, url: str, content: bytes | None, headers: Mapping[str, str], timeout: float) -> bytes:
        connection = _UnixConnection(self._path, timeout)
        try:
            connection.request(method, url, content, dict(headers))
            response = connection.getresponse()
            answer = response.read(MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise AdminError(f"no edge answers at {self._path}: {error}") from error
        finally:
            connection.close()
        if len(answer) > MAX_ANSWER_BYTES:
            raise AdminError(f"{self._path}: the answer is longer than {MAX_ANSWER_BYTES} bytes")
        if not 200 <= response.status < 300:
            raise AdminError(_reason(answer) or f"the edge answered {response.status} {response.reason}")
        return answer


def _reason(answer: bytes) -> str:
    """Return why the edge refuses, if it says so."""
    try:
        found = json.loads(answer)
    except ValueError:
        return ""
    return str(found.get("error") or "") if isinstance(found, dict) else ""

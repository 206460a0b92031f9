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
        connection = _UnixConnection(self._path, timeout)
        headers = {} if body is None else {"content-type": "application/json"}
        try:
            url = "/" + "/".join(quote(segment, safe="") for segment in target)
            url += f"?{urlencode(query)}" if query else ""
            connection.request(method, url, content if body is None else json.dumps(body).encode(), headers)
            response = connection.getresponse()
            content = response.read(MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise AdminError(f"no edge answers at {self._path}: {error}") from error
        finally:
            connection.close()
        if len(content) > MAX_ANSWER_BYTES:
            raise AdminError(f"{self._path}: the answer is longer than {MAX_ANSWER_BYTES} bytes")
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if not 200 <= response.status < 300:
            reason = answer.get("error") if isinstance(answer, dict) else None
            raise AdminError(str(reason or f"the edge answered {response.status} {response.reason}"))
        if answer is None:
            raise AdminError(f"{self._path}: the answer is no JSON; is this an edge's admin socket?")
        return answer

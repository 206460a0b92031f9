"""
Talking to an edge's admin interface: HTTP and JSON on a unix socket, one call after the other.

The standard library's blocking client is enough for a command that asks one thing and ends, and starts five times
faster than a reactor. What the answers mean is for the commands to say.
"""

import http.client
import json
from collections.abc import Mapping
from urllib.parse import quote, urlencode

import click

from warp_twisted.cli.errors import EdgeRefused, EdgeUnreachable, sentence
from warp_twisted.cli.local import find_demo
from warp_twisted.cli.output import say
from warp_twisted.unix_http import UnixConnection

DEFAULT_SOCKET = "/run/warp-edge/admin.sock"
TIMEOUT_SECONDS = 10.0
MAX_ANSWER_BYTES = 256 << 20  # a status of 4,000 tunnels is about 2 MB

ADMIN_OPTION = click.option(
    "--admin",
    metavar="SOCKET",
    envvar="WARP_ADMIN",
    show_envvar=True,
    help=f"The edge's admin socket. Default: that of a running demo, else {DEFAULT_SOCKET}.",
)


class Admin:
    """One edge's admin interface."""

    def __init__(self, path: str, timeout: float = TIMEOUT_SECONDS) -> None:
        self.path = path
        self._timeout = timeout

    def get(self, *target: str) -> object:
        """Read something, such as `get("v1", "status")`."""
        return self._call("GET", target)

    def post(
        self, *target: str, body: object = None, query: Mapping[str, str] | None = None, text: bytes | None = None
    ) -> object:
        """
        Ask for something to be made or done.

        :param text: a body that is not JSON.
        """
        return self._call("POST", target, body, query, text)

    def delete(self, *target: str, body: object = None) -> object:
        """Take something away."""
        return self._call("DELETE", target, body)

    def _call(
        self,
        method: str,
        target: tuple[str, ...],
        body: object = None,
        query: Mapping[str, str] | None = None,
        text: bytes | None = None,
    ) -> object:
        """
        Make one call.

        :param target: the segments of the path, not yet quoted.
        :returns: the JSON of the answer, None when it has none.
        :raises EdgeUnreachable: if nothing answers in time.
        :raises EdgeRefused: with the edge's reason, for every status but 2xx.
        """
        connection = UnixConnection(self.path, self._timeout)
        url = "/" + "/".join(quote(segment, safe="") for segment in target)
        if query:
            url += "?" + urlencode(query)
        data = text if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"} if body is not None else {}
        try:
            connection.request(method, url, data, headers)
            response = connection.getresponse()
            content = response.read(MAX_ANSWER_BYTES)
        except TimeoutError as error:
            raise EdgeUnreachable(f"the edge at {self.path} did not answer in {self._timeout:g} s") from error
        except PermissionError as error:
            raise EdgeUnreachable(
                f"{self.path}: permission denied; run as root or as a member of the socket's group"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise EdgeUnreachable(
                f"no edge answers at {self.path}: {sentence(error)}; start one, or name its socket with --admin"
            ) from error
        finally:
            connection.close()
        answer = _decode(content)
        if not 200 <= response.status < 300:
            raise EdgeRefused(_reason(answer) or f"the edge answered {response.status} {response.reason}")
        return answer


def find_admin(option: str | None, timeout: float = TIMEOUT_SECONDS) -> Admin:
    """
    Choose the edge to talk to: the one that was named, else a running demo's, else the one of this machine.

    :param option: of `ADMIN_OPTION`.
    :param timeout: of each call, in seconds.
    """
    if option:
        return Admin(option, timeout)
    demo = find_demo()
    return Admin(demo.admin if demo is not None else DEFAULT_SOCKET, timeout)


def _decode(content: bytes) -> object:
    try:
        return json.loads(content) if content.strip() else None
    except ValueError as error:
        raise EdgeRefused("the edge's answer is no JSON; is this its admin socket?") from error


def _reason(answer: object) -> str:
    reason = answer.get("error") if isinstance(answer, dict) else None
    return reason if isinstance(reason, str) else ""


def say_not_kept(revoked: str, why: str) -> None:
    """Warn that a revocation holds, but would end with the edge now; `why` is empty if it would not."""
    if why:
        say(
            f"warp: {revoked}: that is written as soon as the edge can; if the edge ends before, revoke again: {why}",
            err=True,
        )

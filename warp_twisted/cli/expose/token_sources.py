"""
Where the join token of `warp up` comes from: a file, standard input, the environment, or a demo on this machine.

Each source can be asked again, because an agent that was revoked, or whose fleet is gone, looks for a new token. Asked
twice, standard input answers what it said, and a demo makes a token only if it is not the one that was joined last.
"""

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from warp_twisted.agent.check import find_token, read_token_file
from warp_twisted.agent.settings import AgentSettings
from warp_twisted.ca.tokens import MAX_FILE_BYTES, JoinTokenText, decode_token_file, parse_token
from warp_twisted.cli.errors import EdgeRefused
from warp_twisted.cli.local import find_demo
from warp_twisted.cli.operate.admin import Admin
from warp_twisted.cli.operate.answers import NewToken, read

if TYPE_CHECKING:
    from warp_twisted.cli.local import DemoInfo

DEMO_TOKEN_SECONDS = 600.0


def given_token(token_file: str | None, has_config: bool) -> "Callable[[AgentSettings], JoinTokenText | None]":
    """
    Return what reads the token that the command line or the environment names.

    :param token_file: a path, `-` for standard input, None for what settings and environment say.
    :param has_config: whether the settings are of a file, and may name another one.
    :raises BadJoinToken: if standard input has none.
    """
    if token_file == "-":  # noqa: S105 -- no secret, a file
        piped = parse_token(decode_token_file(sys.stdin.buffer.read(MAX_FILE_BYTES)))
        return lambda settings: piped
    if token_file is not None:
        return lambda settings: read_token_file(token_file)
    return lambda settings: find_token(settings.token_file if has_config else None, os.environ.get("WARP_TOKEN", ""))


class DemoTokens:
    """
    The demo that runs on this machine, whichever it is; all that joins it shares hostnames.

    :param hostnames: what the tokens are to permit; none: any name of the demo's zone.
    """

    def __init__(self, hostnames: Sequence[str]) -> None:
        self._hostnames = hostnames
        self._joined: tuple[int, float] | None = None
        self._token: JoinTokenText | None = None

    def __call__(self, settings: AgentSettings) -> JoinTokenText | None:
        """
        Return a token of the demo that runs now, None if none runs.

        :raises WarpError: if it makes none.
        """
        demo = find_demo()
        if demo is None:
            return None
        if self._joined != (demo.pid, demo.started_at):
            self._token = self._ask(demo)
            self._joined = demo.pid, demo.started_at
        return self._token

    def _ask(self, demo: "DemoInfo") -> JoinTokenText:
        wish = {
            "hostnames": list(self._hostnames) or [f"*.{demo.zone}"],
            "labels": {},
            "ttl_seconds": DEMO_TOKEN_SECONDS,
            "uses": 1,
            "share": demo.zone,
        }
        try:
            answer = Admin(demo.admin).post("v1", "tokens", body=wish)
        except EdgeRefused as error:
            raise EdgeRefused(f"the demo on this machine: {error}; another fleet needs --token-file") from error
        return parse_token(read(answer, NewToken).token)

"""
What can be known of an agent.yaml before the agent starts: the files that it names, its identity, and its join token.

Nothing is dialed, listened on or written. Tokens are read here for the start as well, so that both say the same.
"""

import os
from pathlib import Path

from warp_base.reactor import Reactor
from warp_twisted.agent.errors import NotEnrolled
from warp_twisted.agent.identity.state import read_identity
from warp_twisted.agent.origins.prepared import PreparedIngress
from warp_twisted.agent.origins.routes import Routes
from warp_twisted.agent.origins.tls import read_ca
from warp_twisted.agent.settings import AgentSettings
from warp_twisted.ca.errors import BadJoinToken
from warp_twisted.ca.tokens import MAX_FILE_BYTES, JoinTokenText, decode_token_file, parse_token
from warp_twisted.configuration import nearest_directory
from warp_twisted.errors import InvalidSettings, WarpError
from warp_twisted.listen_text import check_listeners
from warp_twisted.tunnel import Turn


def check_agent(
    reactor: Reactor,
    settings: AgentSettings,
    environment_token: str = "",
    *,
    has_systemd_sockets: bool = False,
) -> str:
    """
    Look at what the settings point to.

    :param environment_token: the value of `$WARP_TOKEN`.
    :param has_systemd_sockets: whether systemd handed this process sockets that can be looked for.
    :returns: what is still missing before the agent can start, empty if nothing is: a machine is configured first
        and enrolled then, so a token that is not there yet is no mistake in the file.
    :raises WarpError: naming the key, and what cannot be used.
    """
    prepare_rules(reactor, settings)
    for index, rule in enumerate(settings.ingress.rules):
        if rule.request.ca is not None:  # also where no https origin reads it yet
            try:
                read_ca(rule.request.ca)
            except InvalidSettings as error:
                raise InvalidSettings(f"ingress[{index}].{error}") from error
    check_listeners(reactor, {"metrics": settings.metrics}, has_systemd_sockets=has_systemd_sockets)
    why = _why_not_enrolled(settings)
    try:
        token = find_token(settings.token_file, environment_token)
    except InvalidSettings as error:
        if why:
            raise
        return f"the join token cannot be used, and is not needed, as the agent is enrolled: {error}"
    if not why or token is not None:
        return ""
    where = f"there is no token_file {settings.token_file}" if settings.token_file else "no token_file is given"
    return f"the agent cannot start yet: {why}, and {where}; make a token with: warp token create"


def prepare_rules(reactor: Reactor, settings: AgentSettings, *, is_start: bool = False) -> PreparedIngress:
    """
    Find out how the origins of the settings' rules are reached; reads files, and takes up to 0.1 ms for each rule.

    :param is_start: leave out origins whose file cannot be used.
    :raises InvalidSettings: if a file that they name cannot be used otherwise.
    """
    return Routes(reactor, Turn(reactor), lambda route: None).prepare(settings.ingress, is_start=is_start)


def find_token(token_file: str | None, environment_token: str = "") -> JoinTokenText | None:
    """
    Read the join token that was given, None if none was: its file is removed after the agent enrolled, as it should be.

    :raises InvalidSettings: if there is one that cannot be read, or is none.
    """
    if token_file is not None and os.path.lexists(token_file):
        return read_token_file(token_file)
    return _parse(environment_token, "$WARP_TOKEN") if environment_token.strip() else None


def read_token_file(path: str) -> JoinTokenText:
    """
    Read a join token from a file that must be there.

    :raises InvalidSettings: if it cannot be read, or is none.
    """
    try:
        with Path(path).open("rb") as file:
            text = decode_token_file(file.read(MAX_FILE_BYTES))
    except OSError as error:
        raise InvalidSettings(f"token_file: {path}: {error.strerror or error}") from error
    return _parse(text, f"token_file: {path}")


def _parse(text: str, key: str) -> JoinTokenText:
    """Read a token; what is wrong with it is told without repeating it."""
    if not text.strip():
        raise InvalidSettings(f"{key}: expected a join token, found nothing; remove it, or write the token there")
    try:
        return parse_token(text)
    except BadJoinToken as error:
        raise InvalidSettings(f"{key}: {error}") from error


def _why_not_enrolled(settings: AgentSettings) -> str:
    """Say why there is no identity, if there is none."""
    path = Path(settings.state)
    try:
        read_identity(path)
    except NotEnrolled as error:
        nearest_directory(path, "state")
        return str(error)
    except WarpError as error:
        raise InvalidSettings(f"state: {error}") from error
    return ""  # its certificate may have ended: then the agent returns with its key

"""
The paths of the edge's unix sockets: what may be there, and what is made or removed before they are listened on.

A socket's mode is the only access control of what is served on it: the admin interface, or the published records.
"""

import os
import socket
import stat
from pathlib import Path

from warp_twisted.errors import InvalidSettings

MAX_SOCKET_PATH = 107  # bytes; sockaddr_un of Linux has 108 with the zero at the end
SOCKET_MODE = 0o660


def check_socket_path(path: str, key: str = "listen.admin") -> bool:
    """
    Refuse a path at which there can be no socket of ours.

    :param key: where the path stands in edge.yaml.
    :returns: whether there is a socket now.
    :raises InvalidSettings: saying why.
    """
    length = len(os.fsencode(path))
    if length > MAX_SOCKET_PATH:
        raise InvalidSettings(f"{key}: {path}: too long; expected at most {MAX_SOCKET_PATH} bytes, got {length}")
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    except OSError as error:
        raise InvalidSettings(f"{key}: {path}: {error.strerror or error}") from error
    if not stat.S_ISSOCK(mode):
        raise InvalidSettings(f"{key}: {path} exists and is no socket")
    return True


def prepare_socket_path(path: str, key: str = "listen.admin", *, may_answer: bool = False) -> None:
    """
    Make the socket's directory if there is none, and remove a socket that a killed edge left behind.

    :param key: where the path stands in edge.yaml.
    :param may_answer: whether another process of this edge may listen there, whose place is going to be taken.
    :raises InvalidSettings: if an edge answers on it, something else is in its place, or the directory cannot be made.
    """
    try:
        Path(path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidSettings(f"{key}: {error.filename}: {error.strerror or error}") from error
    if not check_socket_path(path, key) or may_answer:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError as error:
            raise InvalidSettings(f"{key}: {path}: {error.strerror or error}") from error
    raise InvalidSettings(f"{key}: another edge answers on {path}")

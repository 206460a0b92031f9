"""
The path of the admin interface's unix socket: what may be there, and what is made or removed before it is listened on.

The socket's mode is the only access control of the admin interface.
"""

import os
import socket
import stat
from pathlib import Path

from warp_twisted.errors import InvalidSettings

MAX_SOCKET_PATH = 107  # bytes; sockaddr_un of Linux has 108 with the zero at the end
SOCKET_MODE = 0o660


def check_socket_path(path: str) -> bool:
    """
    Refuse a path at which there can be no admin socket.

    :returns: whether there is a socket now.
    :raises InvalidSettings: saying why.
    """
    length = len(os.fsencode(path))
    if length > MAX_SOCKET_PATH:
        raise InvalidSettings(f"listen.admin: {path}: too long; expected at most {MAX_SOCKET_PATH} bytes, got {length}")
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    except OSError as error:
        raise InvalidSettings(f"listen.admin: {path}: {error.strerror or error}") from error
    if not stat.S_ISSOCK(mode):
        raise InvalidSettings(f"listen.admin: {path} exists and is no socket")
    return True


def prepare_socket_path(path: str) -> None:
    """
    Make the socket's directory if there is none, and remove a socket that a killed edge left behind.

    :raises InvalidSettings: if an edge answers on it, something else is in its place, or the directory cannot be made.
    """
    try:
        Path(path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidSettings(f"listen.admin: {error.filename}: {error.strerror or error}") from error
    if not check_socket_path(path):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError as error:
            raise InvalidSettings(f"listen.admin: {path}: {error.strerror or error}") from error
    raise InvalidSettings(f"listen.admin: another edge answers on {path}")

"""Where origins are: scheme, host and port read from a service text."""

from urllib.parse import urlsplit

from warp_twisted.errors import InvalidSettings


def split_address(service: str, default_port: int | None) -> tuple[str, str, int]:
    """
    Take a `scheme://host:port` service apart.

    :param default_port: the port when none is written, None if one must be.
    :returns: scheme, host (an IPv6 address without brackets, its zone behind a `%`), port.
    :raises InvalidSettings: if there is more than that in it, or less.
    """
    try:
        parts = urlsplit(service)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidSettings(f"{service!r} is not a service: {error}") from error
    if not host or any(character.isspace() for character in service) or not host.isprintable():
        raise InvalidSettings(f"{service!r} is not a service: {parts.scheme}://host:port is expected")
    if parts.username is not None or parts.password is not None:
        raise InvalidSettings("a service may not hold a user name or password: the agent passes requests on unread")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise InvalidSettings(
            f"{service!r} is not a service: the path is the visitor's, expected {parts.scheme}://host:port"
        )
    if ":" in host and not host.endswith("%25"):
        host = host.replace("%25", "%", 1)  # as RFC 6874 writes what stands before a zone
    if port is None:
        port = default_port
    if not port:
        raise InvalidSettings(f"{service!r} is not a service: {parts.scheme}://host:port is expected")
    return parts.scheme, host, port

"""
Reading and writing `host:port`, where the host may be an IPv6 address.

Pure, and only about the form: what a host may be, and which ports are allowed, is the caller's to decide.
"""

MAX_PORT = 65535


def split_host_port(text: str) -> tuple[str, int | None]:
    """
    Take `host`, `host:port`, `[address]`, `[address]:port` or a bare IPv6 address apart.

    :returns: the host without brackets, and the port, 0 to 65535, or None where none is written.
    :raises ValueError: saying what was expected.
    """
    host, rest = text, ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"expected [IPv6 address]:port, got {text!r}")
    elif text.count(":") == 1:  # more of them are those of an IPv6 address
        host, rest = text[: text.index(":")], text[text.index(":") :]
    if not rest:
        return host, None
    port = rest[1:]
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= MAX_PORT):
        raise ValueError(f"expected a port from 0 to {MAX_PORT}, got {port!r} in {text!r}")
    return host, int(port)


def join_host_port(host: str, port: int) -> str:
    """Write a host and a port as `split_host_port` reads them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

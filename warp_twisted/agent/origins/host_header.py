"""
What edges are to tell an origin as Host: a name of the settings' choice, or the origin's own.

A development server, or a virtual host, answers only to names that it knows; the visitor's is not among them. With
`rewrite` the edge also maps between the visitor's name and the origin's what names the site: Location, cookies' Domain,
Origin, Referer (`http1.host_rewriting`). Pure.
"""

from typing import Literal

import msgspec

from warp_base.host_port import join_host_port, split_host_port
from warp_twisted.agent.origins.interface import Origin, OriginRequest
from warp_twisted.errors import InvalidSettings
from warp_twisted.http1.refusals import MessageRefused
from warp_twisted.http1.target import DEFAULT_PORTS, parse_authority
from warp_twisted.names import HostnamePattern

REWRITE = "rewrite"
_WITH_TLS = frozenset({"https", "unix+tls"})
Scheme = Literal["", "http", "https"]


def told_host(origin: Origin, request: OriginRequest) -> tuple[str, Scheme]:
    """
    Return the Host that edges are to tell an origin, empty for the visitor's, and the scheme of what is mapped.

    :raises InvalidSettings: if it is no host with an optional port.
    """
    wanted = request.http_host_header
    if wanted is None:
        return "", ""
    if wanted == REWRITE:
        return _own(origin)
    try:
        parse_authority(wanted.encode("utf-8"))
    except MessageRefused as error:
        raise InvalidSettings(
            f"originRequest.http_host_header: expected `{REWRITE}`, or a host with an optional port such as "
            f"localhost:3000, got {wanted!r}"
        ) from error
    return wanted, ""


def named_by_host(key: str, request: OriginRequest, hostname: HostnamePattern | None) -> OriginRequest:
    """
    Return how an origin is connected to, with the name for TLS that `match_sni_to_host` stands for.

    That is what the origin is told as Host, else the rule's hostname: the agent reads no requests.

    :param key: of the rule.
    :raises InvalidSettings: if neither is one name.
    """
    if not request.match_sni_to_host or request.server_name is not None:
        return request
    name = hostname.text if hostname is not None and not hostname.is_wildcard else ""
    if request.http_host_header is not None:
        if request.http_host_header == REWRITE:
            return request
        name = split_host_port(request.http_host_header)[0]
    if not name:
        raise InvalidSettings(
            f"{key}.originRequest.match_sni_to_host: the rule has no hostname that is one name; write server_name"
        )
    return msgspec.structs.replace(request, server_name=name)


def _own(origin: Origin) -> tuple[str, Scheme]:
    """Return how an origin is called by who asks it directly; one without a name or address is `localhost`."""
    kind, _, rest = origin.text.partition(":")
    scheme: Scheme = "https" if kind in _WITH_TLS else "http"
    if not rest.startswith("//"):
        return "localhost", scheme
    host, port = split_host_port(rest[2:])
    host = host.partition("%")[0]  # a zone is for the machine that dials
    if port is None or port == DEFAULT_PORTS.get(scheme):
        return f"[{host}]" if ":" in host else host, scheme
    return join_host_port(host, port), scheme

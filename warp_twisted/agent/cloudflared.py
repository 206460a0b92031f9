"""
cloudflared's words for what agent.yaml says, so that an `ingress:` block can be moved over as it stands.

Its spelling of the same idea is accepted (`ALIASES`). What cannot work where the agent passes bytes on unread, or is
not needed here, is refused with what there is instead (`REFUSED`, `REFUSED_KEYS`), unless it is written with the value
that changes nothing (`NOTHING`). Pure.
"""

from collections.abc import Mapping

from warp_twisted.durations import parse_duration
from warp_twisted.errors import InvalidSettings

ALIASES = {
    "connectTimeout": "connect_timeout",
    "tlsTimeout": "tls_timeout",
    "tcpKeepAlive": "tcp_keep_alive",
    "noHappyEyeballs": "no_happy_eyeballs",
    "noTLSVerify": "no_tls_verify",
    "caPool": "ca",
    "originServerName": "server_name",
    "matchSNItoHost": "match_sni_to_host",
    "httpHostHeader": "http_host_header",
}
DURATIONS = frozenset({"connect_timeout", "tls_timeout", "tcp_keep_alive"})
# Keys without an effect here, with each value that asks for none.
NOTHING: Mapping[str, tuple[object, ...]] = {
    "disableChunkedEncoding": (False, None),
    "http2Origin": (False, None),
    "bastionMode": (False, None),
    "proxyType": ("", None),
    "proxyAddress": ("", "127.0.0.1", None),
    "proxyPort": (0, None),
    "ipRules": ([], None),
    "access": ({}, None),
}

_POOL = "edges keep idle connections to origins, for all rules alike: in edge.yaml "
_PROXY = "the agent is no proxy to other hosts; write a rule of ingress for each origin, whose service names it"
_HEALTH = "write health: {path: /healthz} beside service, in a rule of ingress"
REFUSED = {
    "disableChunkedEncoding": "bodies are passed on as they come; put nginx before the application: with its"
    " proxy_request_buffering it hands on none without a length",
    "http2Origin": "edges speak HTTP/1.1 to origins, as nearly every server that has HTTP/2 does; remove it",
    "keepAliveConnections": _POOL + "it is limits.idle_streams_per_route; remove it here",
    "keepAliveTimeout": _POOL + "it is timeouts.idle_stream; remove it here",
    "bastionMode": _PROXY,
    "proxyType": _PROXY,
    "proxyAddress": _PROXY,
    "proxyPort": _PROXY,
    "ipRules": "it limits what a SOCKS proxy may reach, and the agent reaches only what rules name; remove it (who may"
    " visit is policy: {sources: {allow: [...]}} beside service)",
    "access": "Cloudflare signs what it checks, and nobody does here; write policy: {authenticate: {any_of: [{basic:"
    " {users_file: FILE}}]}} beside service, or ask the edge's operator for a rule with jwt",
    "health": _HEALTH,
}

_ENROLLS = "not needed: the agent is known by the certificate that it gets for its join token (token_file)"
REFUSED_KEYS = {
    "tunnel": _ENROLLS,
    "credentials-file": _ENROLLS,
    "credentials-contents": _ENROLLS,
    "origincert": _ENROLLS,
    "warp-routing": "not possible: the agent serves only the origins that its ingress rules name",
    "protocol": "not needed: tunnels are TLS on TCP",
    "loglevel": "write log: {level: debug}",
    "grace-period": "write drain, in seconds",
    "health": _HEALTH,
    "max_requests": "write max_requests beside service, in a rule of ingress",
}


def spell_origin_request(values: Mapping[str, object], path: str) -> dict[str, object]:
    """
    Return an `originRequest` mapping in our spelling, lengths of time as seconds.

    :raises InvalidSettings: naming the key under `path`, if it is one that has no effect here.
    """
    spelled: dict[str, object] = {}
    for key, value in values.items():
        if key in REFUSED:
            if any(value == nothing and type(value) is type(nothing) for nothing in NOTHING.get(key, ())):
                continue
            raise InvalidSettings(f"{path}.{key}: not possible: {REFUSED[key]}")
        ours = ALIASES.get(key, key)
        if ours in spelled:
            raise InvalidSettings(f"{path}.{key}: {ours} is given twice, in two spellings")
        if ours in DURATIONS and isinstance(value, str):
            try:
                value = parse_duration(value)
            except ValueError as error:
                raise InvalidSettings(f"{path}.{key}: {error}") from error
        spelled[ours] = value
    return spelled

"""
Origins: what the `service` of an ingress rule may be, and how each kind is reached.

One module and one line in `KINDS` per kind. A kind reads its own service text into a frozen value (no file
is opened, nothing is dialed) and later says how to reach it: an endpoint to dial, or a protocol to run
inside the agent. None of them knows streams or tunnels; `agent.origins.splice` joins the two.
"""

from collections.abc import Callable, Mapping

from warp_twisted.agent.origins import builtin, http, tcp, unix
from warp_twisted.agent.origins.interface import BuiltIn, Dial, Origin, OriginRequest
from warp_twisted.errors import InvalidSettings
from warp_twisted.names import HOST_AND_PORT

__all__ = ["BuiltIn", "Dial", "Origin", "OriginRequest", "parse_service"]

KINDS: Mapping[str, Callable[[str, OriginRequest], Origin]] = {
    "http": http.parse,
    "https": http.parse,
    "tcp": tcp.parse,
    "unix": unix.parse,
    "unix+tls": unix.parse,
    "hello-world": builtin.parse_hello,
    "hello_world": builtin.parse_hello,  # cloudflared's spelling
    "http_status": builtin.parse_status,
}

_HINTS = {
    **dict.fromkeys(("ssh", "rdp", "smb"), "visitors are served HTTP only"),
    "bastion": "the agent serves only the origins that its ingress rules name",
    "socks-proxy": "the agent serves only the origins that its ingress rules name",
    "ws": "write http://; WebSocket upgrades pass through",
    "wss": "write https://; WebSocket upgrades pass through",
}


def parse_service(service: str, request: OriginRequest) -> Origin:
    """
    Read a rule's service text, such as `http://localhost:3000` or `http_status:404`.

    :raises InvalidSettings: saying what is wrong with the text; the caller puts the key's path before it.
    """
    kind = service.partition(":")[0]
    parse = KINDS.get(kind)
    if parse is None:
        hint = _HINTS.get(kind, "expected http://, https://, tcp://, unix:, unix+tls:, http_status: or hello-world")
        if HOST_AND_PORT.fullmatch(service):
            hint = f"did you mean http://{service}?"
        raise InvalidSettings(f"{service!r} is not a service: {hint}")
    return parse(service, request)

"""
A `config.yml` of cloudflared as an agent.yaml: what means the same is taken, all else is named with the reason.

Pure: a mapping in, a mapping and notes out. What each key of `originRequest` means is `agent.cloudflared`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from warp_base.host_port import split_host_port
from warp_twisted.agent.cloudflared import REFUSED, REFUSED_KEYS, spell_origin_request
from warp_twisted.durations import parse_duration
from warp_twisted.errors import InvalidSettings

TOKEN_FILE = "/etc/warp/join-token"  # noqa: S105 -- a path

_OF_ITS_TUNNEL = "not needed: the agent is known by the certificate that it gets for its join token"
_OF_ITS_EDGE = "not needed: the join token says where the edges are"
_OF_THE_PROGRAM = "not needed"
_LEFT_OUT: Mapping[str, str] = {
    **dict.fromkeys(("tunnel", "TunnelID", "credentials-file", "credentials-contents", "origincert"), _OF_ITS_TUNNEL),
    **dict.fromkeys(
        ("region", "edge", "edge-ip-version", "edge-bind-address", "protocol", "post-quantum"), _OF_ITS_EDGE
    ),
    **dict.fromkeys(("no-autoupdate", "autoupdate-freq", "pidfile", "management-hostname"), _OF_THE_PROGRAM),
    **dict.fromkeys(("retries", "max-edge-addr-retries"), "not needed: the agent tries again for ever"),
    **dict.fromkeys(("logfile", "log-directory"), "the agent logs to standard output; systemd keeps it"),
    "transport-loglevel": "not needed: there is one log",
    "tag": "write labels: {KEY: VALUE}",
    "warp-routing": REFUSED_KEYS["warp-routing"],
}
_LEVELS = {"debug": "debug", "info": "info", "warn": "warn", "error": "error", "fatal": "error", "panic": "error"}
_WEB_SOCKETS = {"ws": "http", "wss": "https"}
_NO_HTTP = frozenset({"ssh", "rdp", "smb", "tcp", "bastion", "socks-proxy"})
_RULE_KEYS = ("hostname", "path", "service")


@dataclass(slots=True)
class Migrated:
    """
    What became of a file.

    :ivar settings: of an agent.yaml, in the order in which it is to be written.
    :ivar notes: key path and what is to be known about it, in the order of the file.
    """

    settings: dict[str, object] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def migrate(raw: Mapping[str, object]) -> Migrated:
    """
    Turn a file's mapping into settings.

    :raises InvalidSettings: if it exposes nothing, or a part has another form than cloudflared's.
    """
    found = Migrated({"token_file": TOKEN_FILE})
    found.notes.append(f"token_file: put the join token there, which `warp token create` makes: {TOKEN_FILE}")
    rules: object = raw.get("ingress")
    if rules is None and "url" in raw:
        rules = (
            [{"hostname": raw["hostname"], "service": raw["url"]}] if "hostname" in raw else [{"service": raw["url"]}]
        )
        if "hostname" in raw:
            rules = [*rules, {"service": "http_status:404"}]
    if not isinstance(rules, list) or not rules:
        raise InvalidSettings("ingress: missing; expected a list of rules, or url")
    for key, value in raw.items():
        _take(key, value, found)
    found.settings["ingress"] = [
        rule for index, each in enumerate(rules) if (rule := _rule(f"ingress[{index}]", each, found.notes)) is not None
    ]
    return found


def _take(key: str, value: object, found: Migrated) -> None:
    """Take one key of the file itself."""
    settings, notes = found.settings, found.notes
    if key in ("ingress", "url", "hostname"):
        return
    if key == "originRequest":
        if spelled := _request(key, value, notes):
            settings[key] = spelled
    elif key == "loglevel" and value in _LEVELS:
        settings["log"] = {"level": _LEVELS[str(value)]}
    elif key == "grace-period":
        settings["drain"] = _seconds(key, value)
    elif key == "metrics":
        settings[key] = _endpoint(key, value)
    elif key == "warp-routing" and value in ({"enabled": False}, None):
        return
    else:
        notes.append(f"{key}: left out: {_LEFT_OUT.get(key, 'this key is not known')}")


def _rule(key: str, rule: object, notes: list[str]) -> dict[str, object] | None:
    """Return one rule as ours; None if it cannot be served."""
    if not isinstance(rule, dict) or not isinstance(service := rule.get("service"), str):
        raise InvalidSettings(f"{key}.service: missing; expected a rule such as {{hostname: NAME, service: URL}}")
    kind, _, rest = service.partition(":")
    if kind in _NO_HTTP:
        where = rule.get("hostname", "what no other rule matches")
        notes.append(f"{key}: left out: {service}: visitors are served HTTP only, so {where} is answered 404")
        return None if rule.get("hostname") or rule.get("path") else {"service": "http_status:404"}
    ours: dict[str, object] = {name: rule[name] for name in _RULE_KEYS if rule.get(name)}
    if kind in _WEB_SOCKETS:
        ours["service"] = f"{_WEB_SOCKETS[kind]}:{rest}"
    elif kind == "hello_world":
        ours["service"] = "hello-world"
    for name in rule:
        if name == "originRequest":
            if spelled := _request(f"{key}.{name}", rule[name], notes):
                ours[name] = spelled
        elif name not in _RULE_KEYS:
            notes.append(f"{key}.{name}: left out: this key is not known")
    return ours


def _request(key: str, values: object, notes: list[str]) -> dict[str, object]:
    """Return an `originRequest` in our spelling, without what has no effect here."""
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InvalidSettings(f"{key}: expected a mapping")
    kept: dict[str, object] = {}
    for name, value in values.items():
        try:
            kept |= spell_origin_request({name: value}, key)
        except InvalidSettings:
            if name not in REFUSED:
                raise
            notes.append(f"{key}.{name}: left out: {REFUSED[name]}")
    return kept


def _seconds(key: str, value: object) -> float:
    try:
        return parse_duration(value) if isinstance(value, str) else float(str(value))
    except ValueError as error:
        raise InvalidSettings(f"{key}: {error}") from error


def _endpoint(key: str, value: object) -> str:
    """Return `host:port` as an endpoint."""
    try:
        host, port = split_host_port(str(value))
    except ValueError as error:
        raise InvalidSettings(f"{key}: {error}") from error
    if port is None:
        raise InvalidSettings(f"{key}: expected host:port, got {value!r}")
    address = {"localhost": "127.0.0.1", "": "0.0.0.0"}.get(host, host)  # noqa: S104 -- as the file says
    kind = "tcp6" if ":" in address else "tcp"
    return f"{kind}:{port}:interface=" + address.replace(":", r"\:")

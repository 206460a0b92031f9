"""
agent.yaml as values: which keys exist, their bounds and their defaults.

Which rule serves which hostname is `agent.origins.ingress`; what a service text means is `agent.origins`. Keys are
written in snake case; what cloudflared calls otherwise, so that an `ingress:` block can be moved over as it stands, is
`agent.cloudflared`'s. Nothing here dials, and no file but the settings themselves is opened.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec

from warp_twisted.agent.cloudflared import REFUSED_KEYS, spell_origin_request
from warp_twisted.agent.edge_address import EdgeAddress, parse_edge
from warp_twisted.agent.health.settings import Health
from warp_twisted.agent.links.edges import DEFAULT_SPREAD
from warp_twisted.agent.origins import OriginRequest
from warp_twisted.agent.origins.asking import RulePolicy
from warp_twisted.agent.origins.ingress import Ingress, compile_ingress
from warp_twisted.configuration import convert, parse, read_file
from warp_twisted.errors import InvalidName, InvalidSettings
from warp_twisted.names import check_labels, parse_hostname
from warp_twisted.wire.control import MAX_REQUESTS

DEFAULT_STATE = "/var/lib/warp-agent"
DEFAULT_TUNNELS = 4  # cloudflared's count: two edges, two tunnels each
MAX_TUNNELS = 32
MAX_RULES = 1000

LogLevelName = Literal["debug", "info", "warn", "error"]
Text = Annotated[str, msgspec.Meta(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """
    Everything the agent was told, checked.

    The tunnels are kept on the `spread` nearest edges. `edges` replace those of the join token; with `zone` the agent
    looks edges up by `SRV _warp-edge._tcp.<zone>` at each dial; with neither it uses those that enrollment gave. It
    stays away from an edge that does not promise what `require` names.
    """

    ingress: Ingress
    state: str = DEFAULT_STATE
    token_file: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    tunnels: int = DEFAULT_TUNNELS
    spread: int = DEFAULT_SPREAD
    edges: tuple[EdgeAddress, ...] = ()
    zone: str = ""
    require: tuple[str, ...] = ()
    metrics: str | None = None
    drain_seconds: float = 30.0
    log_format: Literal["json", "text"] = "text"
    log_level: LogLevelName = "info"


class _Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    service: Text
    hostname: str = ""
    path: str = ""
    originRequest: OriginRequest = OriginRequest()
    policy: RulePolicy | None = None
    health: Health | None = None
    max_requests: Annotated[int, msgspec.Meta(ge=0, le=MAX_REQUESTS)] = 0


class _Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    format: Literal["json", "text"] = "text"
    level: LogLevelName = "info"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    ingress: Annotated[list[_Rule], msgspec.Meta(min_length=1, max_length=MAX_RULES)]
    state: Text = DEFAULT_STATE
    token_file: Text | None = None
    labels: dict[str, str] = {}
    tunnels: Annotated[int, msgspec.Meta(ge=1, le=MAX_TUNNELS)] = DEFAULT_TUNNELS
    spread: Annotated[int, msgspec.Meta(ge=1, le=MAX_TUNNELS)] = DEFAULT_SPREAD
    edges: Annotated[list[Text], msgspec.Meta(max_length=256)] = []
    zone: str = ""
    require: list[Literal["strict-http", "visitor-address"]] = []  # `wire.releases.Protection`
    metrics: Text | None = None
    drain: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 30.0
    log: _Log = _Log()
    originRequest: OriginRequest = OriginRequest()


def parse_settings(content: str | bytes, source: str = "agent.yaml") -> AgentSettings:
    """
    Read the text of an agent.yaml.

    :param source: what errors call this text, usually the file's name.
    :raises InvalidSettings: naming source, key path and what was expected there; nothing is half taken.
    """
    return _checked(parse(content, dict[str, object], source), source)


def _checked(raw: dict[str, object], source: str) -> AgentSettings:
    try:
        for key in REFUSED_KEYS.keys() & raw.keys():
            raise InvalidSettings(f"{key}: {REFUSED_KEYS[key]}")
        _spell(raw)
        file = convert(raw, _File, "")
        return AgentSettings(
            ingress=compile_ingress(
                [(rule.hostname, rule.path, rule.service, rule.originRequest) for rule in file.ingress],
                [rule.policy for rule in file.ingress],
                [rule.health for rule in file.ingress],
                [rule.max_requests for rule in file.ingress],
            ),
            state=file.state,
            token_file=file.token_file,
            labels=parse_labels(file.labels),
            tunnels=file.tunnels,
            spread=file.spread,
            edges=tuple(parse_edge(edge, f"edges[{index}]") for index, edge in enumerate(file.edges)),
            zone=_zone(file.zone),
            require=tuple(file.require),
            metrics=file.metrics,
            drain_seconds=file.drain,
            log_format=file.log.format,
            log_level=file.log.level,
        )
    except InvalidSettings as error:
        raise InvalidSettings(f"{source}: {str(error).removeprefix(': ')}") from error


def read_agent_settings(path: str) -> AgentSettings:
    """
    Read an agent.yaml.

    :raises InvalidSettings: if the file cannot be read or is refused.
    """
    return _checked(read_file(path, dict[str, object]), path)


def parse_labels(labels: Mapping[str, str], key: str = "labels") -> Mapping[str, str]:
    """
    Check an agent's labels.

    :raises InvalidSettings: naming the key.
    """
    try:
        check_labels(labels)
    except InvalidName as error:
        raise InvalidSettings(f"{key}: {error}") from error
    return dict(labels)


def _zone(text: str) -> str:
    try:
        return parse_hostname(text) if text else ""
    except InvalidName as error:
        raise InvalidSettings(f"zone: {error}") from error


def _spell(raw: dict[str, object]) -> None:
    """Bring every `originRequest` to our spelling and put the file's defaults under each rule's own."""
    defaults: Mapping[str, object] = {}
    if isinstance(found := raw.get("originRequest"), dict):
        defaults = raw["originRequest"] = spell_origin_request(found, "originRequest")
    rules = raw.get("ingress")
    for index, rule in enumerate(rules if isinstance(rules, list) else []):
        if isinstance(rule, dict) and isinstance(path := rule.get("health"), str):
            target = path if path.startswith("/") else "/healthz"
            raise InvalidSettings(f"ingress[{index}].health: expected a mapping; write health: {{path: {target}}}")
        if isinstance(rule, dict) and isinstance(own := rule.get("originRequest", {}), dict):
            rule["originRequest"] = {
                **defaults,
                **spell_origin_request(own, f"ingress[{index}].originRequest"),
            }

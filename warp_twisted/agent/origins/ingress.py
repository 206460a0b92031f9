r"""
Ingress rules: which origin serves which hostname and path.

The rules have cloudflared's shape and order: the first that matches wins, and the last must match
everything. The edge does the matching, so a list of rules is compiled into *offers*, each one hostname and
one path rule of one origin, in the order in which the edge must try them:

- every hostname (or `*.` pattern) that any rule names gets the rules that cover it, up to the first without
  a path;
- rules without a hostname cover every hostname that the others name; when none names any, they are offered
  without one and the edge hands out a random name;
- a last rule `http_status:404` is not offered for hostnames that others name: the edge says 404 itself, and a
  second agent that serves the rest of that hostname must not be shadowed by the refusal of the first.

A rule's `policy` is for the whole of each hostname that the rule covers, whichever rule serves it: a policy for some
paths only could be passed by spelling a path in another way.

A path is an RE2 expression that is searched, not anchored, as in cloudflared: `^/static/`, `\.(jpg|png)$`.
Pure: no files, no clock, no network.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import re2

from warp_twisted.agent.health.settings import Health
from warp_twisted.agent.origins import Origin, OriginRequest, parse_service
from warp_twisted.agent.origins.asking import RulePolicy
from warp_twisted.agent.origins.host_header import Scheme, named_by_host, told_host
from warp_twisted.errors import InvalidName, InvalidSettings
from warp_twisted.names import HostnamePattern, parse_hostname

MAX_PATH_CHARACTERS = 1024
MAX_OFFERS = 4096  # a hello message is bounded too

_NOT_FOUND = "http_status:404"
_WITH_TLS = ("https", "unix+tls")
_INSIDE = ("hello-world", "hello_world", "http_status")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """
    One ingress rule; without `hostname` it matches any, with an empty `path` every path.

    :ivar max_requests: how many requests edges give the origin at once; 0: as many as come.
    :ivar host_header: what they tell it as Host, and `own_scheme`: see `host_header.told_host`.
    """

    hostname: HostnamePattern | None
    path: str
    origin: Origin
    request: OriginRequest
    policy: RulePolicy | None = None
    health: Health | None = None
    max_requests: int = 0
    host_header: str = ""
    own_scheme: Scheme = ""

    @property
    def probe_host(self) -> str:
        """What a probe says in Host: what the settings name, else the rule's hostname, else the origin's address."""
        if self.health is not None and self.health.host is not None:
            return self.health.host
        if self.host_header:
            return self.host_header
        if self.hostname is not None and not self.hostname.is_wildcard:
            return self.hostname.text
        return self.origin.text.partition("://")[2] or "localhost"

    @property
    def is_catch_all(self) -> bool:
        """Whether the rule matches every request."""
        return self.hostname is None and not self.path


@dataclass(frozen=True, slots=True)
class Offer:
    """
    What the edge is told: requests for `hostname` ("": hand out a name) and `path` go to rule number
    `rule`.
    """

    hostname: str
    path: str
    rule: int


@dataclass(frozen=True, slots=True)
class Ingress:
    """A checked list of rules and the offers that follow from it."""

    rules: tuple[Rule, ...]
    offers: tuple[Offer, ...]

    @property
    def policies(self) -> Sequence[tuple[str, Sequence[str], RulePolicy]]:
        """What edges are asked to enforce: key of the rule that asks it, hostnames as they are offered, and what."""
        named = list(dict.fromkeys(offer.hostname for offer in self.offers))
        patterns = [(name, HostnamePattern.parse(name) if name else None) for name in named]
        return [
            (
                f"ingress[{index}]",
                [name for name, each in patterns if each is None or _covers(rule.hostname, each)],
                policy,
            )
            for index, rule in enumerate(self.rules)
            if (policy := rule.policy) is not None
        ]


def compile_ingress(
    rules: Sequence[tuple[str, str, str, OriginRequest]],
    policies: Sequence[RulePolicy | None] = (),
    healths: Sequence[Health | None] = (),
    max_requests: Sequence[int] = (),
) -> Ingress:
    """
    Check rules and work out the offers.

    :param rules: hostname, path, service and originRequest of each, as written; empty text for what is not.
    :param policies: of each rule; none at all if left out.
    :param healths: how the origin of each rule is probed; none at all if left out.
    :param max_requests: the same.
    :raises InvalidSettings: naming the key, `ingress[2].service` for one.
    """
    if not rules:
        raise InvalidSettings("ingress: at least one rule is expected")
    nothing = [None] * len(rules)
    asked = zip(policies or nothing, healths or nothing, max_requests or [0] * len(rules), strict=True)
    compiled = tuple(_rule(index, *rule, *more) for index, (rule, more) in enumerate(zip(rules, asked, strict=True)))
    for index, rule in enumerate(compiled[:-1]):
        if rule.is_catch_all:
            raise InvalidSettings(
                f"ingress[{index}]: this rule matches everything, so the rules after it are never reached;"
                " give it a hostname or a path, or make it the last"
            )
    if not compiled[-1].is_catch_all:
        raise InvalidSettings(
            f"ingress[{len(compiled) - 1}]: the last rule must match everything: no hostname and no path,"
            " for example {service: http_status:404}"
        )
    offers = _offers(compiled)
    if len(offers) > MAX_OFFERS:
        raise InvalidSettings(f"ingress: the rules make {len(offers)} routes, at most {MAX_OFFERS} are expected")
    return Ingress(compiled, offers)


def single_origin(
    service: str,
    request: OriginRequest,
    hostnames: Sequence[str] = (),
    path: str = "",
    policy: RulePolicy | None = None,
    health: Health | None = None,
    max_requests: int = 0,
) -> Ingress:
    """
    Make the ingress of one origin, as `warp up` asks for it.

    :param hostnames: where it is to be reached; empty: the edge hands out a name.
    :param path: an RE2 expression that limits it; every other path is answered with 404.
    :param policy: what edges are asked to enforce for all of it.
    :param health: how the origin is probed.
    :param max_requests: how many requests edges give it at once; 0: as many as come.
    :raises InvalidSettings: naming a key of the rules that stand for it.
    """
    rules = [(hostname, path, service, request) for hostname in hostnames or ("",)]
    healths = [health] * len(rules)
    if hostnames or path:
        rules.append(("", "", _NOT_FOUND, request))
        healths.append(None)
    policies = [*[None] * (len(rules) - 1), policy]  # the last covers every hostname
    at_once = [max_requests if rule[2] == service else 0 for rule in rules]
    return compile_ingress(rules, policies, healths, at_once)


def _rule(
    index: int,
    hostname: str,
    path: str,
    service: str,
    request: OriginRequest,
    policy: RulePolicy | None,
    health: Health | None,
    max_requests: int,
) -> Rule:
    key = f"ingress[{index}]"
    pattern = None
    if hostname and hostname != "*":
        try:
            pattern = HostnamePattern.parse(hostname)
        except InvalidName as error:
            raise InvalidSettings(f"{key}.hostname: {error}") from error
    if policy is not None and path:
        raise InvalidSettings(
            f"{key}.policy: it is for a whole hostname, as a path can be spelt in many ways; write it at a rule without"
            " path, such as the last one, which covers every hostname"
        )
    if len(path) > MAX_PATH_CHARACTERS:
        raise InvalidSettings(f"{key}.path: expected at most {MAX_PATH_CHARACTERS} characters")
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(path, options=options)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else error
        raise InvalidSettings(f"{key}.path: {path!r} is not an RE2 expression: {reason}") from error
    if service.partition(":")[0] in _WITH_TLS:
        request = named_by_host(key, request, pattern)
    try:
        origin = parse_service(service, request)
    except InvalidSettings as error:
        raise InvalidSettings(f"{key}.service: {error}") from error
    host_header = ""
    own_scheme: Scheme = ""
    if service.partition(":")[0] not in _INSIDE:
        try:
            host_header, own_scheme = told_host(origin, request)
        except InvalidSettings as error:
            raise InvalidSettings(f"{key}.{error}") from error
    if health is not None:
        _check_health(f"{key}.health", health, service)
    return Rule(
        hostname=pattern,
        path=path,
        origin=origin,
        request=request,
        policy=policy,
        health=health,
        max_requests=max_requests,
        host_header=host_header,
        own_scheme=own_scheme,
    )


def _check_health(key: str, health: Health, service: str) -> None:
    kind = service.partition(":")[0]
    if kind in _INSIDE:
        raise InvalidSettings(f"{key}: not needed: {service} is inside the agent")
    if kind == "tcp" and health.path is not None:
        raise InvalidSettings(f"{key}.path: {service} need not speak HTTP; write health: {{tcp: true}}")


def _offers(rules: Sequence[Rule]) -> tuple[Offer, ...]:
    named = list(dict.fromkeys(rule.hostname for rule in rules if rule.hostname is not None))
    if not named:
        return tuple(Offer("", rule.path, index) for index, rule in enumerate(rules))
    offers = []
    for pattern in named:
        for index, rule in enumerate(rules):
            if not _covers(rule.hostname, pattern):
                continue
            if rule.is_catch_all and rule.origin.text == _NOT_FOUND:
                continue
            offers.append(Offer(pattern.text, rule.path, index))
            if not rule.path:
                break
    return tuple(offers)


def _covers(rule: HostnamePattern | None, pattern: HostnamePattern) -> bool:
    """Whether a rule's hostname matches every hostname of a pattern that some rule names."""
    if rule is None or rule == pattern:
        return True
    if not rule.is_wildcard:
        return False
    return rule.allows(parse_hostname(pattern.text.removeprefix("*.")))

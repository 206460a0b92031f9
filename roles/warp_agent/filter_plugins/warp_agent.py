"""Filters of the role warp_agent: hostnames, and the patterns that certificates allow."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

_HTTP_SERVICES = ("http://", "https://", "http_status:", "hello-world", "unix:")
_ENDPOINT = re.compile(r"tcp:(?:port=)?(?P<port>[1-9][0-9]{0,4})(?::interface=(?P<host>[0-9.]+))?")


def _is_allowed(hostname: str, patterns: Iterable[str]) -> bool:
    """Say whether a pattern covers a hostname; `*.` stands for one label or more, as in certificates of agents."""
    return any(
        hostname == pattern or (pattern.startswith("*.") and hostname.removeprefix("*.").endswith(pattern[1:]))
        for pattern in patterns
    )


def warp_not_allowed(hostnames: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Return the hostnames that no pattern covers."""
    return [hostname for hostname in hostnames if not _is_allowed(hostname, patterns)]


def warp_hostnames(instance: Mapping[str, Any]) -> list[str]:
    """Return the hostnames that an instance is to serve: those it names, else those of its rules."""
    found = instance.get("hostnames") or [rule.get("hostname") for rule in instance.get("ingress") or ()]
    return list(dict.fromkeys(filter(None, found)))


def warp_probe_hostname(instance: Mapping[str, Any]) -> str:
    """Return a hostname of an instance at which `/` can be asked for over HTTP, empty if there is none."""
    for rule in instance.get("ingress") or ():
        hostname, service = rule.get("hostname") or "", str(rule.get("service") or "")
        if hostname and "*" not in hostname and not rule.get("path") and service.startswith(_HTTP_SERVICES):
            return str(hostname)
    return ""


def warp_ready_url(instance: Mapping[str, Any]) -> str:
    """Return where an instance says on its own host whether it is ready, empty if it listens for nobody there."""
    found = _ENDPOINT.fullmatch(str(instance.get("metrics") or ""))
    return f"http://{found['host'] or '127.0.0.1'}:{found['port']}/ready" if found else ""


def warp_agent_config(
    instance: Mapping[str, Any], edges: Sequence[str], labels: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the agent.yaml of an instance; labels of the host win over its own."""
    name = instance["name"]
    # A release to go back to may not know it.
    more = {"spread": instance["spread"]} if "spread" in instance else {}
    return {
        **more,
        "state": f"/var/lib/warp-agent/{name}",
        "token_file": f"/etc/warp/agents/{name}.token",
        "edges": edges,
        "labels": {**(instance.get("labels") or {}), **(labels or {})},
        "ingress": instance["ingress"],
        "originRequest": instance.get("origin_request") or {},
        "tunnels": instance.get("tunnels", 4),
        "metrics": instance.get("metrics"),
        "drain": instance.get("drain", 30),
        "log": {"format": "json"},
    }


def warp_agent_starts_with(name: str) -> list[str]:
    """Return the files that an instance reads only when it starts."""
    units = "/etc/systemd/system/warp-agent@"
    return [f"{units}.service", f"{units}{name}.service.d/starts-with.conf"]


def warp_agent_reads(name: str) -> list[str]:
    """Return the files that an instance reads again when it is reloaded."""
    return [f"/etc/warp/agents/{name}.yaml", f"/var/lib/warp-agent/{name}/root.pem"]


class FilterModule:
    """What Ansible asks for the filters."""

    def filters(self) -> dict[str, Callable[..., object]]:
        return {
            "warp_agent_config": warp_agent_config,
            "warp_agent_reads": warp_agent_reads,
            "warp_agent_starts_with": warp_agent_starts_with,
            "warp_hostnames": warp_hostnames,
            "warp_not_allowed": warp_not_allowed,
            "warp_probe_hostname": warp_probe_hostname,
            "warp_ready_url": warp_ready_url,
        }

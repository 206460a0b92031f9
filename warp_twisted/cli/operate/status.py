"""`warp status`: edges, tunnels, routes and agents, as one edge sees the fleet."""

import time
from collections.abc import Iterator, Sequence

import click

from warp_twisted.cli.operate.admin import ADMIN_OPTION, find_admin
from warp_twisted.cli.operate.agents import print_agents
from warp_twisted.cli.operate.answers import (
    Edge,
    PolicyState,
    Route,
    SplitHostname,
    Status,
    Tunnel,
    read,
)
from warp_twisted.cli.operate.edge import print_peers
from warp_twisted.cli.operate.origin_answers import Queue
from warp_twisted.cli.operate.routes import ejected_text, guard_text, unhealthy_text
from warp_twisted.cli.options import SELECTOR_OPTION
from warp_twisted.cli.output import JSON_OPTION, labels_text, percent, print_json, print_table, say, some, span
from warp_twisted.clock_difference import is_noticed, say_difference
from warp_twisted.names import LabelSelector, shown_selector

_CLOSED_BY_DRAIN = frozenset({"accepting", "listeners", "records"})  # parts of an edge that stop because they should


@click.command(
    short_help="Show edges, tunnels and routes.",
    epilog="\b\nExamples:\n"
    "  warp status\n"
    "  warp status --selector release=canary\n"
    "  warp status --json | jq '.routes[].url'",
)
@SELECTOR_OPTION
@ADMIN_OPTION
@JSON_OPTION
def status(selector: LabelSelector | None, admin: str | None, as_json: bool) -> None:
    """
    Show the edges, tunnels, routes and agents of the fleet, as the edge on this machine sees them.

    With a selector: the tunnels that it matches, the agents that have them, and their routes.
    """
    answer = read(find_admin(admin).get("v1", "status"), dict[str, object])
    if selector is not None:
        answer = select(answer, selector)
    if as_json:
        print_json(answer)
        return
    found = read(answer, Status)
    _print_edge(found)
    now = time.time()
    for title, heads, rows in (
        (
            "Edges",
            ["EDGE", "STATE", "ADDRESSES", "HTTP", "HTTPS", "TUNNELS", "POLICY"],
            [_edge(each) for each in found.edges],
        ),
        ("Routes", ["URL", "PATH", "TUNNELS", "GROUP", "AGENTS", "SERVICES"], [_route(each) for each in found.routes]),
        (
            "Tunnels",
            ["AGENT", "EDGE", "SLOT", "STATE", "AGE", "STREAMS", "ROUND TRIP", "FROM", "LABELS", "HOSTNAMES"],
            [_tunnel(each, now) for each in found.tunnels],
        ),
    ):
        say()
        say(f"{title}: {len(rows)}")
        if rows:
            print_table(heads, rows)
    if found.peers:
        say()
        say(f"Links with other edges: {len(found.peers)}")
        print_peers(found.peers)
    if found.splits:
        say()
        say(f"Splits: {len(found.splits)}")
        print_table(
            ["HOSTNAME", "SHARE", "PART", "SENT", "HEALTHY"], [row for each in found.splits for row in _split(each)]
        )
        for each in found.splits:
            if each.guard is not None and each.guard.action:
                say(f"{each.hostname}: {guard_text(each.guard)}")
    for line in _unhealthy(found.routes):
        say(line)
    for origin in found.ejected:
        say(f"{origin.hostname}: {ejected_text(origin)}")
    for queue in found.queues:
        say(_queue(queue))
    for line in _wrong_clocks(found.tunnels):
        say(line)
    say()
    say(f"Agents: {len(found.agents)}")
    if found.agents:
        print_agents(found.agents)


def select(answer: dict[str, object], selector: LabelSelector) -> dict[str, object]:
    """Return a status with only the tunnels that a selector matches, the agents that have them, and their routes."""
    raw_tunnels, raw_routes, raw_agents = (
        read(answer.get(key), list[dict[str, object]]) for key in ("tunnels", "routes", "agents")
    )
    tunnels = [each for each in raw_tunnels if selector.matches(read(each, Tunnel).labels)]
    agents = {str(each["agent"]) for each in tunnels}
    return {
        **answer,
        "tunnels": tunnels,
        "routes": [each for each in raw_routes if agents & set(read(each, Route).services)],
        "agents": [each for each in raw_agents if each.get("id") in agents],
    }


def _print_edge(found: Status) -> None:
    edge = found.edge
    state = "draining" if edge.draining else "ready" if edge.ready else "not ready"
    meant = _CLOSED_BY_DRAIN if edge.draining else frozenset()
    failing = [part for part, works in edge.parts.items() if not works and part not in meant]
    say(f"Edge {edge.name} of {edge.zone}, version {edge.version}: {state}")
    if edge.draining:
        say(_drain(found))
    if failing:
        say(f"Not working: {', '.join(failing)}; the edge's log says why")
    if not found.registry.current:
        say("The registry cannot be read for now: what follows may be old; existing tunnels keep serving")
    elif found.registry.problem:
        say(
            f"The registry's file takes no changes for now ({found.registry.problem}): what it holds is served, new"
            " tokens, agents and names are refused, and revocations hold until the edge ends"
        )
    elif not found.registry.writable:
        say("The registry takes no changes for now: new tunnels serve, but DNS does not know them yet")
    if found.policy.error:
        say(_wrong_policy(found.policy))
    if found.dns.unlisted:
        unlisted = _count(found.dns.unlisted, "application")
        say(f"DNS lists 10,000 applications; {unlisted} more can be found by name only")


def _wrong_policy(policy: PolicyState) -> str:
    """Say of an edge that has not the policy in force that it should what happens instead, and why."""
    if policy.closed:
        instead = "nobody is let through"
    elif policy.file is not None:
        instead = "the one before is in force"
    else:
        instead = f"version {policy.version} is in force" if policy.version else "none is in force"
    wanted = policy.file or f"version {policy.wanted} of the policy"
    return f"{wanted} cannot be used here, {instead}: {policy.error}"


def _drain(found: Status) -> str:
    edge = found.edge
    is_alone = not any(each.name != edge.name and each.tunnel_port and not each.draining for each in found.edges)
    requests, tunnels = _count(edge.visitors, "request"), _count(edge.tunnels, "tunnel")
    if edge.visitors or (edge.tunnels and not is_alone):
        return f"Draining: the listeners are closed; {requests} in flight, {tunnels} left"
    # Agents keep the tunnels of the only edge until it stops, as they have nowhere else to go.
    kept = f"; {tunnels} left, as there is no other edge" if edge.tunnels else ""
    return f"Drained: the listeners are closed, and nothing is under way{kept}; the edge can be stopped"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _edge(edge: Edge) -> list[str]:
    ports = [str(port) if port else "-" for port in (edge.http_port, edge.https_port, edge.tunnel_port)]
    return [edge.name, "draining" if edge.draining else "up", ",".join(edge.addresses), *ports, _policy(edge)]


def _policy(edge: Edge) -> str:
    """Return what an edge has in force: a version, `file`, or `-`; with `!` if it should have another one."""
    policy = edge.policy
    if policy is None:
        return "-"
    text = "file" if policy.file else str(policy.version) if policy.version else "-"
    return f"{text} !" if policy.error else text


def _route(route: Route) -> list[str]:
    services = sorted(set(route.services.values()))
    return [
        route.url or route.hostname,
        route.path or "-",
        str(route.tunnels),
        route.group or "-",
        some(sorted(route.services)) or "-",
        some(services) or "-",
    ]


def _split(split: SplitHostname) -> Iterator[list[str]]:
    """Yield a row for each share; `warp route show` says more."""
    sent = sum(share.requests for share in split.shares)
    for share in split.shares:
        yield [
            split.hostname,
            shown_selector(share.selector),
            percent(share.part) + (" shifted" if split.shift and split.shift.selector == share.selector else ""),
            percent(share.requests / sent) if sent else "-",
            f"{share.healthy} of {share.tunnels}",
        ]


def _unhealthy(routes: Sequence[Route]) -> Iterator[str]:
    """Yield a sentence for each agent whose origin is not well, by its probes or when it was last connected to."""
    for route in routes:
        for agent, reason in route.unhealthy.items():
            place = f"{route.hostname} at {route.path}" if route.path else route.hostname
            if agent in route.failing:
                yield f"{place}: {unhealthy_text(agent, reason)}"
            else:
                because = f" ({reason})" if reason else ""
                yield f"{place}: the origin of {agent} could not be connected to the last time{because}"


def _queue(queue: Queue) -> str:
    path = f" {queue.path}" if queue.path else ""
    origins = [f"{agent} has {each.requests} of {each.max_requests}" for agent, each in sorted(queue.origins.items())]
    waits = "request waits" if queue.waiting == 1 else "requests wait"
    return f"{queue.hostname}{path}: {queue.waiting} {waits} for a place at an origin ({some(origins)})"


def _wrong_clocks(tunnels: Sequence[Tunnel]) -> Iterator[str]:
    """Yield a sentence for each agent whose clock differs noticeably from its edge's."""
    known = {(each.agent, each.edge): each.clock_difference_seconds for each in tunnels}
    for (agent, edge), seconds in known.items():
        if seconds is not None and is_noticed(seconds):
            yield f"The clock of {agent} is {say_difference(seconds)} that of {edge}; set the one that is wrong"


def _tunnel(tunnel: Tunnel, now: float) -> list[str]:
    trip = tunnel.round_trip_seconds
    return [
        tunnel.agent,
        tunnel.edge,
        str(tunnel.slot),
        "draining" if tunnel.draining else "up",
        span(now - tunnel.registered_at) if tunnel.registered_at else "-",
        "-" if tunnel.streams is None else str(tunnel.streams),
        "-" if trip is None else f"{trip * 1000:.1f} ms",
        tunnel.address or "-",
        labels_text(tunnel.labels),
        ",".join(tunnel.hostnames) or "-",
    ]

#!/usr/bin/python
"""Ansible module: watch an edge for a while, and say whether it serves worse than before."""

DOCUMENTATION = r"""
---
module: warp_edge_watch
short_description: Watch an edge for a while, and say whether it serves worse than before
description:
  - Without O(before) it says how the edge does now. With it, it waits until the edge is ready and serves as many
    routes on tunnels as before, then watches it for O(seconds), and fails with the reason if it was started again, is
    not ready any more, lost routes, or answers a much larger part of requests with 5xx.
  - Runs on the edge's host, as root or a member of the group of the admin socket.
options:
  before:
    description: What an earlier call returned as C(edge).
    type: dict
  seconds:
    description: How long it is watched.
    type: int
    default: 10
  patience:
    description: How long it may take until it serves as before.
    type: int
    default: 60
  errors:
    description: By how much the part of requests that are answered with 5xx may grow, 0 to 1.
    type: float
    default: 0.1
  unit:
    description: The edge's unit.
    type: str
    default: warp-edge.service
  socket:
    description: The edge's admin socket.
    type: path
    default: /run/warp-edge/admin.sock
author:
  - The Warp authors
"""

EXAMPLES = r"""
- name: Note how the edge does
  warp_edge_watch:
  register: noted

- name: Watch it
  warp_edge_watch:
    before: "{{ noted.edge }}"
    seconds: 1
"""

RETURN = r"""
edge:
  description:
    - C(answers), C(routes) with a tunnel, C(answers_5xx), C(starts), a number that grows with each start, and
      C(process), the one that serves, or 0 if that is not known.
  type: dict
  returned: always
"""

import json
import re
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.warp_admin import SOCKET, Admin, AdminError

KEEPER = "/run/warp-edge/keeper.sock"
KEEPER_SECONDS = 10.0
MAX_ANSWER_BYTES = 65536
# Fewer requests say nothing about a part of them.
LEAST_ANSWERS = 50
REQUESTS = re.compile(
    r'^warp_edge_requests_total\{[^}]*code="(?P<digit>\d)xx"[^}]*\} (?P<count>[\d.e+]+)$', re.MULTILINE
)


@dataclass(frozen=True, kw_only=True)
class Edge:
    """
    How an edge does at one moment.

    :ivar starts: systemd's restarts of its own accord.
    :ivar process: the one that serves, as the edge's keeper says; 0: that is not known.
    """

    routes: int
    answers: int
    answers_5xx: int
    starts: int
    process: int = 0


class Worse(Exception):
    """The edge serves worse than before; the message says how."""


def answers(metrics: str) -> tuple[int, int]:
    """Return how many requests were answered since the edge's start, and how many of them with 5xx."""
    counts = [(match["digit"], int(float(match["count"]))) for match in REQUESTS.finditer(metrics)]
    return sum(count for _, count in counts), sum(count for digit, count in counts if digit == "5")


def starts(unit: str) -> int:
    """Return how often systemd has started a unit again because it had ended."""
    done = subprocess.run(
        ["systemctl", "show", "--value", "--property=NRestarts", unit], capture_output=True, text=True
    )
    return int(done.stdout.strip() or 0)


def process(keeper: str) -> int:
    """Return the process that an edge's keeper says serves; 0: there is no keeper, or it does not say."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
        line.settimeout(KEEPER_SECONDS)
        try:
            line.connect(keeper)
            line.send(b'{"do": "status"}')
            return int(json.loads(line.recv(MAX_ANSWER_BYTES))["serving"])
        except (OSError, ValueError, LookupError, TypeError):
            return 0


def look(admin: Admin, unit: str, keeper: str = KEEPER) -> Edge:
    """
    Ask an edge how it does.

    :raises AdminError: if it does not answer, or is not ready.
    """
    admin.call("GET", "ready")
    routes = admin.call("GET", "v1", "status")["routes"]
    every, failed = answers(admin.metrics())
    served = sum(1 for route in routes if route["tunnels"])
    return Edge(routes=served, answers=every, answers_5xx=failed, starts=starts(unit), process=process(keeper))


def compare(before: Mapping[str, int], first: Edge, last: Edge, most: float) -> None:
    """
    Compare how an edge did before it was started anew with how it did when it served again, and a while later.

    :raises Worse: if it does worse.
    """
    if last.starts > first.starts or (first.process and last.process not in (0, first.process)):
        raise Worse("it ended and was started again")
    if last.routes < before["routes"]:
        raise Worse(f"{last.routes} routes have tunnels, and {before['routes']} had before")
    count, failed = last.answers - first.answers, last.answers_5xx - first.answers_5xx
    part = failed / count if count >= LEAST_ANSWERS else 0.0
    usual = before["answers_5xx"] / max(1, before["answers"])
    if part > usual + most:
        raise Worse(f"{part:.0%} of requests are answered with 5xx, and {usual:.0%} were before")


def serve_as_before(
    ask: Callable[[], Edge], routes: int, patience: float, sleep: Callable[[float], None] = time.sleep
) -> Edge:
    """
    Wait until an edge is ready and serves as many routes as before.

    :raises Worse: if it does not, with what it said last.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            edge = ask()
            if edge.routes >= routes:
                return edge
            said = f"{edge.routes} routes have tunnels, and {routes} had before"
        except AdminError as error:
            said = str(error)
        if time.monotonic() >= deadline:
            raise Worse(f"after {patience:.0f} s it does not serve as before: {said}")
        sleep(1.0)


def watch(
    ask: Callable[[], Edge],
    before: Mapping[str, int],
    first: Edge,
    seconds: int,
    most: float,
    sleep: Callable[[float], None] = time.sleep,
) -> Edge:
    """
    Watch an edge each second.

    :returns: how it did last.
    :raises Worse: as soon as it does worse.
    """
    last = first
    for _ in range(seconds):
        sleep(1.0)
        try:
            last = ask()
        except AdminError as error:
            raise Worse(f"it is not ready any more: {error}") from error
        compare(before, first, last, most)
    return last


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "before": {"type": "dict"},
            "seconds": {"type": "int", "default": 10},
            "patience": {"type": "int", "default": 60},
            "errors": {"type": "float", "default": 0.1},
            "unit": {"type": "str", "default": "warp-edge.service"},
            "socket": {"type": "path", "default": SOCKET},
        },
        supports_check_mode=True,
    )
    given = module.params
    admin = Admin(given["socket"])

    def ask() -> Edge:
        return look(admin, given["unit"])

    try:
        if given["before"] is None:
            edge = ask()
        else:
            before = {name: int(value) for name, value in given["before"].items()}
            first = serve_as_before(ask, before["routes"], given["patience"])
            edge = watch(ask, before, first, given["seconds"], given["errors"])
    except (AdminError, Worse) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, edge=asdict(edge))


if __name__ == "__main__":
    main()

"""The case of idle tunnels: what each costs the edge, and how long thousands take to be registered and published."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks import results as names
from benchmarks.bench import Bench
from benchmarks.certificates import write_certificate
from benchmarks.errors import ProgramFailed
from benchmarks.load import swarm
from benchmarks.load.lookups import wait_until_answered
from benchmarks.peers.peer import WEB_HOSTNAME
from benchmarks.peers.warp import ENVIRONMENT, ZONE, Edge, open_edge
from benchmarks.processes import running
from benchmarks.targets import WARP
from warp_twisted.ca import issue
from warp_twisted.names import HostnamePattern

TUNNELS_PER_AGENT = 4
_REGISTER_SECONDS = 150.0
_ANSWER_SECONDS = 30.0
_REST_SECONDS = 3.0


def measure(bench: Bench) -> None:
    """Run an edge, let the swarm register, ask DNS for every hostname, and see what the edge then holds."""
    if WARP not in bench.peers:
        return
    agents = bench.scale.tunnels // TUNNELS_PER_AGENT
    hostnames = [f"app{number}.{ZONE}" for number in range(bench.scale.hostnames)]
    directory = Path(tempfile.mkdtemp(dir=bench.directory))
    certificate = write_certificate(directory, [WEB_HOSTNAME])
    with open_edge(directory, certificate) as edge:
        plan = directory / "plan.json"
        plan.write_bytes(msgspec.json.encode(_plan(edge, directory, agents, hostnames)))
        before = edge.process.resident_bytes()
        used_before = edge.process.cpu_seconds()
        command = [sys.executable, "-m", "benchmarks.load.swarm", str(plan)]
        with running("swarm", command, directory, ENVIRONMENT) as members:
            found = members.wait_for_line(f"{swarm.REGISTERED}|{swarm.FAILED}", _REGISTER_SECONDS)
            if found[4] is not None:
                raise ProgramFailed(f"{found[4]}; the edge's log ends:\n{edge.process.log_tail()}")
            began_at, registered_at = float(found[2]), float(found[3])
            bench.progress(f"idle-tunnels: {bench.scale.tunnels:,} registered in {registered_at - began_at:.1f} s")
            answered_at = wait_until_answered(edge.dns_port, hostnames, _ANSWER_SECONDS)
            used = edge.process.cpu_seconds() - used_before
            time.sleep(_REST_SECONDS)
            if "failed" in members.log_tail():
                raise ProgramFailed(members.log_tail())
            held = edge.process.resident_bytes() - before
    bench.results.add(
        "idle-tunnels",
        "",
        WARP,
        {
            names.TUNNELS: float(bench.scale.tunnels),
            names.HOSTNAMES: float(len(hostnames)),
            names.REGISTERED: registered_at - began_at,
            names.ANSWERED: answered_at - began_at,
            "edge CPU ms/tunnel": used / bench.scale.tunnels * 1000,
            names.kib_per_tunnel("edge"): held / bench.scale.tunnels / 1024,
        },
    )


def _plan(edge: Edge, directory: Path, agents: int, hostnames: Sequence[str]) -> swarm.Plan:
    """
    Make the agents' certificates with the edge's own issuer, and divide the hostnames.

    Enrolling would measure the limit on enrollments per address. The agents share one key to save the time of making
    a thousand; each handshake signs and verifies all the same.
    """
    key = issue.new_key()
    key_file = directory / "swarm.key"
    key_file.touch(mode=0o600)
    key_file.write_bytes(issue.key_to_pem(key))
    now = datetime.now(UTC)
    patterns = [HostnamePattern.parse(f"*.{ZONE}")]
    members = []
    for number in range(agents):
        agent = f"swarm-{number}"
        leaf = issue.issue_agent(edge.issuer, key.public_key(), agent, patterns, now)
        chain_file = directory / f"{agent}.pem"
        chain_file.write_text(issue.to_pem(leaf, edge.issuer.certificate))
        members.append((agent, str(chain_file)))
    return swarm.Plan(
        port=edge.tunnel_port,
        root_pem=edge.root_pem,
        key_file=str(key_file),
        agents=members,
        hostnames=[list(hostnames[number::agents]) for number in range(agents)],
        tunnels=TUNNELS_PER_AGENT,
    )

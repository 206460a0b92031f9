"""A swarm of agents on an edge: their certificates, the hostnames they serve, and what their registration took."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.errors import ProgramFailed
from benchmarks.load import swarm
from benchmarks.peers.warp import THIS, ZONE, Edge
from benchmarks.processes import Process, running
from warp_twisted.ca import issue
from warp_twisted.names import HostnamePattern

TUNNELS_PER_AGENT = 4
_PROGRESS_EVERY = 2000  # a multiple of the swarm's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """
    When the tunnels of a swarm were registered, on time.monotonic's clock.

    :param failed_dials: how often nobody answered in time and the agent dialed again.
    :param times: for each tunnel, in the order of acceptance: dialed, hello sent, accepted.
    """

    began_at: float
    ended_at: float
    failed_dials: int
    times: Sequence[tuple[float, float, float]]

    @property
    def seconds(self) -> float:
        return self.ended_at - self.began_at

    def with_handshake(self) -> list[float]:
        """List the seconds from each dial to the acceptance."""
        return [accepted - dialed for dialed, _, accepted in self.times]

    def without_handshake(self) -> list[float]:
        """List the seconds from each hello to the acceptance: what the edge takes to publish."""
        return [accepted - greeted for _, greeted, accepted in self.times]


@dataclass(frozen=True, slots=True, kw_only=True)
class Swarm:
    """
    A running swarm.

    :param hostnames: what its agents serve.
    """

    process: Process
    edge: Edge
    hostnames: Sequence[str]
    times_file: Path

    def wait_until_registered(self, timeout: float, progress: Callable[[str], None]) -> Registered:
        """
        Wait until the edge has accepted every tunnel.

        :param progress: told now and then how many it has accepted.
        :raises ProgramFailed: if it refused one, or did not accept all in time.
        """
        deadline = time.monotonic() + timeout
        count = 0
        while True:
            pattern = f"{swarm.REGISTERED}|{swarm.FAILED}|(?P<progress>{count + _PROGRESS_EVERY} tunnels after .*)"
            found = self.process.wait_for_line(pattern, deadline - time.monotonic())
            if found["progress"] is None:
                break
            count += _PROGRESS_EVERY
            progress(found["progress"])
        if found["reason"] is not None:
            raise ProgramFailed(f"the swarm: {found['reason']}")
        times = msgspec.json.decode(self.times_file.read_bytes(), type=list[tuple[float, float, float]])
        return Registered(
            began_at=float(found["began"]),
            ended_at=float(found["ended"]),
            failed_dials=int(found["failed_dials"]),
            times=times,
        )

    def check(self) -> None:
        """
        Make sure that no tunnel was lost.

        :raises ProgramFailed: if one was.
        """
        if "failed: " in self.process.log_tail():
            raise ProgramFailed(self.process.log_tail())


@contextlib.contextmanager
def open_swarm(edge: Edge, directory: Path, tunnels: int, hostnames: int, name: str = "app") -> Iterator[Swarm]:
    """
    Run a swarm that dials an edge, with so many hostnames divided among its agents.

    :param name: of the hostnames and the agents, which have a number besides.
    """
    names = [f"{name}{number}.{ZONE}" for number in range(hostnames)]
    times_file = directory / "times.json"
    plan = directory / "plan.json"
    plan.write_bytes(msgspec.json.encode(_plan(edge, directory, name, tunnels // TUNNELS_PER_AGENT, names, times_file)))
    command = [sys.executable, "-m", "benchmarks.load.swarm", str(plan)]
    with running("swarm", command, directory, THIS.environment) as members:
        yield Swarm(process=members, edge=edge, hostnames=names, times_file=times_file)


def _plan(
    edge: Edge, directory: Path, name: str, agents: int, hostnames: Sequence[str], times_file: Path
) -> swarm.Plan:
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
        agent = f"swarm-{name}-{number}"
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
        times_file=str(times_file),
    )

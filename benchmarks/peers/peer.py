"""What every peer offers to the cases: addresses to visit, and programs to account for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.load.visitors import Address
from benchmarks.processes import Process

WEB_HOSTNAME = "web.bench.example"
OTHER_HOSTNAME = "other.bench.example"  # leads where the web does; no rule of a policy is about it
TOOLS_HOSTNAME = "tools.bench.example"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """
    One way to the origins.

    :param web: leads to nginx: /1k, /varied, /100m, /1g.
    :param tools: leads to `benchmarks.load.origin`.
    :param tls: leads to nginx too, by TLS; None when the peer has no TLS for visitors.
    :param programs: what each of its programs is called in the tables ("edge", "agent", "haproxy").
    """

    name: str
    web: Address
    tools: Address
    tls: Address | None = None
    programs: Mapping[str, Process] = field(default_factory=dict)

    def cpu_seconds(self) -> dict[str, float]:
        """Tell the CPU time that each program has used so far."""
        return {name: program.cpu_seconds() for name, program in self.programs.items()}

    def resident_bytes(self) -> dict[str, int]:
        """Tell the memory that each program holds now."""
        return {name: program.resident_bytes() for name, program in self.programs.items()}

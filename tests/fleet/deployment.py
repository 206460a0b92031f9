"""
The fleet that tests look at: a copy of the checkout and of the example inventory, deployed on fresh hosts once.

Whoever asks first has it made: hosts up, a check on the fresh hosts, the deployment, and the same run again. What
those runs printed and took is kept, so that tests of them cost no further run; with WARP_FLEET_RUNS=first there is the
deployment alone, for tests of something else. Every later test finds the fleet deployed, and leaves it so.
"""

import contextlib
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import yaml

from tests.fleet.certificates import make_authority, make_certificate
from tests.fleet.controllers import chosen_command
from tests.fleet.hosts import Hosts
from tests.fleet.place import FleetError, Place, run

ROOT = Path(__file__).parents[2]
ZONE = "warp.test"
EDGES, SECONDARIES, ORIGINS = ("edge1",), ("ns1",), ("origin1", "origin2")
RUNS = {"check": ("--check", "--diff"), "first": ("--diff",), "second": ("--diff",)}
MANY = 10_000  # connections
PLAY_SECONDS = 1800.0  # ten times what the longest takes on a quiet machine: it ends what hangs, and judges nothing
_COPIED = (
    *("ansible.cfg", "site.yml", "pyproject.toml", "setup.py", "README.md", "LICENSE"),
    *("roles", "playbooks", "warp_twisted", "dns", "inventory.example"),
)
LOOK_SECONDS = 5.0
# What ansible-core (2.19.1 was seen) says when a result of one play comes in the next: a KeyError ends the thread that
# takes results, and the program waits for ever. An operator interrupts it and runs it again.
LOST_THREAD = "(results_thread_main)"
_TASK = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(?P<task>.*)\] \*+$")
_CHANGED = re.compile(r"^changed: \[(?P<host>[^\s\]]+)")
_RECAP = re.compile(r"^(?P<host>\S+)\s+: (?P<counts>(?:\w+=\d+\s*)+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Run:
    """
    One run of ansible-playbook.

    :ivar counts: of each host, such as `counts["edge1"]["changed"]`.
    """

    returncode: int
    output: str
    seconds: float
    counts: Mapping[str, Mapping[str, int]]

    @property
    def changes(self) -> list[str]:
        """Return what changed something, as `edge1: warp_edge : Run the edge`; a task that was looped over once."""
        found, task = [], ""
        for line in self.output.splitlines():
            if told := _TASK.match(line):
                task = told["task"]
            elif told := _CHANGED.match(line):
                found.append(f"{told['host']}: {task}")
        for host, counts in self.counts.items():
            if counts["changed"] and not any(each.startswith(f"{host}: ") for each in found):
                found.append(f"{host}: {counts['changed']} tasks that are not named")
        return list(dict.fromkeys(found))

    def check(self) -> "Run":
        """
        Return the run, if it went well.

        :raises FleetError: with the end of what it printed, if not.
        """
        if self.returncode:
            raise FleetError(f"ansible-playbook exited {self.returncode}:\n{self.output[-6000:]}")
        return self


def text_of(file: IO[bytes]) -> str:
    """Return all of a file that somebody else writes."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")


class Deployment:
    """The hosts, the checkout and the inventory that they are deployed from."""

    def __init__(self, place: Place) -> None:
        self.hosts = Hosts(place)
        self.checkout = place.directory / "checkout"
        self.inventory = self.checkout / "inventory"
        self.authority = place.directory / "visitors.pem"
        self.runs: dict[str, Run] = {}

    def make(self) -> None:
        """Bring up fresh hosts and deploy the fleet, noting each run by its name in `RUNS`."""
        self.hosts.down()
        begun = time.monotonic()
        self.hosts.up(*EDGES, *SECONDARIES, *ORIGINS)
        self._tell(f"{len(self.hosts.names)} hosts: {time.monotonic() - begun:.0f} s")
        self.copy_checkout()
        self._write_inventory()
        for name in ORIGINS:
            self.start_application(name)
        for name in os.environ.get("WARP_FLEET_RUNS", " ".join(RUNS)).split():
            self.runs[name] = self.play("site.yml", *RUNS[name])
            if name != "check":  # whose outcome a test looks at
                self.runs[name].check()

    def play(
        self,
        playbook: str,
        *arguments: str,
        variables: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Run:
        """
        Run a playbook as an operator does, in the checkout.

        :param environment: of Ansible, more than an operator has.
        """
        extra = ("--extra-vars", json.dumps(dict(variables))) if variables else ()
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PYTHON"))}
        begun = time.monotonic()
        command = [*chosen_command(self.hosts.place), playbook, *arguments, *extra]
        kept |= {"ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8", **(environment or {})}
        code, output = self._control(command, kept)
        if LOST_THREAD in output:
            self._tell(f"ansible-playbook {playbook} lost a thread to a bug of its own, and is run again")
            code, output = self._control(command, kept)
        counts = {
            match["host"]: {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", match["counts"])}
            for match in _RECAP.finditer(output)
        }
        seconds = time.monotonic() - begun
        self._tell(f"ansible-playbook {' '.join((playbook, *arguments))}: exit {code}, {seconds:.0f} s")
        return Run(returncode=code, output=output, seconds=seconds, counts=counts)

    def _control(self, command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
        """
        Run Ansible, and return its exit status and all that it printed; one that waits for ever for a thread is ended.

        :raises subprocess.TimeoutExpired: if it hangs otherwise.
        """
        with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as complained:
            program = subprocess.Popen(
                command, cwd=self.checkout, env=dict(environment),
                stdin=subprocess.DEVNULL, stdout=printed, stderr=complained,
            )  # fmt: skip
            begun = time.monotonic()
            while True:
                try:
                    program.wait(LOOK_SECONDS)
                except subprocess.TimeoutExpired:
                    is_late = time.monotonic() - begun > PLAY_SECONDS
                    if not is_late and LOST_THREAD not in text_of(complained):
                        continue
                    program.kill()
                    program.wait()
                    if is_late:
                        raise
                return program.returncode, text_of(printed) + text_of(complained)

    def start_application(self, name: str) -> None:
        """Run the application on an origin, now and after each boot."""
        program = "/usr/local/lib/application.py"
        unit = f"[Service]\nExecStart=/usr/bin/python3 {program} 4000\n[Install]\nWantedBy=multi-user.target\n"
        self.hosts.install(name, program, Path(__file__).with_name("application.py").read_text())
        self.hosts.install(name, "/etc/systemd/system/application.service", unit)
        self.hosts.execute(name, "systemctl", "enable", "--quiet", "--now", "application.service")

    def visit(self, url: str, *options: str, edge: str = "edge1") -> str:
        """
        Return what a visitor gets for a URL at an edge, verified against the tests' authority.

        :param options: of curl.
        :raises FleetError: if curl fails.
        """
        address = self.hosts.address(edge)
        resolve = f"{urlsplit(url).hostname}:{urlsplit(url).port or (443 if url.startswith('https') else 80)}:{address}"
        curl = ("curl", "--silent", "--show-error", "--max-time", "10", "--cacert", str(self.authority))
        return run(*self.hosts.beside(*curl, "--resolve", resolve, *options, url))

    def dig(self, server: str, name: str, kind: str, *options: str) -> list[str]:
        """Return the short form of a name server's answer, in order of the alphabet."""
        dig = ("dig", "+short", "+norecurse", "+tries=1", "+time=3", f"@{server}", name, kind, *options)
        return sorted(run(*self.hosts.beside(*dig)).split("\n")[:-1])

    def wait(self, what: str, is_so: Callable[[], bool], seconds: float = 30.0) -> float:
        """
        Wait until something is so; what raises FleetError is not so yet.

        :param seconds: in which the hosts could run; what other work takes from them does not count.
        :returns: after how many of them.
        :raises FleetError: naming what did not come.
        """
        watch = self.hosts.stopwatch()
        while watch.seconds < seconds:
            with contextlib.suppress(FleetError):
                if is_so():
                    return watch.seconds
            time.sleep(0.05)
        raise FleetError(f"not in {seconds:.0f} s: {what}")

    def status(self) -> Mapping[str, Any]:
        """Return what edge1 says of the fleet."""
        found: Mapping[str, Any] = json.loads(self.hosts.execute("edge1", "warp", "status", "--json"))
        return found

    def _tell(self, what: str) -> None:
        """Show that something goes on: a whole run takes minutes."""
        sys.stdout.write(f"\n    [{what}] ")
        sys.stdout.flush()

    def copy_checkout(self) -> None:
        """Copy what a clone has: a run writes into its checkout, and must not depend on what lies there."""
        shutil.rmtree(self.checkout, ignore_errors=True)
        self.checkout.mkdir(parents=True)
        left_out = shutil.ignore_patterns("__pycache__", "*.egg-info", "dropin.cache")
        for name in _COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, self.checkout / name, ignore=left_out)
            else:
                shutil.copy(ROOT / name, self.checkout / name)

    def _write_inventory(self) -> None:
        """The example, with the zone and the addresses filled in; the rest is what this test bench needs."""
        shutil.copytree(self.checkout / "inventory.example", self.inventory)
        every = self.inventory / "group_vars/all.yml"
        every.write_text(every.read_text().replace("warp_zone: warp.example", f"warp_zone: {ZONE}"))
        groups = {"edges": EDGES, "secondaries": SECONDARIES, "origins": ORIGINS}
        children = {
            group: {"hosts": {name: {"ansible_host": self.hosts.address(name)} for name in names}}
            for group, names in groups.items()
        }
        (self.inventory / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": children}}))
        certificates = self.inventory / "secrets/certificates"
        certificates.mkdir(parents=True, mode=0o700)
        signer = make_authority(self.authority)
        make_certificate(signer, [ZONE, f"*.{ZONE}"], certificates / f"{ZONE}.pem", certificates / f"{ZONE}.key")
        bench = {
            "warp_common_wheelhouse": "/srv/wheels",
            "warp_edge_timeouts": {"drain": 900},  # what an old process has for visitors who stay through a test
            # All visitors come from one address, and all at once when the machine was busy: what is refused to one
            # address would say nothing about the edge.
            "warp_edge_limits": {"connections_per_address": MANY},
            "warp_firewall_connections_per_source": MANY,
            "warp_firewall_arrivals_per_source": MANY,
            "warp_firewall_arrivals_burst": MANY,
            "warp_edge_certificates": [
                {
                    "name": ZONE,
                    "certificate": "{{ inventory_dir }}/secrets/certificates/" + f"{ZONE}.pem",
                    "key": "{{ inventory_dir }}/secrets/certificates/" + f"{ZONE}.key",
                }
            ],
        }
        origins = self.inventory / "group_vars/origins.yml"
        app = '- {hostname: "app.{{ warp_zone }}", service: "http://localhost:4000"}'
        example = origins.read_text()
        if f"# {app}" not in example:
            raise FleetError(f"{origins} has no example any more that reads {app}")
        origins.write_text(example.replace(f"# {app}", app))
        for name in self.hosts.names:
            own: dict[str, object] = dict(self.hosts.connection(name))
            if name in EDGES + SECONDARIES:
                own["warp_addresses"] = [self.hosts.address(name), self.hosts.address6(name)]
            path = self.inventory / f"host_vars/{name}.yml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(yaml.safe_dump(own))
        with every.open("a") as file:
            file.write("\n" + yaml.safe_dump(bench))


@functools.cache
def _deployed() -> Deployment | str:
    """
    Return the fleet, or why there is none: tried once, for what failed for one test fails for all.

    With WARP_FLEET_USE=1 it is the one that another run left (WARP_FLEET_KEEP=1), as it is.
    """
    made = Deployment(Place())
    try:
        if not os.environ.get("WARP_FLEET_USE"):
            made.make()
    except (FleetError, subprocess.TimeoutExpired) as error:
        return str(error)
    return made


def deployment() -> Deployment:
    """
    Return the fleet, deployed.

    :raises FleetError: if hosts cannot be made here, or the deployment failed.
    """
    found = _deployed()
    if isinstance(found, str):
        raise FleetError(found)
    return found

"""
Throw-away Debian hosts, each a container booted with systemd as PID 1, on a network of their own.

A host's root is an overlay on one tree that all share, so a new host costs no copying; its processes are
one control group and its mounts one namespace, so stopping it takes exactly what was started. Power cuts
and reboots keep the disk. Host root is this machine's root in a container: a test bench, no boundary.
"""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.fleet import images, network
from tests.fleet.place import RUN_SECONDS, FleetError, Group, Place, Stopwatch, run, unified_hierarchy
from tests.fleet.wheelhouse import wheelhouse

BOOT_SECONDS = 60.0
SHUTDOWN_SECONDS = 30.0
_NAME = re.compile(r"[a-z][a-z0-9-]{0,14}")  # also the name of the host's link, hence its length
_ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "TERM": "dumb",
    "USER": "root",
}
_TOOLS = (
    "apt-ftparchive",
    "dig",
    "ip",
    "mmdebstrap",
    "nc",
    "nft",
    "nsenter",
    "ssh-keygen",
    "systemd-nspawn",
    "unshare",
)


def require_machine() -> None:
    """
    Make sure that this machine can have hosts.

    :raises FleetError: saying what is missing.
    """
    if os.geteuid() != 0:
        raise FleetError("hosts with systemd are made by root; run this as root")
    if missing := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        raise FleetError(f"not installed: {', '.join(missing)} (tests/fleet/debian-packages.txt lists the packages)")
    if not re.search(r"\boverlay$", Path("/proc/filesystems").read_text(), re.MULTILINE):
        raise FleetError("the kernel has no overlay filesystem")
    try:
        probe = Group(unified_hierarchy() / f"probe-{os.getpid()}")
        probe.path.mkdir()
        can_end = (probe.path / "cgroup.kill").exists()
        probe.path.rmdir()
    except OSError as error:
        raise FleetError(f"control groups cannot be made: {error}") from error
    if not can_end:
        raise FleetError("the kernel is too old: its control groups have no cgroup.kill (Linux 5.14)")
    network.require_namespaces()


class Hosts:
    """The hosts of one place. Each sees a package archive in /srv/packages and a wheelhouse in /srv/wheels."""

    def __init__(self, place: Place) -> None:
        self.place = place

    @property
    def ssh_config(self) -> Path:
        """What `ssh -F` needs to reach the hosts from outside their network."""
        return self.place.directory / "ssh_config"

    @property
    def names(self) -> list[str]:
        """The hosts that exist, running or not."""
        found = self.place.directory.glob("hosts/*/number")
        return sorted(path.parent.name for path in found if _NAME.fullmatch(path.parent.name))

    def address(self, name: str) -> str:
        return f"{self.place.network}.{self._number(name)}"

    def address6(self, name: str) -> str:
        return f"{self.place.network6}::{self._number(name)}"

    def up(self, *names: str, suite: str | None = None) -> None:
        """
        Create what is missing, boot what does not run, and wait until systemd says that it runs.

        :param suite: the Debian release of hosts that are created; None means this machine's own.
        :raises FleetError: if a host does not boot. One that ended "degraded" is up: its failed units are the
            business of whoever looks for them.
        """
        for name in names:
            if not _NAME.fullmatch(name) or name in ("br0", "lo"):
                raise FleetError(f"a host's name is a letter and up to 14 more of a-z 0-9 -: {name!r}")
        require_machine()
        with self._alone():
            key = self.place.directory / "key"
            if not key.exists():
                run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.place.name, "-f", key)
            network.up(self.place)
            for name in names:
                if name not in self.names:
                    self._create(name, suite or images.codename())
            self._write_ssh_config()
            starting = [name for name in names if not self.is_running(name)]
            for name in starting:
                self._start(name)
            for name in starting:
                self._await(name)
            self._introduce()

    def halt(self, name: str) -> None:
        """Cut a host's power; its disk stays, and `up` boots it again."""
        network.unplug(self.place, name)
        self._group(name).end()

    def down(self) -> None:
        """Stop and delete every host, the copy of the checkout, and the network. The caches stay."""
        with self._alone():
            leaders = {name: pid for name in self.names if (pid := self._leader(name))}
            for pid in leaders.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGRTMIN + 4)  # systemd: power off
            deadline = time.monotonic() + SHUTDOWN_SECONDS
            for name in leaders:
                while self.is_running(name) and time.monotonic() < deadline:
                    time.sleep(0.05)
            for name in self.names:
                self.halt(name)
            for name in ("hosts", "checkout"):  # the next fleet is of the code as it is then
                shutil.rmtree(self.place.directory / name, ignore_errors=True)
            Group(unified_hierarchy() / self.place.name).end()
            network.down(self.place)

    def is_running(self, name: str) -> bool:
        return self._group(name).is_populated

    def stopwatch(self, began: float | None = None) -> Stopwatch:
        """Return a watch that counts the seconds in which the hosts could run."""
        return Stopwatch(Group(unified_hierarchy() / self.place.name), began)

    def inside(self, name: str, *command: str) -> list[str]:
        """
        The command line that runs a command as root in a host: a clean environment, past any firewall.

        :raises FleetError: if the host does not run.
        """
        leader = self._leader(name)
        if leader is None:
            raise FleetError(f"{name} does not run")
        environment = [f"{key}={value}" for key, value in _ENVIRONMENT.items()]
        entered = [
            "nsenter",
            "--target",
            str(leader),
            "--all",
            "--root",
            "--wd",
            "--",
            "env",
            "-i",
            *environment,
        ]
        return Group(self._group(name).path / "exec").joining(*entered, *command)

    def execute(self, name: str, *command: str) -> str:
        """
        Run a command in a host and return what it printed.

        :raises FleetError: if it fails.
        """
        return run(*self.inside(name, *command))

    def install(self, name: str, path: str, content: str) -> None:
        """Write a file of mode 0644 in a host."""
        command = self.inside(name, "sh", "-c", 'umask 022; mkdir -p "${0%/*}" && cat >"$0"', path)
        subprocess.run(command, input=content, text=True, check=True, timeout=RUN_SECONDS)

    def beside(self, *command: str) -> list[str]:
        """The command line that runs a command in the hosts' network, as a neighbour of theirs."""
        entered = ["nsenter", f"--net={self.place.namespace}", "--", *command]
        return Group(unified_hierarchy() / self.place.name / "beside").joining(*entered)

    def connection(self, name: str) -> dict[str, str | bool]:
        """
        Ansible's variables for reaching a host.

        The shared connection's socket lies with the host and goes at every boot: a connection to a host that
        was cut off would hang.
        """
        return {
            "ansible_host": self.address(name),
            "ansible_user": "root",
            "ansible_ssh_common_args": f"-F {self.ssh_config}",
            "ansible_ssh_pipelining": True,
            "ansible_control_path": str(self.place.host(name) / "ssh"),
            "ansible_python_interpreter": "/usr/bin/python3",
        }

    def _number(self, name: str) -> int:
        return int((self.place.host(name) / "number").read_text())

    def _group(self, name: str) -> Group:
        return Group(unified_hierarchy() / self.place.name / name)

    def _leader(self, name: str) -> int | None:
        """The host's PID 1, by its number on this machine."""
        members = self._group(name).path / "machine/payload/init.scope/cgroup.procs"
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for pid in members.read_text().split():
                if re.search(r"^NSpid:\s+\d+\s+1$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE):
                    return int(pid)
        return None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the place for one command at a time; nothing that stays behind holds it."""
        self.place.directory.mkdir(parents=True, exist_ok=True)
        with (self.place.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _create(self, name: str, suite: str) -> None:
        """Lay down a new host's own files; the rest shows through from the base tree."""
        taken = {self._number(other) for other in self.names}
        home = self.place.host(name)
        shutil.rmtree(home, ignore_errors=True)
        upper = home / "upper"
        for directory in (upper / "etc/ssh", upper / "root/.ssh", home / "work", home / "root"):
            directory.mkdir(parents=True)
        for directory in (upper, upper / "etc", upper / "etc/ssh"):
            directory.chmod(0o755)
        for directory in (upper / "root", upper / "root/.ssh"):
            directory.chmod(0o700)
        (upper / "etc/hostname").write_text(f"{name}\n")
        (upper / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
        (upper / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost ip6-localhost\n")
        (upper / "etc/resolv.conf").write_text("# no resolver: names are in /etc/hosts\n")
        run(
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            name,
            "-f",
            upper / "etc/ssh/ssh_host_ed25519_key",
        )
        authorized = upper / "root/.ssh/authorized_keys"
        authorized.write_bytes((self.place.directory / "key.pub").read_bytes())
        authorized.chmod(0o600)
        (home / "suite").write_text(suite)
        (home / "number").write_text(str(next(number for number in range(11, 250) if number not in taken)))

    def _write_ssh_config(self) -> None:
        """`nc -F` connects in the hosts' namespace, hands the connected socket to ssh, and is gone."""
        hosts = [line for name in self.names for line in (f"Host {name}", f"    HostName {self.address(name)}")]
        known = self.place.directory / "known_hosts"
        rest = [
            "Host *",
            "    User root",
            f"    IdentityFile {self.place.directory / 'key'}",
            "    IdentitiesOnly yes",
            f"    ProxyCommand nsenter --net={self.place.namespace} nc -F %h %p",
            "    ProxyUseFdpass yes",
            f"    UserKnownHostsFile {known}",
            "    StrictHostKeyChecking yes",
            "    ServerAliveInterval 5",
        ]
        self.ssh_config.write_text("\n".join(hosts + rest) + "\n")
        keys = {name: self.place.host(name) / "upper/etc/ssh/ssh_host_ed25519_key.pub" for name in self.names}
        known.write_text("".join(f"{name},{self.address(name)} {path.read_text()}" for name, path in keys.items()))

    def _start(self, name: str) -> None:
        home = self.place.host(name)
        suite = (home / "suite").read_text()
        base = images.base_tree(self.place, suite)
        binds = {
            images.package_archive(self.place, suite, base): "/srv/packages",
            wheelhouse(self.place, base): "/srv/wheels",
        }
        (home / "ssh").unlink(missing_ok=True)
        network.plug_in(self.place, name, self._number(name))
        own = self._group(name).path
        group, namespace = f"{self.place.name}/{name}/machine", f"/run/netns/{self.place.name}-{name}"
        program: Sequence[str | Path] = (
            *("setsid", "unshare", "--mount", "--propagation", "private"),
            *(sys.executable, Path(__file__).with_name("boot.py"), name, group, namespace),
            *(home / "root", base, home / "upper", home / "work"),
            *(f"{source}:{target}" for source, target in binds.items()),
        )
        with (home / "console.log").open("ab") as console:
            subprocess.Popen(
                Group(own / "boot").joining(*program),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )

    def _await(self, name: str) -> None:
        deadline = time.monotonic() + BOOT_SECONDS
        state = "not started"
        while time.monotonic() < deadline:
            time.sleep(0.05)
            with contextlib.suppress(FleetError):
                state = run(*self.inside(name, "systemctl", "is-system-running"), quiet=True).strip()
            if state in ("running", "degraded"):
                return
        console = (self.place.host(name) / "console.log").read_text(errors="replace")[-2000:]
        raise FleetError(f"{name} did not boot in {BOOT_SECONDS:.0f} s (state {state!r}); its console said: {console}")

    def _introduce(self) -> None:
        """Put everyone's name into everyone's /etc/hosts: the hosts have no resolver."""
        lines = [f"{address} {name}" for name in self.names for address in (self.address(name), self.address6(name))]
        script = 'for line; do grep -qxF "$line" /etc/hosts || echo "$line" >>/etc/hosts; done'
        for name in filter(self.is_running, self.names):
            self.execute(name, "sh", "-c", script, "sh", *lines)

"""Breaking things on the hosts, and mending them. Each call ends when the thing is broken, not when that is noticed."""

import contextlib
import subprocess
from pathlib import Path

import yaml

from tests.fleet.deployment import ZONE, Deployment
from tests.fleet.place import FleetError, run
from tests.system.clocks.faketime import WrongClock, library

EDGE, DNS, AGENT, KNOT = "warp-edge.service", "warp-dns.service", "warp-agent@main.service", "knot.service"
STATE = "/var/lib/warp-edge"
CLOCK_FILE, CLOCK_LIBRARY = "/var/lib/faults.clock", "/usr/local/lib/libfaketime.so.1"
DISK_BYTES = 8 * 1024 * 1024
TUNNEL_PORT = 7844
# In sh: the last process that the main one of the unit in $0 has started.
_MAIN = '$(systemctl show --value --property=MainPID "$0")'
_SERVING = f"$(awk '{{print $NF}}' /proc/{_MAIN}/task/{_MAIN}/children)"


class Wrecks:
    """What can be done to a fleet."""

    def __init__(self, fleet: Deployment) -> None:
        self._fleet = fleet
        self._hosts = fleet.hosts
        self._image = fleet.hosts.place.directory / "failing.img"
        self._loop = ""

    # Processes and hosts.

    def signal(self, host: str, unit: str, name: str) -> None:
        """Send a signal to every process of a unit."""
        self._hosts.execute(host, "systemctl", "kill", f"--signal={name}", unit)

    def stop_what_serves(self, host: str, unit: str) -> None:
        """Stop the processes of a unit, but for a keeper, whose task it is to notice."""
        if unit == EDGE:
            self._hosts.execute(host, "sh", "-c", f"kill -STOP {_SERVING}", unit)
        else:
            self.signal(host, unit, "STOP")

    def reboot(self, host: str) -> None:
        """Reboot a host in an orderly way."""
        with contextlib.suppress(FleetError):  # the host takes the command down with it
            self._hosts.execute(host, "systemctl", "reboot")

    def cut_power(self, host: str) -> None:
        """Cut a host's power, and boot it again."""
        self._hosts.halt(host)
        self._hosts.up(host)

    def limit_files(self, host: str, unit: str, most: int | None) -> None:
        """Let what serves below a keeper open no file with this number or a higher one, or as many as its unit says."""
        script = (
            f"pid={_SERVING};"
            " n=${1:-$(prlimit --pid $pid --nofile --noheadings --output=HARD)};"
            " prlimit --pid $pid --nofile=$n:"
        )
        self._hosts.execute(host, "sh", "-c", script, unit, "" if most is None else str(most))

    # The network.

    def cut_links(self, *hosts: str) -> None:
        """Take down the links of hosts, at the switch."""
        for host in hosts:
            run("ip", "-n", self._hosts.place.name, "link", "set", "dev", host, "down")

    def join_links(self, *hosts: str) -> None:
        """Take up the links of hosts."""
        for host in hosts:
            run("ip", "-n", self._hosts.place.name, "link", "set", "dev", host, "up")

    def drop(self, *hosts: str, hears: str = "", says: str = "") -> None:
        """
        Drop packets of hosts, in silence.

        :param hears: which ones that come in, as an expression of nftables; empty: none.
        :param says: which ones that go out.
        """
        rules = "add table inet faults; delete table inet faults; add table inet faults;"
        for hook, match in (("input", hears), ("output", says)):
            if match:
                rules += f" add chain inet faults {hook} {{ type filter hook {hook} priority -400; }};"
                rules += f" add rule inet faults {hook} {match} drop;"
        for host in hosts:
            self._hosts.execute(host, "nft", rules)

    def drop_nothing(self, *hosts: str) -> None:
        """Let all packets through again."""
        for host in hosts:
            self._hosts.execute(host, "nft", "add table inet faults; delete table inet faults")

    def cut_secondary(self) -> None:
        """Keep the secondary from its primary, but not from resolvers."""
        addresses = f"{self._hosts.address('edge1')}", f"{self._hosts.address6('edge1')}"
        self.drop("ns1", hears=f"ip saddr {addresses[0]}", says=f"ip daddr {addresses[0]}")
        more = "add rule inet faults {0} ip6 {1} {2} drop"
        for hook, side in (("input", "saddr"), ("output", "daddr")):
            self._hosts.execute("ns1", "nft", more.format(hook, side, addresses[1]))

    def expire_soon(self, seconds: int | None) -> None:
        """Let secondaries drop the zone after so many seconds without its primary, or after what is usual."""
        settings = yaml.safe_load(self._hosts.execute("edge1", "cat", "/etc/warp/dns.yaml"))
        for zone in settings["zones"]:
            zone.pop("expire", None)
            zone.update({"expire": seconds} if seconds else {})
        self._hosts.install("edge1", "/etc/warp/dns.yaml", yaml.safe_dump(settings))
        self._hosts.execute("edge1", "systemctl", "restart", DNS)

        def is_known() -> bool:
            [soa] = self._fleet.dig(self._hosts.address("ns1"), ZONE, "SOA")
            return (soa.split()[5] == str(seconds)) == (seconds is not None)

        self._fleet.wait("the secondary's SOA", is_known, 90)

    # The disk with the edge's state.

    def _move_state(self, mount: str) -> None:
        """Put the edge's state on another file system."""
        script = (
            f"set -e; systemctl stop {EDGE}; cp -a {STATE} {STATE}.before; {mount}; cp -a {STATE}.before/. {STATE};"
            f" chown --reference={STATE}.before {STATE}; chmod 700 {STATE}; systemctl start {EDGE}"
        )
        self._hosts.execute("edge1", "sh", "-c", script)

    def begin_small_disk(self) -> None:
        """Put the edge's state on a small disk."""
        self._move_state(f"mount -t tmpfs -o size={DISK_BYTES} none {STATE}")

    def fill_disk(self) -> None:
        """Leave no room on it, and have the edge find out."""
        self._hosts.execute("edge1", "sh", "-c", f"cat /dev/zero >{STATE}/filling 2>/dev/null || true")
        self._ask_for_change()

    def _ask_for_change(self) -> None:
        """Ask for what has to be written; it is refused."""
        with contextlib.suppress(FleetError):
            self._hosts.execute("edge1", "warp", "token", "create", "--hostname", f"other.{ZONE}")

    def empty_disk(self) -> None:
        """Make room on it again."""
        self._hosts.execute("edge1", "rm", "-f", f"{STATE}/filling")

    def begin_failing_disk(self) -> None:
        """Put the edge's state on a disk that can fail: a block device in a file of this machine (`tests.disks`)."""
        self._image.unlink(missing_ok=True)
        with self._image.open("xb") as file:
            file.truncate(4 * DISK_BYTES)
        run("mkfs.ext4", "-q", "-O", "^has_journal", self._image)
        self._loop = run("losetup", "--find", "--show", self._image).strip()
        number = self._loop.removeprefix("/dev/loop")
        node = "/dev/failing-disk"  # /tmp takes no devices
        self._move_state(f"rm -f {node}; mknod {node} b 7 {number}; mount -t ext4 -o errors=continue {node} {STATE}")

    def fail_disk(self) -> None:
        """Let every write to it fail, and have the edge find out."""
        run("chattr", "+i", self._image)
        self._ask_for_change()

    def mend_disk(self) -> None:
        """Let it be written again."""
        run("chattr", "-i", self._image)

    def end_other_disk(self) -> None:
        """Put the edge's state back where it was; nothing is lost that was issued before."""
        script = (
            f"systemctl stop {EDGE}; if mountpoint --quiet {STATE}; then umount {STATE}; fi;"
            f" rm -rf {STATE}.before /dev/failing-disk; systemctl start {EDGE}"
        )
        self._hosts.execute("edge1", "sh", "-c", script)
        if self._loop:
            run("losetup", "--detach", self._loop)
            self._loop = ""
            self._image.unlink()

    # The clock of the edge.

    def begin_own_clock(self) -> None:
        """Give the edge a clock of its own."""
        with Path(library()).open("rb") as found:
            copy = self._hosts.inside("edge1", "sh", "-c", 'umask 022; cat >"$0"', CLOCK_LIBRARY)
            subprocess.run(copy, stdin=found, check=True, timeout=60)
        self._write_clock(0)
        scratch = self._hosts.place.directory / "clock"
        environment = WrongClock(scratch).environment | {
            "LD_PRELOAD": CLOCK_LIBRARY,
            "FAKETIME_TIMESTAMP_FILE": CLOCK_FILE,
        }
        lines = "".join(f"Environment={key}={value}\n" for key, value in environment.items())
        self._hosts.install("edge1", f"/etc/systemd/system/{EDGE}.d/clock.conf", f"[Service]\n{lines}")
        self._hosts.execute("edge1", "sh", "-c", f"systemctl daemon-reload; systemctl restart {EDGE}")

    def _write_clock(self, ahead: float) -> None:
        self._hosts.install("edge1", f"{CLOCK_FILE}.new", f"{ahead:+.0f}\n")
        self._hosts.execute("edge1", "mv", f"{CLOCK_FILE}.new", CLOCK_FILE)

    def set_clock(self, ahead: float, *, is_start: bool) -> None:
        """Set the edge's clock while it runs, or with its next start, which is at once."""
        self._write_clock(ahead)
        if is_start:
            self._hosts.execute("edge1", "systemctl", "restart", "--no-block", EDGE)

    def end_own_clock(self) -> None:
        """Give the edge the machine's clock again."""
        script = f"rm -r /etc/systemd/system/{EDGE}.d/clock.conf; systemctl daemon-reload; systemctl restart {EDGE}"
        self._hosts.execute("edge1", "sh", "-c", script)

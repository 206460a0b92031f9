#!/usr/bin/python
"""Ansible module: whether a host has what its variables say, looked at before anything changes."""

DOCUMENTATION = r"""
---
module: warp_host_check
short_description: Whether a host has what its variables say
description:
  - Looks at an interpreter, at directories, at addresses to listen on, and at who listens already. Fails with a
    sentence for everything that is wrong, each of which names the variable.
  - Warns if the host's clock and the controller's differ.
options:
  python:
    description: An interpreter that makes virtual environments, with C(variable) and C(path).
    type: dict
  directories:
    description: Directories that must be there, with C(variable) and C(path).
    type: list
    elements: dict
    default: []
  listeners:
    description: >-
      What will be listened on, with C(variable), C(protocols) (V(tcp), V(udp)), C(listen), a list of such as
      V(192.0.2.1:53), V([2001:db8::1]:53), V(::@53), or an address alone for port 53, and C(units), names of units
      whose listening there is no obstacle. An address that is not the host's own is refused.
    type: list
    elements: dict
    default: []
  now:
    description: What the controller's clock shows, in seconds since the epoch. 0 does not compare.
    type: float
    default: 0
  skew_seconds:
    description: By how much clocks may differ without a warning.
    type: float
    default: 60
author:
  - The Warp authors
"""

EXAMPLES = r"""
- name: Look at the host
  warp_host_check:
    directories:
      - {variable: warp_common_wheelhouse, path: /}
    listeners:
      - {variable: warp_edge_dns_listen, protocols: [udp], listen: ["127.0.0.1:5"], units: [warp-dns.service]}
    now: "{{ now(utc=true).timestamp() }}"
"""

RETURN = r"""
skew_seconds:
  description: How far the host's clock is ahead of the controller's, in seconds; the way there counts as skew.
  type: float
  returned: always
"""

import os
import re
import socket
import struct
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

OLDEST = (3, 11)
NEWEST = (3, 14)
# The system's own makes them after the role has installed python3-venv.
SYSTEM_PYTHON = "/usr/bin/python3"
LISTENING = {"tcp": "0A", "udp": "07"}
PROBE = "import sys, {module}; print(*sys.version_info[:2])"


ALL = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
DNS_PORT = 53


@dataclass(frozen=True, kw_only=True)
class Listener:
    """
    A socket that somebody listens on, or that is wanted.

    :ivar address: an IP address; `0.0.0.0` and `::` stand for all.
    :ivar units: of the processes that hold it, empty if that cannot be told; of a wanted one, whose it may be.
    :ivar variable: that wants it.
    """

    protocol: str
    address: str
    port: int
    units: frozenset[str]
    variable: str = ""


def wanted(given: Iterable[Mapping[str, Any]]) -> Iterator[Listener]:
    """Yield what the module's parameter says, for each protocol."""
    for each in given:
        units = frozenset(each["units"])
        for address, port in map(endpoint, each["listen"]):
            for protocol in each["protocols"]:
                yield Listener(protocol=protocol, address=address, port=port, units=units, variable=each["variable"])


def endpoint(text: str) -> tuple[str, int]:
    """Split `192.0.2.1:53`, `[::1]:53`, `::1@53` or an address alone into address and port."""
    separator = "@" if "@" in text else "]:" if "]:" in text else ":" if text.count(":") == 1 else None
    address, _, port = text.partition(separator) if separator else (text, "", "")
    return address.strip("[]"), int(port or DNS_PORT)


def wrong_python(path: str) -> str:
    """Return what is wrong with an interpreter, or nothing."""
    module = "venv" if path == SYSTEM_PYTHON else "ensurepip"
    try:
        done = subprocess.run([path, "-c", PROBE.format(module=module)], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(getattr(error, "strerror", None) or error)
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    version = tuple(int(part) for part in done.stdout.split())
    if not OLDEST <= version <= NEWEST:
        return f"Python {version[0]}.{version[1]}"
    return ""


def table(text: str, protocol: str) -> Iterator[tuple[str, int, str]]:
    """
    Yield address, port and inode of each socket that listens, of a file such as /proc/net/tcp6.

    The kernel prints an address as words of 32 bits in the machine's byte order.
    """
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 10 or fields[3] != LISTENING[protocol]:
            continue
        words, port = fields[1].split(":")
        packed = b"".join(struct.pack("=I", int(words[at : at + 8], 16)) for at in range(0, len(words), 8))
        yield (
            socket.inet_ntop(socket.AF_INET6 if len(packed) == 16 else socket.AF_INET, packed),
            int(port, 16),
            fields[9],
        )


def holders(proc: Path) -> dict[str, set[str]]:
    """Return the units of the processes that hold each socket, by its inode."""
    found: dict[str, set[str]] = {}
    for process in proc.glob("[0-9]*"):
        try:
            unit = (process / "cgroup").read_text().strip().rsplit("/", 1)[-1]
            for descriptor in (process / "fd").iterdir():
                if match := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(descriptor)):
                    found.setdefault(match[1], set()).add(unit)
        except OSError:  # it has ended meanwhile
            continue
    return found


def socket_units(shown: str) -> dict[int, set[str]]:
    """Return the units for which systemd holds sockets, by port, of what `systemctl list-sockets` prints."""
    found: dict[int, set[str]] = {}
    for line in shown.splitlines():
        if match := re.match(r"\s*\S+:(?P<port>\d+)\s+(?P<unit>\S+)", line):
            found.setdefault(int(match["port"]), set()).add(match["unit"])
    return found


def listeners(proc: Path, held: Mapping[int, set[str]]) -> list[Listener]:
    """Return who listens on this host."""
    units = holders(proc)
    found = []
    for name in ("tcp", "tcp6", "udp", "udp6"):
        path, protocol = proc / "net" / name, name[:3]
        for address, port, inode in table(path.read_text() if path.exists() else "", protocol):
            whose = units.get(inode, set())
            if "init.scope" in whose:
                whose = (whose - {"init.scope"}) | held.get(port, set())
            found.append(Listener(protocol=protocol, address=address, port=port, units=frozenset(whose)))
    return found


def overlap(one: str, other: str) -> bool:
    """Say whether two addresses to listen on are in each other's way; `::` may stand for IPv4 as well."""
    if one == other or "::" in (one, other):
        return True
    return ALL[0] in (one, other) and ":" not in one + other


def taken(wants: Iterable[Listener], there: Sequence[Listener]) -> Iterator[str]:
    """Yield a sentence for each wanted listener that somebody else has."""
    for want in wants:
        for other in there:
            is_same = (other.protocol, other.port) == (want.protocol, want.port)
            if is_same and overlap(other.address, want.address) and not other.units & want.units:
                whose = ", ".join(sorted(other.units)) or "a process that cannot be told"
                yield (
                    f"{want.variable}: {want.protocol} port {other.port} of {other.address} is taken by {whose}; "
                    "stop that, or let it listen elsewhere"
                )
                break


def not_here(wants: Iterable[Listener]) -> Iterator[str]:
    """Yield a sentence for each wanted address that cannot be bound because it is not the host's."""
    for variable, address in sorted({(want.variable, want.address) for want in wants if want.address not in ALL}):
        try:
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind((address, 0))
        except OSError as error:
            yield f"{variable}: expected an address of this host, got {address} ({error.strerror})"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "python": {"type": "dict"},
            "directories": {"type": "list", "elements": "dict", "default": []},
            "listeners": {"type": "list", "elements": "dict", "default": []},
            "now": {"type": "float", "default": 0},
            "skew_seconds": {"type": "float", "default": 60},
        },
        supports_check_mode=True,
    )
    given = module.params
    skew = time.time() - given["now"] if given["now"] else 0.0
    wrong = []
    if (python := given["python"]) and (reason := wrong_python(python["path"])):
        wrong.append(
            f"{python['variable']}: expected Python {'.'.join(map(str, OLDEST))} to {'.'.join(map(str, NEWEST))} "
            f"that makes virtual environments, got {python['path']} ({reason})"
        )
    wrong += [
        f"{each['variable']}: expected a directory on this host, got {each['path']}"
        for each in given["directories"]
        if not Path(each["path"]).is_dir()
    ]
    if given["listeners"]:
        wants = list(wanted(given["listeners"]))
        shown = module.run_command(["systemctl", "list-sockets", "--no-legend", "--full", "--all"])[1]
        wrong += [*not_here(wants), *taken(wants, listeners(Path("/proc"), socket_units(shown)))]
    if wrong:
        module.fail_json(msg="; ".join(wrong))
    if abs(skew) > given["skew_seconds"]:
        module.warn(
            f"this host's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the controller's: "
            "certificates and join tokens go by it; let NTP set it (timedatectl set-ntp true)"
        )
    module.exit_json(changed=False, skew_seconds=skew)


if __name__ == "__main__":
    main()

"""
`ssh -R` in front of the origins: the tunnel that everybody already has.

An sshd of its own with keys made for the run, reading nothing from /etc/ssh or ~/.ssh; the visitors connect to
the ports that it opens for the remote forwards.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.load.visitors import Address
from benchmarks.peers.peer import Peer
from benchmarks.processes import find_program, free_port, running

# sshd started by root gives its unprivileged part this empty directory; Debian makes it in the boot scripts.
_PRIVILEGE_SEPARATION = Path("/run/sshd")

_SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding remote
"""

_ALLOCATED = r"Allocated port (\d+) for remote forward to 127\.0\.0\.1:{port}"


@contextlib.contextmanager
def open_ssh(origins: Peer, directory: Path) -> Iterator[Peer]:
    """Run sshd and `ssh -R`."""
    port = free_port()
    for key in ("host_key", "user_key"):
        subprocess.run(
            [find_program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(directory / key)],
            check=True,
            stdin=subprocess.DEVNULL,
            timeout=10,
        )
    configuration = directory / "sshd_config"
    configuration.write_text(_SSHD.format(port=port, directory=directory))
    (directory / "known_hosts").write_text(
        f"[127.0.0.1]:{port} " + (directory / "host_key.pub").read_text(),
    )
    with contextlib.ExitStack() as stack:
        if os.geteuid() == 0 and not _PRIVILEGE_SEPARATION.exists():
            _PRIVILEGE_SEPARATION.mkdir(mode=0o755)
            stack.callback(_remove_if_empty, _PRIVILEGE_SEPARATION)
        sshd = stack.enter_context(
            running("sshd", ["sshd", "-D", "-e", "-f", str(configuration)], directory),
        )
        sshd.wait_for_port(port)
        forwards = [
            argument
            for address in (origins.web, origins.tools)
            for argument in ("-R", f"127.0.0.1:0:127.0.0.1:{address.port}")
        ]
        options = {
            "BatchMode": "yes",
            "ExitOnForwardFailure": "yes",
            "IdentitiesOnly": "yes",
            "IdentityFile": directory / "user_key",
            "UserKnownHostsFile": directory / "known_hosts",
            "StrictHostKeyChecking": "yes",
        }
        ssh = stack.enter_context(
            running(
                "ssh",
                ["ssh", "-F", "none", "-N", "-p", str(port)]
                + [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
                + [*forwards, f"{getpass.getuser()}@127.0.0.1"],
                directory,
            )
        )
        web, tools = (
            int(ssh.wait_for_line(_ALLOCATED.format(port=re.escape(str(address.port))))[1])
            for address in (origins.web, origins.tools)
        )
        yield Peer(
            name="ssh -R",
            web=Address(port=web, hostname=origins.web.hostname),
            tools=Address(port=tools, hostname=origins.tools.hostname),
            programs={"sshd": sshd, "ssh": ssh},
        )


def _remove_if_empty(directory: Path) -> None:
    with contextlib.suppress(OSError):
        directory.rmdir()

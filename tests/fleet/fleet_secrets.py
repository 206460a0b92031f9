"""Secrets: in no log, no process list, no output of a run, no fact, and no file that others may read."""

import base64
import re

from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import EDGES, ORIGINS, SECONDARIES, deployment

EVERYBODY = (*EDGES, *SECONDARIES, *ORIGINS)
JOIN_TOKEN = re.compile(r"warp1-[A-Za-z0-9_-]{40,}")
PRIVATE_KEY = re.compile(r"BEGIN (?:EC |RSA )?PRIVATE KEY")
# What the world may read, of what changes: configuration, state, logs. Releases and Debian's own files are neither.
READABLE = (
    "find /etc /var /root /home /run /tmp /opt/warp -xdev -type f -perm -004 -not -path '*/site-packages/*' -print0"
)
PROCESSES = (
    "for process in /proc/[0-9]*; do tr '\\0' ' ' <$process/cmdline; tr '\\0' ' ' <$process/environ; done 2>/dev/null"
)


class SecretTests(FleetTestCase):
    """A search for each secret in each place."""

    def setUp(self) -> None:
        self.fleet = deployment()
        password = (self.fleet.inventory / "secrets/transfer.key").read_text().split()[0]
        encoded = base64.b64encode(password.encode()).decode()
        keys = [
            path.read_text() for path in (self.fleet.inventory / "secrets").rglob("*.key") if "KEY" in path.read_text()
        ]
        self.secrets = [password, encoded, *(key.splitlines()[1] for key in keys)]

    def check(self, text: str, place: str) -> None:
        """Make sure that a text holds no secret."""
        for secret in self.secrets:
            self.assertNotIn(secret, text, place)
        self.assertIsNone(JOIN_TOKEN.search(text), place)
        self.assertIsNone(PRIVATE_KEY.search(text), place)

    def test_search_finds(self) -> None:
        """The search is not blind: it finds each secret where it belongs."""
        self.assertGreaterEqual(len(self.secrets), 4)
        self.assertRaises(
            self.failureException, self.check, self.fleet.hosts.execute("ns1", "cat", "/etc/knot/warp-key.conf"), ""
        )
        self.assertRaises(
            self.failureException, self.check, self.fleet.hosts.execute("edge1", "cat", "/etc/warp/ca/edge1.key"), ""
        )

    def test_runs(self) -> None:
        """No run of a playbook printed one, with `--diff` and each task's result."""
        for name, run in self.fleet.runs.items():
            self.check(run.output, f"the {name} run")

    def test_journals(self) -> None:
        """No journal has one."""
        for host in EVERYBODY:
            self.check(self.fleet.hosts.execute(host, "journalctl", "--no-pager", "--output=verbose"), host)

    def test_processes(self) -> None:
        """No process has one in its arguments or its environment."""
        for host in EVERYBODY:
            self.check(self.fleet.hosts.execute(host, "sh", "-c", PROCESSES), host)

    def test_units(self) -> None:
        """No unit's properties show one."""
        for host in EVERYBODY:
            self.check(self.fleet.hosts.execute(host, "systemctl", "show", "*"), host)

    def test_readable_files(self) -> None:
        """No file that everybody may read has one."""
        for host in EVERYBODY:
            text = self.fleet.hosts.execute(host, "sh", "-c", f"{READABLE} | xargs -0 cat 2>/dev/null | tr -d '\\0'")
            self.check(text, host)

    def test_facts(self) -> None:
        """No fact that a run would gather has one."""
        for name in ("facts.yml",):
            path = self.fleet.checkout / name
            path.write_text(
                "- hosts: all\n  tasks:\n    - ansible.builtin.debug: {var: ansible_facts}\n"
                "    - ansible.builtin.shell: cat /etc/ansible/facts.d/* 2>/dev/null || true\n"
            )
            self.check(self.fleet.play(name, "-v").check().output, name)

    def test_join_token_is_gone(self) -> None:
        """The token that enrolled an agent is on no disk any more, and good for nobody."""
        for origin in ORIGINS:
            found = self.fleet.hosts.execute(origin, "sh", "-c", "ls /etc/warp/agents /var/lib/warp-agent/main")
            self.assertNotIn("token", found)
            text = self.fleet.hosts.execute(
                origin, "sh", "-c", "grep -rhoa 'warp1-[A-Za-z0-9_-]*' /etc /var /root || true"
            )
            self.assertIsNone(JOIN_TOKEN.search(text))
        tokens = self.fleet.hosts.execute("edge1", "warp", "token", "list", "--json")
        self.assertNotRegex(tokens, r'"uses_left": [1-9]')

"""`ansible-playbook site.yml` from nothing, again, on fresh hosts in check mode, and with variables that are wrong."""

import json
import re

from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import EDGES, ORIGINS, SECONDARIES, deployment
from tests.fleet.figures import note

EVERYBODY = (*EDGES, *SECONDARIES, *ORIGINS)
UNITS = {
    "edge1": ("warp-edge.service", "warp-dns.service", "warp-firewall.service"),
    "ns1": ("knot.service", "warp-firewall.service"),
    "origin1": ("warp-agent@main.service", "warp-firewall.service"),
}
SERVICES = {"edge1": ("warp-edge", "warp-dns"), "origin1": ("warp-agent@main",)}
ALL_SERVICES = {**SERVICES, "ns1": ("knot",)}
MOST_MEMORY_MIB = 128
CAP_NET_BIND_SERVICE = 1 << 10
# What is wrong, and what the refusal must say: the variable, and what was expected.
WRONG: tuple[tuple[dict[str, object], str], ...] = (
    ({"warp_zone": "Not A Zone"}, r"warp_zone: expected a name such as warp\.example"),
    ({"warp_fleet_edges": ["edge1", "ns1"]}, r"edges: expected a host in the group registry\s+beside several edges"),
    ({"warp_edge_http_port": "eighty"}, r"warp_edge_http_port.*unable to convert to\s+int"),
    ({"warp_edge_limits": {"head_bytes": 5}}, r"warp_edge_limits\.head_bytes: expected a whole number from 1024"),
    ({"warp_edge_timeouts": {"drian": 5}}, r"warp_edge_timeouts\.drian: unknown key; did you mean drain"),
    ({"warp_edge_limit": {}}, r"warp_edge_limit: no role reads it; did you mean warp_edge_limits\?"),
    ({"warp_firewall_ssh_ports": [2222]}, r"warp_firewall_ssh_ports.*expected to cover\s+this very login"),
)


# What is not as the variables say on a host, and what the check says of it.
NOT_THERE = (
    (
        {"warp_common_python": "/usr/bin/python9", "warp_common_wheelhouse": "/srv/nothing"},
        (
            r"warp_common_python: expected Python 3\.11 to 3\.14 .*got /usr/bin/python9 \(No such file or directory\)",
            r"warp_common_wheelhouse: expected a directory on this host, got /srv/nothing",
        ),
    ),
    (
        {"warp_edge_http_port": 8081, "warp_edge_dns_listen": ["192.0.2.9:53"]},
        (
            r"warp_edge_http_port: tcp port 8081 of 0\.0\.0\.0 is taken by somebody\.service",
            r"warp_edge_dns_listen: expected an address of this host, got 192\.0\.2\.9",
        ),
    ),
)


class DeployTests(FleetTestCase):
    """Tests for `site.yml`."""

    def setUp(self) -> None:
        self.fleet = deployment()
        self.hosts = self.fleet.hosts

    def test_check_on_fresh_hosts(self) -> None:
        """`--check --diff` on hosts that have nothing ends without a failure."""
        run = self.fleet.runs["check"]
        self.assertEqual(run.returncode, 0, run.output)
        self.assertEqual({host: run.counts[host]["failed"] for host in EVERYBODY}, dict.fromkeys(EVERYBODY, 0))

    def test_first_run(self) -> None:
        """One command deploys every host."""
        note("fresh deployment of four hosts", self.fleet.runs["first"].seconds)
        for host in EVERYBODY:
            counts = self.fleet.runs["first"].counts[host]
            self.assertGreater(counts["changed"], 0, host)
            self.assertEqual((counts["failed"], counts["unreachable"]), (0, 0), host)

    def test_second_run_changes_nothing(self) -> None:
        """The same command again reports no change on any host."""
        run = self.fleet.runs["second"]
        note("second run", run.seconds)
        changed = {host: run.counts[host]["changed"] for host in EVERYBODY}
        self.assertEqual(changed, dict.fromkeys(EVERYBODY, 0), run.output)

    def test_wrong_variables(self) -> None:
        """A variable that is wrong is named, with what was expected, before any host changes."""
        for variables, expected in WRONG:
            # That one host's mistake stops the others, too, is seen with those before them.
            only_edge = any(name in ("warp_edge_limits", "warp_edge_timeouts", "warp_edge_limit") for name in variables)
            run = self.fleet.play("site.yml", *(("--limit=edges",) if only_edge else ()), variables=variables)
            text = re.sub(r"\s+", " ", run.output)
            self.assertNotEqual(run.returncode, 0, variables)
            self.assertRegex(text, expected.replace(r"\s+", " "))
            self.assertEqual(run.changes, [], variables)

    def test_wrong_hosts(self) -> None:
        """What a host has not, or somebody has already, is told by the check, all of it, and with whose it is."""
        listen = "import socket, time; server = socket.create_server(('0.0.0.0', 8081)); time.sleep(300)"
        self.addCleanup(self.hosts.execute, "edge1", "systemctl", "stop", "somebody.service")
        self.hosts.execute("edge1", "systemd-run", "--quiet", "--unit=somebody", "python3", "-c", listen)
        for variables, sentences in NOT_THERE:
            run = self.fleet.play("playbooks/check.yml", "--limit=edges", "--tags=always", variables=variables)
            text = re.sub(r"\s+", " ", run.output)
            self.assertEqual(run.returncode, 2, text)
            for sentence in sentences:
                self.assertRegex(text, sentence)

    def test_units_are_hardened(self) -> None:
        """`systemd-analyze security` gives every unit 2.0 or less."""
        for host, units in UNITS.items():
            for unit in units:
                text = self.hosts.execute(host, "systemd-analyze", "security", "--no-pager", unit)
                found = re.search(r"Overall exposure level for \S+: ([\d.]+)", text)
                assert found is not None, text
                self.assertLessEqual(float(found[1]), 2.0, unit)

    def test_services_have_users_of_their_own(self) -> None:
        """Each service runs as a user without a shell, notifies systemd, is watched, and may at most bind low ports."""
        for host, services in SERVICES.items():
            for service in services:
                shown = self.hosts.execute(
                    host, "systemctl", "show", "--property=Type,User,WatchdogUSec,MainPID,NotifyAccess", service
                )
                unit = dict(line.split("=", 1) for line in shown.splitlines())
                silence = "20s" if service == "warp-edge" else "10s"
                self.assertEqual((unit["Type"], unit["WatchdogUSec"]), ("notify", silence), service)
                shell = self.hosts.execute(host, "getent", "passwd", unit["User"]).strip().rsplit(":", 1)[1]
                self.assertEqual(shell, "/usr/sbin/nologin")
                status = self.hosts.execute(host, "cat", f"/proc/{unit['MainPID']}/status")
                for line in re.findall(r"^Cap(?:Inh|Prm|Eff|Bnd|Amb):\s+(\w+)$", status, re.MULTILINE):
                    self.assertEqual(int(line, 16) & ~CAP_NET_BIND_SERVICE, 0, f"{service}: {status}")

    def groups(self, service: str) -> set[str]:
        """Return the names of the groups that a service's process is in."""
        pid = self.hosts.execute("edge1", "systemctl", "show", "--value", "--property=MainPID", service).strip()
        status = self.hosts.execute("edge1", "cat", f"/proc/{pid}/status")
        numbers = [
            number for line in re.findall(r"^(?:Gid|Groups):(.*)$", status, re.MULTILINE) for number in line.split()
        ]
        lines = self.hosts.execute("edge1", "getent", "group", *numbers).splitlines()
        return {line.split(":", 1)[0] for line in lines}

    def test_each_reads_what_is_its_own(self) -> None:
        """DNS reads the records, no admin socket and no key of visitors'; those are for the edge's process alone."""
        self.assertEqual(self.groups("warp-dns"), {"warp-dns"})
        self.assertEqual(self.groups("warp-edge"), {"warp-edge", "warp-certificates"})
        members = self.hosts.execute("edge1", "getent", "group", "warp-certificates").strip()
        self.assertEqual(members.rsplit(":", 1)[1], "")
        as_dns = "setpriv --reuid=warp-dns --regid=warp-dns --clear-groups "
        records = "/run/warp-edge-records/records.sock"
        key = self.hosts.execute("edge1", "sh", "-c", "ls /etc/warp/certificates/*.key").split()[0]
        for command, may in (
            (f"test -w {records}", True),
            ("test -w /run/warp-edge/admin.sock", False),
            (f"test -r {key}", False),
            ("test -x /etc/warp/certificates", False),
        ):
            said = self.hosts.execute("edge1", "sh", "-c", f"{as_dns}{command} && echo yes || echo no").strip()
            self.assertEqual(said, "yes" if may else "no", command)

    def test_existing_deployment_is_moved(self) -> None:
        """Where the edge's group read the keys, one run gives them to their own, and visitors are served throughout."""
        for command in (
            "rm -r /etc/systemd/system/warp-edge.service.d",
            "chgrp -R warp-edge /etc/warp/certificates",
            "groupdel warp-certificates",
            "systemctl daemon-reload",
            "systemctl restart warp-edge",
        ):
            self.hosts.execute("edge1", "sh", "-c", command)
        self.assertEqual(self.groups("warp-edge"), {"warp-edge"})
        checked = self.fleet.play("site.yml", "--limit=edges", "--tags=warp_certificates", "--check")
        self.assertEqual(checked.returncode, 0, checked.output)
        self.fleet.play("site.yml", "--limit=edges", "--tags=warp_certificates").check()
        self.test_each_reads_what_is_its_own()
        self.hosts.execute("edge1", "systemctl", "reload", "warp-edge")
        journal = self.hosts.execute("edge1", "journalctl", "--no-pager", "--output=cat", "--unit=warp-edge")
        self.assertNotIn("a certificate is not used", journal)
        again = self.fleet.play("site.yml", "--limit=edges", "--tags=warp_certificates")
        self.assertEqual(again.counts["edge1"]["changed"], 0, again.output)

    def test_memory(self) -> None:
        """Each service is content with little memory, all its processes and their share of shared pages included."""
        for host, services in ALL_SERVICES.items():
            for service in services:
                group = self.hosts.execute(host, "systemctl", "show", "--value", "--property=ControlGroup", service)
                processes = self.hosts.execute(host, "cat", f"/sys/fs/cgroup{group.strip()}/cgroup.procs").split()
                rollups = self.hosts.execute(host, "cat", *(f"/proc/{pid}/smaps_rollup" for pid in processes))
                found = re.findall(r"^Pss:\s+(\d+) kB$", rollups, re.MULTILINE)
                self.assertEqual(len(found), len(processes), rollups)
                mebibytes = sum(map(int, found)) / 1024
                note(f"MiB of {service} on {host}", mebibytes)
                self.assertLess(mebibytes, MOST_MEMORY_MIB, service)

    def test_logs_are_json(self) -> None:
        """What a service writes to the journal is a line of JSON each, with time, level and message."""
        for host, services in SERVICES.items():
            for service in services:
                text = self.hosts.execute(
                    host, "journalctl", "--no-pager", "--output=cat", f"--unit={service}", "_COMM=twistd"
                )
                lines = [json.loads(line) for line in text.splitlines()]
                self.assertTrue(any("starting up" in line.get("message", "") for line in lines), service)
                log = [line for line in lines if "level" in line]
                self.assertEqual([line for line in log if not {"at", "level", "message"} <= line.keys()], [])
                bad = [line for line in log if line["level"] in ("error", "critical")]
                self.assertEqual(bad, [], service)

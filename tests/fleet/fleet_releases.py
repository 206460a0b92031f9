"""No run stops what runs for something that does not start: releases, configurations, and DNS without an edge."""

from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import ZONE, deployment

EDGE_UNITS = ("warp-edge-http.socket", "warp-edge-https.socket", "warp-edge-tunnel.socket", "warp-edge.service")
CONFIGURE = ("site.yml", "--tags=warp_configure")
# A release that finds the configuration good, and whose edge raises when it starts.
BROKEN = """#!/bin/sh
case "$*" in *--check* | *warp-dns*) exec {good}/bin/twistd "$@" ;; esac
echo "this release raises when it starts" >&2
exit 1
"""


class ReleaseTests(FleetTestCase):
    """Tests for runs that do not install."""

    def setUp(self) -> None:
        self.fleet = deployment()
        self.hosts = self.fleet.hosts

    def shown(self, host: str, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.hosts.execute(host, "systemctl", "show", "--value", f"--property={name}", unit).strip()

    def release(self, host: str, unit: str) -> str:
        """Return the directory of the release that a unit runs."""
        return self.shown(host, unit, "ExecStart").split()[1].removeprefix("path=").rpartition("/bin/")[0]

    def processes(self) -> dict[str, str]:
        """Return the main processes of edge, DNS and an agent."""
        units = (("edge1", "warp-edge"), ("edge1", "warp-dns"), ("origin1", "warp-agent@main"))
        return {unit: self.shown(host, unit, "MainPID") for host, unit in units}

    def serves(self) -> bool:
        """Whether visitors are served."""
        return self.fleet.visit(f"https://app.{ZONE}/").startswith("origin")

    def test_changed_checkout(self) -> None:
        """A line more in the checkout is another release; a run that installs none names the one that is installed."""
        readme = self.fleet.checkout / "README.md"
        self.addCleanup(readme.write_text, readme.read_text())
        readme.write_text(f"{readme.read_text()}\nOne line more.\n")
        before, release = self.processes(), self.release("edge1", "warp-edge")
        run = self.fleet.play(*CONFIGURE).check()
        self.assertEqual(run.changes, [])
        self.assertEqual(self.processes(), before)
        self.assertEqual(self.release("edge1", "warp-edge"), release)

    def test_installed_release_is_not_there(self) -> None:
        """A host whose release is not whole is refused before it changes, and what runs there runs on."""
        before = self.processes()
        move = 'for mark in /opt/warp/releases/*/{}; do mv "$mark" "${{mark%/*}}/{}"; done'
        self.addCleanup(self.hosts.execute, "edge1", "sh", "-c", move.format(".away", ".complete"))
        self.hosts.execute("edge1", "sh", "-c", move.format(".complete", ".away"))
        run = self.fleet.play(*CONFIGURE, "--limit=edges")
        self.assertIn("expected a release that is installed on edge1", " ".join(run.output.split()))
        self.assertEqual((run.returncode, run.counts["edge1"]["changed"]), (2, 0))
        self.assertEqual(self.processes(), before)

    def test_installed_release_refuses(self) -> None:
        """What the release on the host refuses is neither written nor started, for edges and for agents."""
        before = self.processes()
        for host, path, said in (
            ("edge1", "/etc/warp/ca/edge1.pem", "ca.certificate"),
            ("origin1", "/var/lib/warp-agent/main/chain.pem", "warp_agent_instances, main: state"),
        ):
            self.hosts.execute(host, "cp", "-a", path, f"{path}.away")
            self.addCleanup(self.hosts.execute, host, "sh", "-c", 'test ! -e "$0.away" || mv "$0.away" "$0"', path)
            self.hosts.execute(host, "sh", "-c", 'echo nonsense >"$0"', path)
            run = self.fleet.play(*CONFIGURE, f"--limit={host}")
            self.assertIn(said, " ".join(run.output.split()))
            self.assertIn("which is installed on", " ".join(run.output.split()))
            self.assertEqual((run.returncode, run.counts[host]["changed"]), (2, 0), run.output)
            self.hosts.execute(host, "mv", f"{path}.away", path)
        self.assertEqual(self.processes(), before)

    def test_release_that_does_not_start(self) -> None:
        """An edge that raises with another release gets its unit back, serves, and the run says so."""
        good = self.release("edge1", "warp-edge")
        broken = "/opt/warp/releases/broken"
        self.addCleanup(self.hosts.execute, "edge1", "rm", "-rf", broken)
        self.hosts.install("edge1", f"{broken}/bin/twistd", BROKEN.format(good=good))
        self.hosts.execute("edge1", "chmod", "755", f"{broken}/bin/twistd")
        run = self.fleet.play(*CONFIGURE, "--limit=edges", variables={"warp_edge_venv": broken})
        said = " ".join(run.output.split())
        self.assertEqual(run.returncode, 2, run.output)
        self.assertIn("warp-edge.service did not come up: this release raises when it starts", said)
        self.assertIn("It was given back the files that it last came up with, and runs as before", said)
        self.assertEqual(self.shown("edge1", "warp-edge", "ActiveState"), "active")
        self.assertEqual(self.release("edge1", "warp-edge"), good)
        self.fleet.wait("service as before", self.serves)
        self.fleet.play(*CONFIGURE, "--limit=edges").check()
        self.assertEqual({self.release("edge1", unit) for unit in ("warp-edge", "warp-dns")}, {good})

    def test_dns_without_an_edge(self) -> None:
        """DNS that starts without an edge answers what the zone holds by itself; one run brings the edge back."""
        self.hosts.execute("edge1", "systemctl", "stop", *EDGE_UNITS, "warp-dns")
        self.addCleanup(self.hosts.execute, "edge1", "systemctl", "start", *EDGE_UNITS, "warp-dns")
        self.hosts.execute("edge1", "systemctl", "start", "warp-dns")
        address = self.hosts.address("edge1")
        self.assertEqual(len(self.fleet.dig(address, ZONE, "SOA")), 1)
        self.assertIn(f"ns-edge1.{ZONE}.", self.fleet.dig(address, ZONE, "NS"))
        self.assertEqual(self.fleet.dig(address, f"ns-edge1.{ZONE}", "A"), [address])
        self.fleet.play(*CONFIGURE, "--limit=edges").check()
        self.fleet.wait("service after the run", self.serves)

"""A canary release by `playbooks/canary.yml`: a good one ends at 100 %, a bad one is taken back."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.fleet.application import SICK
from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import ZONE, Run, deployment

HOSTNAME = f"app.{ZONE}"
LOAD = Path(__file__).with_name("load.py")
RATE, LOAD_SECONDS = 20, 900  # it is ended before
POLICY = f"""routing:
  - hostname: {HOSTNAME}
    split:
      - {{selector: release=canary, weight: 1}}
      - {{selector: "", weight: 99}}
    guard: {{selector: release=canary, error_ratio: 5%, over: 10s, minimum: 20}}
"""
CANARY = {"warp_canary_hostname": HOSTNAME, "warp_canary_hosts": ["origin2"], "warp_canary_seconds": 10}


def words(run: Run) -> str:
    """Return what a run printed in one line, as Ansible breaks its own wherever they are long."""
    return " ".join(run.output.split())


class CanaryTests(FleetTestCase):
    """Tests for `canary.yml`, with visitors."""

    def setUp(self) -> None:
        self.fleet = deployment()
        self.addCleanup(self.put_back)
        self.fleet.hosts.install("edge1", "/run/canary.yaml", POLICY)
        self.fleet.hosts.execute("edge1", "warp", "policy", "apply", "/run/canary.yaml")
        address = self.fleet.hosts.address("edge1")
        load = (sys.executable, str(LOAD), address, HOSTNAME, str(RATE), f"--seconds={LOAD_SECONDS}")
        self.load = subprocess.Popen(self.fleet.hosts.beside(*load), stdout=subprocess.DEVNULL)

    def put_back(self) -> None:
        """End the visitors, and leave the fleet without policy and labels."""
        self.load.kill()
        self.load.wait()
        hosts = self.fleet.hosts
        hosts.execute("origin2", "rm", "-f", SICK)
        hosts.execute("edge1", "sh", "-c", "echo '{}' >/run/open.yaml && warp policy apply /run/open.yaml")
        self.fleet.play("site.yml", "--limit=origins", "--tags=warp_agent").check()

    def play(self, *arguments: str, **variables: object) -> Run:
        """Run the playbook."""
        return self.fleet.play("playbooks/canary.yml", *arguments, variables=CANARY | variables)

    def split(self) -> dict[str, Any]:
        """Return how the hostname is split."""
        (found,) = json.loads(self.fleet.hosts.execute("edge1", "warp", "route", "show", HOSTNAME, "--json"))
        return dict(found)

    def part(self) -> float:
        """Return what the canary should get."""
        return float(self.split()["shares"][0]["part"])

    def answering(self) -> set[str]:
        """Return which origins answer."""
        return {self.fleet.visit(f"http://{HOSTNAME}/").split()[0] for _ in range(10)}

    def test_good_and_bad(self) -> None:
        """
        In check mode a run says what it would do. A good canary goes from step to step, and a run that was cut short is
        taken up by the next, up to 100 %. A bad one is taken back, and the run fails with the reason.
        """
        check = self.play("--check", warp_canary_steps=[50, 100]).check()
        self.assertIn("release=canary of app.warp.test would go from 1 % to 50 %", words(check))
        self.assertEqual((self.part(), self.split()["shares"][0]["tunnels"]), (0.01, 0))

        begun = self.play(warp_canary_steps=[50]).check()
        self.assertIn("release=canary of app.warp.test has 50 %: errors 0.0%", words(begun))
        self.assertEqual(self.part(), 0.5)
        finished = self.play(warp_canary_steps=[10, 50, 100]).check()
        self.assertIn("release=canary of app.warp.test has 50 % already", words(finished))
        self.assertEqual((self.part(), self.answering()), (1.0, {"origin2"}))
        self.assertEqual([finished.counts[origin]["changed"] for origin in ("origin1", "origin2")], [0, 0])

        self.fleet.hosts.execute("edge1", "warp", "route", "reset", HOSTNAME)
        self.fleet.hosts.execute("origin2", "touch", SICK)
        bad = self.play(warp_canary_steps=[50, 100])
        self.assertNotEqual(bad.returncode, 0)
        self.assertIn(f"the guard of {HOSTNAME} found release=canary worse than the others (errors ", words(bad))
        self.assertEqual((self.part(), self.answering()), (0.0, {"origin1"}))
        again = self.play(warp_canary_steps=[50, 100])
        self.assertNotEqual(again.returncode, 0)
        self.assertIn(f"When it is mended, run warp route reset {HOSTNAME} on the edge", words(again))

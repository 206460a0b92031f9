"""Tests of the playbooks as files: that Ansible takes each, and that each says how it is called."""

import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.roles.playing import PATIENCE, environment, play, program
from tests.roles.tree import PLAYBOOKS, ROOT


class PlaybookTests(SynchronousTestCase):
    """Every playbook."""

    def test_syntax(self) -> None:
        """Ansible takes each playbook, and finds the roles and filters that it names."""
        playbooks = [str(path) for path in (ROOT / "site.yml", *PLAYBOOKS)]
        inventory = ("--inventory", str(ROOT / "inventory.example"))
        directory = Path(self.mktemp())
        directory.mkdir()
        done = subprocess.run(
            [program(), "--syntax-check", *inventory, *playbooks],
            cwd=directory,
            env=environment(directory / "results"),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertEqual([name for name in playbooks if f"playbook: {name}" not in done.stdout], [])

    def test_how_to_call(self) -> None:
        """Each playbook opens with a comment that has its call."""
        for path in PLAYBOOKS:
            head = path.read_text().split("\n- ", 1)[0]
            self.assertRegex(head, rf"(?s)^---\n# .*ansible-playbook playbooks/{path.name}\b")


class CheckTests(SynchronousTestCase):
    """playbooks/check.yml, with which the others begin."""

    def test_variables_of_the_fleet(self) -> None:
        """What belongs to no role is refused by its name too, before a wheel is built or a host is asked anything."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        hosts = directory / "hosts"
        hosts.write_text(
            "[edges]\nedge1.one.example ansible_host=192.0.2.1\nedge1.two.example\n"
            "[all:vars]\nwarp_zone=Warp.example\nwarp_other_names=['shop.example.org.']\nansible_become=false\n"
        )
        run = play(directory, ROOT / "playbooks/check.yml", "--inventory", str(hosts))
        last = [each for each in run.results if each.task == "Validate the fleet's variables"]
        said = {turn["msg"] for each in last for turn in each.turns() if turn.get("failed")}
        wrong = "expected IPv4 and IPv6 addresses, or else one as ansible_host, got ['edge1.two.example']"
        self.assertIn(f"warp_addresses: {wrong}", said)
        self.assertEqual(
            sorted(text.split(":")[0] for text in said),
            ["edges", "names of hosts", "warp_addresses", "warp_other_names", "warp_zone"],
        )
        self.assertEqual(run.results[-len(last) :], tuple(last))

    def test_misspelt_variable(self) -> None:
        """A variable that no role reads is refused on each host that has it, wherever the inventory sets it."""
        directory = Path(self.mktemp()).absolute()
        (directory / "group_vars").mkdir(parents=True)
        (directory / "group_vars/edges.yml").write_text("warp_edge_limit: {connections: 5}\n")
        (directory / "hosts").write_text(
            "[edges]\nedge1 ansible_host=192.0.2.1\n"
            "[all:vars]\nwarp_zone=warp.example\nwarp_othernames=[]\nansible_become=false\n"
        )
        run = play(directory, ROOT / "playbooks/edges.yml", "--inventory", str(directory / "hosts"))
        self.assertEqual(
            run.named("Stop if a variable is misspelt").returned["msg"],
            "warp_edge_limit: no role reads it; did you mean warp_edge_limits?; "
            "warp_othernames: no role reads it; did you mean warp_other_names?",
        )
        self.assertTrue(run.results[-1].failed)

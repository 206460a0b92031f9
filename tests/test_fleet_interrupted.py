"""Tests for runs of playbooks that lose their controller: the chain of runs, and what ends it."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.fleet.deployment import Run
from tests.fleet.interrupted import KILLED, interrupt
from tests.roles.playing import program

HERE = Path(__file__).parent


def run(returncode: int, output: str = "") -> Run:
    """Return a run that came to this."""
    return Run(returncode=returncode, output=output, seconds=0.0, counts={})


class InterruptTests(SynchronousTestCase):
    """Tests for `interrupt`, with plays that are none."""

    def chain(self, runs: list[Run], *, is_well: bool = True, most: int = 10) -> tuple[list[str], str]:
        """Interrupt a play that comes to these runs, one after the other; note which of them were to be killed."""
        left = iter(runs)
        self.armed: list[bool] = []

        def play(environment: Mapping[str, str]) -> Run:
            self.armed.append(environment.get("WARP_INTERRUPT_AFTER") == "1")
            return next(left)

        return interrupt(play, lambda: is_well, most=most)

    def test_until_nothing_is_left(self) -> None:
        """Each run is killed after its first change, until one ends by itself."""
        runs = [run(KILLED, "\nkilled after: a on x\n"), run(KILLED, "\nkilled after: b on x\n"), run(0)]
        self.assertEqual(self.chain(runs), (["a on x", "b on x"], ""))
        self.assertEqual(self.armed, [True, True, True])

    def test_run_that_fails(self) -> None:
        """A run that fails after one that was killed is what is looked for: what it said is told."""
        killed, wrong = self.chain([run(KILLED, "\nkilled after: a on x\n"), run(2, "no such file")])
        self.assertEqual(killed, ["a on x"])
        self.assertRegex(wrong, "after .'a on x'. exited 2: no such file")

    def test_not_as_it_should_be(self) -> None:
        """A run that goes well does not do, if the host is not as it should be then."""
        self.assertIn("not as it should be", self.chain([run(0)], is_well=False)[1])

    def test_most(self) -> None:
        """After as many as are said the next run is left to end."""
        runs = [run(KILLED, "\nkilled after: a on x\n"), run(0)]
        self.assertEqual(self.chain(runs, most=1), (["a on x"], ""))
        self.assertEqual(self.armed, [True, False])


class PluginTests(SynchronousTestCase):
    """Tests for the plugin, in a real run."""

    def test_killed_after_a_change(self) -> None:
        """The run dies of SIGKILL right after the change that was said, and not of what changed nothing."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        (directory / "play.yml").write_text(
            "- hosts: localhost\n  connection: local\n  gather_facts: false\n  tasks:\n"
            "    - {name: looks, ansible.builtin.debug: {msg: x}}\n"
            "    - {name: first, ansible.builtin.copy: {content: x, dest: one, mode: '0644'}}\n"
            "    - {name: second, ansible.builtin.copy: {content: x, dest: two, mode: '0644'}}\n"
        )
        done = subprocess.run(
            [program(), "play.yml"],
            cwd=directory,
            env={
                **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
                "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "fleet/callback"),
                "ANSIBLE_CALLBACKS_ENABLED": "interrupt",
                "ANSIBLE_LOCAL_TEMP": str(directory / "ansible"),
                "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
                "WARP_INTERRUPT_AFTER": "1",
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
        self.assertIn("\nkilled after: first on localhost\n", done.stdout)
        self.assertEqual([(directory / name).exists() for name in ("one", "two")], [True, False])

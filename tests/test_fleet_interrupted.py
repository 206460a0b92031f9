"""Tests for runs of playbooks that lose their controller: the chain of runs, and what ends it."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.fleet.deployment import Run
from tests.fleet.interrupted import KILLED, Chain, interrupt
from tests.roles.playing import program

HERE = Path(__file__).parent


def run(returncode: int, output: str = "") -> Run:
    """Return a run that came to this."""
    return Run(returncode=returncode, output=output, seconds=0.0, counts={})


class InterruptTests(SynchronousTestCase):
    """Tests for `interrupt`, with plays that are none."""

    def chain(self, runs: list[Run], *, is_well: bool = True, most: int = 10) -> Chain:
        """Interrupt a play that comes to these runs, one after the other; note after what each was not to be killed."""
        left = iter(runs)
        self.not_after: list[str | None] = []

        def play(environment: Mapping[str, str]) -> Run:
            self.not_after.append(environment.get("WARP_INTERRUPT_NOT_AFTER"))
            return next(left)

        return interrupt(play, lambda: is_well, most=most)

    def test_until_one_ends(self) -> None:
        """Each run is killed after a change by a task that killed none before, until one ends by itself."""
        runs = [
            run(KILLED, "\nkilled after: a on x\n"),
            run(KILLED, "\ndone again: a on x\n\nkilled after: b on x\n"),
            run(0),
        ]
        self.assertEqual(self.chain(runs), Chain(killed_after=["a on x", "b on x"], again={"a on x"}))
        self.assertEqual(self.not_after, ["", "a on x", "a on x\nb on x"])

    def test_run_that_fails(self) -> None:
        """A run that fails after one that was killed is what is looked for: what it said is told."""
        chain = self.chain([run(KILLED, "\nkilled after: a on x\n"), run(2, "no such file")])
        self.assertEqual(chain.killed_after, ["a on x"])
        self.assertRegex(chain.wrong, "after .'a on x'. exited 2: no such file")

    def test_not_as_it_should_be(self) -> None:
        """A run that goes well does not do, if the host is not as it should be then."""
        self.assertIn("not as it should be", self.chain([run(0)], is_well=False).wrong)

    def test_most(self) -> None:
        """After as many as are said the next run is left to end."""
        runs = [run(KILLED, "\nkilled after: a on x\n"), run(0)]
        self.assertEqual(self.chain(runs, most=1), Chain(killed_after=["a on x"]))
        self.assertEqual(self.not_after, ["", None])


class PluginTests(SynchronousTestCase):
    """Tests for the plugin, in a real run."""

    def play(self, directory: Path, *not_after: str) -> "subprocess.CompletedProcess[str]":
        """Run a play of three tasks, the last of which always changes something."""
        directory.mkdir(exist_ok=True)
        (directory / "play.yml").write_text(
            "- name: All\n  hosts: localhost\n  connection: local\n  gather_facts: false\n  tasks:\n"
            "    - {name: looks, ansible.builtin.debug: {msg: x}}\n"
            "    - {name: first, ansible.builtin.copy: {content: x, dest: one, mode: '0644'}}\n"
            "    - {name: second, ansible.builtin.command: {argv: [touch, two]}}\n"
        )
        return subprocess.run(
            [program(), "play.yml"],
            cwd=directory,
            env={
                **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
                "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "fleet/callback"),
                "ANSIBLE_CALLBACKS_ENABLED": "interrupt",
                "ANSIBLE_LOCAL_TEMP": str(directory / "ansible"),
                "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
                "WARP_INTERRUPT_NOT_AFTER": "\n".join(not_after),
            },
            capture_output=True,
            text=True,
            timeout=120,
        )

    def test_killed_after_a_change(self) -> None:
        """The run dies of SIGKILL right after a change by a task that it was not told of, and else comes to its end."""
        directory = Path(self.mktemp()).absolute()
        done = self.play(directory)
        self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
        self.assertIn("\nkilled after: All: first on localhost\n", done.stdout)
        self.assertEqual([(directory / name).exists() for name in ("one", "two")], [True, False])

        done = self.play(directory, "All: first on localhost")
        self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
        self.assertIn("\nkilled after: All: second on localhost\n", done.stdout)
        self.assertNotIn("done again", done.stdout)

        done = self.play(directory, "All: first on localhost", "All: second on localhost")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("\ndone again: All: second on localhost\n", done.stdout)

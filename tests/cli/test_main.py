"""Tests of `warp_twisted.cli.main`: commands are found when called, and each failure is a line and an exit status."""

import os
import resource
import subprocess
import sys

import click
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoke import invoke
from warp_twisted import __version__
from warp_twisted.cli.main import warp
from warp_twisted.errors import WarpError


class _Refused(WarpError):
    """The thing
    was refused."""

    exit_code = 7


def _command(error: BaseException) -> click.Command:
    def fail() -> None:
        raise error

    return click.Command("fail", callback=fail)


class TableTests(SynchronousTestCase):
    """The table of commands."""

    def test_sentence_is_the_commands_own(self) -> None:
        """What `warp --help` says of a command is what the command says of itself."""
        context = click.Context(warp)
        for name in warp.list_commands(context):
            command = warp.get_command(context, name)
            assert command is not None
            self.assertEqual(command.name, name)
            self.assertEqual(command.get_short_help_str(limit=200), warp._table[name][1], name)

    def test_each_command_has_help_with_examples(self) -> None:
        """Every command, also inside groups, explains itself and shows an example that begins with `warp`."""
        for path, command in _walk(warp, "warp"):
            ran = invoke(*path.split()[1:], "--help")
            self.assertEqual(ran.status, 0, path)
            self.assertNotRegex(ran.output, r"[a-z]\.\.\.\n", path)  # a sentence that click cut off
            if isinstance(command, click.Group) or path == "warp version":
                continue
            self.assertRegex(ran.output, rf"Examples?:\n(.*\n)*?.*\b{path}\b", path)

    def test_help_imports_no_command(self) -> None:
        """`warp --help` and completion stay quick, because they import neither Twisted nor cryptography nor rich."""
        script = (
            "import sys; from warp_twisted.cli.main import run; run(['--help']); "
            "print([name for name in ('twisted', 'cryptography', 'rich') if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout.splitlines()[-1], "[]")

    def test_help_is_quick(self) -> None:
        """The best of five runs of `warp --help` takes less than 0.3 s of CPU, whatever the load."""
        times = []
        for _ in range(5):
            began = self.children_cpu()
            subprocess.run([sys.executable, "-m", "warp_twisted.cli", "--help"], stdout=subprocess.DEVNULL, check=True)
            times.append(self.children_cpu() - began)
        self.assertLess(min(times), 0.3)

    def children_cpu(self) -> float:
        """Return the CPU time of processes that this one has waited for, in seconds."""
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime


class FailureTests(SynchronousTestCase):
    """How commands end."""

    def fail_with(self, error: BaseException) -> tuple[int, str]:
        """Run a command that raises, and return exit status and standard error."""
        name = "fail"
        self.patch(warp, "_table", {name: ("nowhere:fail", "Fails.")})
        self.patch(warp, "get_command", lambda context, _: _command(error))
        ran = invoke(name)
        self.assertEqual(ran.output, "")
        return ran.status, ran.errors

    def test_warp_error_is_one_line(self) -> None:
        """An error of Warp's ends with its own status and its message on one line."""
        self.assertEqual(self.fail_with(_Refused()), (7, "warp: The thing was refused\n"))

    def test_error_of_the_system_names_the_file(self) -> None:
        """A file that cannot be used is named."""
        error = PermissionError(13, "Permission denied", "/etc/warp/edge.yaml")
        self.assertEqual(self.fail_with(error), (1, "warp: /etc/warp/edge.yaml: Permission denied\n"))

    def test_interruption(self) -> None:
        """Ctrl-C ends with the shells' status for it, and without a word."""
        status, errors = self.fail_with(KeyboardInterrupt())
        self.assertEqual((status, errors.strip()), (130, ""))

    def test_wrong_call_says_where_help_is(self) -> None:
        """A wrong option or command ends with 2 and tells which help to read."""
        ran = invoke("ca", "init", "--nope")
        self.assertEqual(ran.status, 2)
        self.assertRegex(ran.errors, r"^warp: No such option.*; see warp ca init --help\n$")
        ran = invoke("statis")
        self.assertEqual(
            (ran.status, ran.errors), (2, "warp: No such command 'statis'; did you mean status?; see warp --help\n")
        )
        self.assertEqual(invoke("nope").status, 2)

    def test_nothing_shows_help(self) -> None:
        """`warp` alone shows help and ends with 2, as a call without a command does nothing."""
        ran = invoke()
        self.assertEqual(ran.status, 2)
        self.assertIn("Commands:", ran.output)

    def test_reader_that_leaves(self) -> None:
        """A closed pipe, as `| head` makes one, ends the command without a traceback."""
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            [sys.executable, "-m", "warp_twisted.cli", "--help"], stdout=write, stderr=subprocess.PIPE, text=True
        )
        os.close(write)
        self.assertEqual((done.returncode, done.stderr), (1, ""))


class VersionTests(SynchronousTestCase):
    """`warp version`."""

    def test_both_spellings(self) -> None:
        """Command and option print the same."""
        self.assertEqual(invoke("version").output, f"warp {__version__}\n")
        self.assertEqual(invoke("--version").output, f"warp {__version__}\n")


class CompletionTests(SynchronousTestCase):
    """`warp completion`."""

    def test_scripts(self) -> None:
        """Each shell gets a script that asks the command."""
        for shell in ("bash", "zsh", "fish"):
            ran = invoke("completion", shell)
            self.assertEqual(ran.status, 0)
            self.assertIn("_WARP_COMPLETE", ran.output)

    def test_completes_commands(self) -> None:
        """What the script asks for is answered from the table."""
        environment = {**os.environ, "_WARP_COMPLETE": "bash_complete", "COMP_WORDS": "warp st", "COMP_CWORD": "1"}
        done = subprocess.run(
            [sys.executable, "-m", "warp_twisted.cli"], env=environment, capture_output=True, text=True
        )
        self.assertEqual(done.stdout, "plain,status\n")


def _walk(group: click.Group, path: str) -> list[tuple[str, click.Command]]:
    context = click.Context(group)
    found: list[tuple[str, click.Command]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append((f"{path} {name}", command))
        if isinstance(command, click.Group):
            found += _walk(command, f"{path} {name}")
    return found

"""
The `warp` group: which commands there are, and how every failure ends.

A command's module is imported when it is called, so that `warp --help` and shell completion stay quick; the
table below holds the sentence that `--help` shows for it. Whatever goes wrong becomes one line on standard
error, `warp: what is wrong; what to do`, and an exit status: 1 it failed, 2 it was called wrongly, 3 no edge
answers, 130 interrupted.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Never

import click
from click.shell_completion import CompletionItem

from warp_twisted import __version__
from warp_twisted.cli.errors import sentence
from warp_twisted.cli.output import say
from warp_twisted.errors import WarpError

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class Group(click.Group):
    """A group that imports a command when it is called, and shows help without importing any."""

    def __init__(self, name: str, *, table: dict[str, tuple[str, str]], **attributes: object) -> None:
        """
        Name the commands.

        :param table: command → (`module:attribute`, the sentence that help shows).
        """
        super().__init__(name, **attributes)  # type: ignore[arg-type]  # click's own keyword arguments
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the table, the most used first."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in self._table:
            return None
        module, _, attribute = self._table[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the one that was probably meant."""
        if args[0] not in self._table and not ctx.resilient_parsing:
            import difflib

            if near := difflib.get_close_matches(args[0], self._table, n=1):
                ctx.fail(f"No such command {args[0]!r}; did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete commands from the table, options as click does."""
        commands = [
            CompletionItem(name, help=sentence)
            for name, (_, sentence) in self._table.items()
            if name.startswith(incomplete)
        ]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence) for name, (_, sentence) in self._table.items()])


warp = Group(
    "warp",
    table={
        "up": ("warp_twisted.cli.expose.command:up", "Expose a local application."),
        "demo": ("warp_twisted.demo.command:demo", "Run a whole fleet in one process, to try Warp out."),
        "status": ("warp_twisted.cli.operate.status:status", "Show edges, tunnels and routes."),
        "token": ("warp_twisted.cli.operate.tokens:token", "Make, list and revoke join tokens."),
        "service-token": (
            "warp_twisted.cli.operate.service_tokens:service_token",
            "Make, list and revoke tokens by which programs pass the policy.",
        ),
        "hostname": (
            "warp_twisted.cli.operate.hostnames:hostname",
            "List to whom hostnames belong, and free them.",
        ),
        "agent": ("warp_twisted.cli.operate.agents:agent", "List, group and revoke enrolled agents."),
        "route": (
            "warp_twisted.cli.operate.routes:route",
            "Show and shift how hostnames are split among their tunnels.",
        ),
        "ban": ("warp_twisted.cli.operate.bans:ban", "List, make and end bans of visitors' addresses."),
        "certificate": (
            "warp_twisted.cli.operate.certificates:certificate",
            "Show, renew and revoke certificates that are ordered by ACME.",
        ),
        "policy": ("warp_twisted.cli.policy.command:policy", "Check, explain, test and apply a policy."),
        "edge": (
            "warp_twisted.cli.operate.edge:edge",
            "List the other edges of the fleet, and remove one that is gone.",
        ),
        "drain": ("warp_twisted.cli.operate.edge:drain", "Let an edge finish its work and take no more."),
        "reload": (
            "warp_twisted.cli.operate.edge:reload",
            "Let an edge read its configuration and certificates again.",
        ),
        "restart": (
            "warp_twisted.cli.operate.edge:restart",
            "Hand over to a new process of the edge; nobody is turned away.",
        ),
        "registry": ("warp_twisted.cli.operate.registry_copy:registry", "Copy the registry onto an etcd, or back."),
        "migrate": ("warp_twisted.cli.migrate.command:migrate", "Print settings of another program as agent.yaml."),
        "ca": ("warp_twisted.cli.operate.authority:ca", "Make the fleet's certificate authority."),
        "completion": ("warp_twisted.cli.completion:completion", "Print a script that completes commands in a shell."),
        "version": ("warp_twisted.cli.main:version", "Print the version."),
    },
    help="Expose applications through an edge fleet of your own, without exposing the machines they run on.",
    epilog="Start with: warp demo. Help on a command: warp COMMAND --help.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)
warp = click.version_option(__version__, message="warp %(version)s", help="Print the version.")(warp)


@click.command(short_help="Print the version.")
def version() -> None:
    """Print the version of Warp."""
    click.echo(f"warp {__version__}")


def main(arguments: Sequence[str] | None = None) -> Never:
    """
    Run the command and exit.

    :param arguments: without the program's name; those of the process unless given.
    """
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command, tell what went wrong in one line, and return the exit status."""
    try:
        status = warp.main(arguments, prog_name="warp", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.message)
        return 2
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "warp"
        return _fail(error.format_message(), f"see {path} --help", 2)
    except click.ClickException as error:
        return _fail(error.format_message(), "", error.exit_code)
    except click.Abort:
        return INTERRUPTED
    except WarpError as error:
        return _fail(sentence(error), "", getattr(error, "exit_code", 1))
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough; the interpreter must not complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _fail(sentence(error), "", 1)
    return status if isinstance(status, int) else 0


def _fail(what: str, remedy: str, code: int) -> int:
    line = " ".join(what.split()).rstrip(".")
    say(f"warp: {line}; {remedy}" if remedy else f"warp: {line}", err=True)
    return code

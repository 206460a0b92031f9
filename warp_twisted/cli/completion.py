"""`warp completion`: the scripts come from click, which asks the command itself for completions."""

import click
from click.shell_completion import get_completion_class

_WHERE = {
    "bash": 'eval "$(warp completion bash)"                            # in ~/.bashrc',
    "zsh": 'eval "$(warp completion zsh)"                             # in ~/.zshrc',
    "fish": "warp completion fish >~/.config/fish/completions/warp.fish",
}


@click.command(
    short_help="Print a script that completes commands in a shell.",
    epilog="\b\nExamples:\n" + "\n".join(f"  {line}" for line in _WHERE.values()),
)
@click.argument("shell", type=click.Choice(list(_WHERE)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that completes warp's commands and options with the tab key."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"this click cannot complete commands in {shell}", ctx)
    script = kind(ctx.find_root().command, {}, "warp", "_WARP_COMPLETE").source()
    # In fish, click splits "plain,NAME<tab>help" at every comma, and drops what follows one in the help.
    click.echo(script.replace('string split "," ', 'string split -m 1 "," '))

"""`warp drain` and `warp reload`: what an operator asks of the edge on this machine."""

import click

from warp_twisted.cli.operate.admin import ADMIN_OPTION, find_admin
from warp_twisted.cli.operate.answers import read
from warp_twisted.cli.output import JSON_OPTION, print_json, say


@click.command(
    short_help="Let an edge finish its work and take no more.",
    epilog="\b\nExamples:\n  warp drain\n  warp drain && systemctl stop warp-edge",
)
@ADMIN_OPTION
@JSON_OPTION
def drain(admin: str | None, as_json: bool) -> None:
    """
    Let an edge finish its work and take no more.

    Its names leave DNS, agents move their tunnels elsewhere, and requests that are under way finish, for at most
    timeouts.drain, or timeouts.drain_alone where no other edge is. The command does not wait for that; stopping the
    edge drains it too.
    """
    answer = find_admin(admin).post("v1", "drain")
    if as_json:
        print_json(answer)
    else:
        say("The edge is draining: it takes nothing new; warp status shows what is left.")


@click.command(
    short_help="Let an edge read its configuration and certificates again.",
    epilog="\b\nExample:\n  warp reload",
)
@ADMIN_OPTION
@JSON_OPTION
def reload(admin: str | None, as_json: bool) -> None:
    """
    Let an edge read its configuration and certificates again.

    What is wrong is refused whole, and what was running stays. Sections that only a restart applies are named.
    """
    answer = find_admin(admin).post("v1", "reload")
    if as_json:
        print_json(answer)
        return
    say("The edge has read its configuration and certificates again.")
    if waiting := read(answer, dict[str, list[str]]).get("needs_restart"):
        say(f"Waiting for a restart: {', '.join(waiting)}.")

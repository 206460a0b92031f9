"""`warp drain`, `warp reload` and `warp restart`: what an operator asks of the edge on this machine."""

import click

from warp_twisted.cli.errors import EdgeRefused, EdgeUnreachable
from warp_twisted.cli.operate.admin import ADMIN_OPTION, find_admin
from warp_twisted.cli.operate.answers import read
from warp_twisted.cli.output import JSON_OPTION, print_json, say
from warp_twisted.keeper.asking import NoKeeper, RequestFailed, ask
from warp_twisted.keeper.messages import Message

KEEPER_SOCKET = "/run/warp-edge/keeper.sock"


@click.command(
    short_help="Let an edge finish its work and take no more.",
    epilog="\b\nExamples:\n"
    "  warp drain\n"
    "  warp drain && systemctl stop 'warp-edge*.socket' warp-edge    # alone, it would be started again\n"
    "  warp restart    # takes a drain back",
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
        say(f"Waiting for a new process: {', '.join(waiting)}; warp restart starts it and turns nobody away.")


@click.command(
    short_help="Hand over to a new process of the edge; nobody is turned away.",
    epilog="\b\nExamples:\n  warp restart\n  warp restart --json | jq .seconds",
)
@click.option(
    "--keeper",
    metavar="SOCKET",
    envvar="WARP_KEEPER",
    show_envvar=True,
    default=KEEPER_SOCKET,
    help=f"The control socket of the edge's keeper. Default: {KEEPER_SOCKET}.",
)
@JSON_OPTION
def restart(keeper: str, as_json: bool) -> None:
    """
    Hand over to a new process of the edge, and wait until it serves.

    It reads the whole configuration, takes the tunnels and the listeners over, and serves; the old process finishes
    what is open, for at most timeouts.drain. If the new one does not serve, the old one goes on, and the reason is
    shown.
    """

    def show(step: str) -> None:
        if not as_json:
            say(f"{step[:1].upper()}{step[1:]}.")

    try:
        answer = ask(keeper, Message("do", "restart"), show)
    except NoKeeper as error:
        raise EdgeUnreachable(str(error)) from error
    except RequestFailed as error:
        raise EdgeRefused(str(error)) from error
    if as_json:
        print_json(
            {
                "result": answer.text("what"),
                **{name: answer.number(name) for name in ("old", "new")},
                "seconds": answer.fields["seconds"],
            }
        )
    else:
        say(f"Done in {answer.fields['seconds']} s: process {answer.number('new')} serves.")

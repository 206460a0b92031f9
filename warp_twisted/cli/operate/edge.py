"""
What an operator asks of the edge on this machine: `warp drain`, `warp reload` and `warp restart`; and `warp edge`,
about the other edges of the fleet.
"""

from collections.abc import Iterable

import click

from warp_twisted.cli.errors import EdgeRefused, EdgeUnreachable
from warp_twisted.cli.operate.admin import ADMIN_OPTION, find_admin
from warp_twisted.cli.operate.answers import Peer, read
from warp_twisted.cli.output import JSON_OPTION, print_json, print_table, say, span
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


@click.group(
    short_help="List the other edges of the fleet, and remove one that is gone.",
    epilog="\b\nExamples:\n  warp edge list\n  warp edge remove edge2",
)
def edge() -> None:
    """
    List the other edges of the fleet, and remove one that is gone.

    Edges know each other by the registry's records, and each judges by its own link with another whether that is alive.
    """


@edge.command(
    "list",
    short_help="List the other edges, as the edge on this machine sees them.",
    epilog="\b\nExamples:\n  warp edge list\n  warp edge list --json | jq '.[] | select(.alive | not)'",
)
@ADMIN_OPTION
@JSON_OPTION
def list_(admin: str | None, as_json: bool) -> None:
    """
    List the other edges, as the edge on this machine sees them.

    One that is silent is neither in DNS nor gets requests; it is dialed all the time, and back when it answers.
    """
    answer = find_admin(admin).get("v1", "peers")
    if as_json:
        print_json(answer)
    else:
        print_peers(read(answer, list[Peer]))


@edge.command(
    short_help="Forget an edge that is gone for good.",
    epilog="\b\nExample:\n  warp edge remove edge2",
)
@click.argument("name", metavar="EDGE")
@ADMIN_OPTION
@JSON_OPTION
def remove(name: str, admin: str | None, as_json: bool) -> None:
    """
    Forget an edge that is gone for good: other edges dial it no more.

    Stop it first: an edge that runs puts its record back by itself, so one that is alive is not removed. Nothing else
    has to be forgotten; its certificates are of no use without the record.
    """
    answer = find_admin(admin).delete("v1", "peers", name)
    if as_json:
        print_json(answer)
    else:
        say(f"{name} is no edge of the fleet any more.")


def print_peers(peers: Iterable[Peer]) -> None:
    """Print what an edge says of the others."""
    rows = [
        [
            each.edge,
            "silent" if not each.alive else "draining" if each.draining else "up",
            span(each.seconds),
            str(each.tunnels) if each.alive else "-",
            "-" if each.round_trip_seconds is None else f"{each.round_trip_seconds * 1000:.1f} ms",
            each.region or "-",
            each.software.removeprefix("warp ") or "-",
            ",".join(each.addresses) or "-",
            each.problem if not each.alive and each.problem else "-",
        ]
        for each in peers
    ]
    heads = ["EDGE", "STATE", "FOR", "TUNNELS", "ROUND TRIP", "REGION", "VERSION", "LINK AT", "PROBLEM"]
    print_table(heads, rows)

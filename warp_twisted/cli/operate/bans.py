"""`warp ban`: whose connections an edge turns away, and changing that."""

import click
from click.shell_completion import CompletionItem

from warp_twisted.cli.operate.admin import ADMIN_OPTION, find_admin
from warp_twisted.cli.operate.answers import BanEnded, BanMade, Banned, read
from warp_twisted.cli.operate.completing import listed_for_completion
from warp_twisted.cli.options import ban_time, network
from warp_twisted.cli.output import JSON_OPTION, print_json, print_table, say, span
from warp_twisted.policy.bans import network_text


@click.group(
    short_help="List, make and end bans of visitors' addresses.",
    epilog="\b\nExamples:\n  warp ban list\n  warp ban add 203.0.113.9 --for 1d\n  warp ban remove 203.0.113.9",
)
def ban() -> None:
    """
    List, make and end bans of visitors' addresses.

    Who is banned is turned away when it connects, before a byte of TLS. The key ban of the policy bans who keeps being
    refused; such bans are of one edge and end with it. Bans that are made here are kept in the registry, so that they
    outlive the edge and hold at every edge of it, up to 1,000: what is to last for ever belongs in sources.deny.
    """


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete networks that are banned."""
    found = listed_for_completion(ctx, "bans", list[Banned])
    return [CompletionItem(each.network, help=each.reason) for each in found if each.network.startswith(incomplete)]


@ban.command(
    "list",
    short_help="List who is banned, for how long still, and why.",
    epilog="\b\nExamples:\n  warp ban list\n  warp ban list --json | jq -r '.[].network'",
)
@ADMIN_OPTION
@JSON_OPTION
def list_(admin: str | None, as_json: bool) -> None:
    """List who is banned, for how long still, and why; the oldest ban first."""
    answer = find_admin(admin).get("v1", "bans")
    if as_json:
        print_json(answer)
        return
    rows = [[each.network, span(each.seconds_left), each.reason or "-"] for each in read(answer, list[Banned])]
    print_table(["NETWORK", "FOR", "REASON"], rows)


@ban.command(
    epilog="\b\nExamples:\n  warp ban add 203.0.113.9\n  warp ban add 2001:db8::/64 --for 1d --reason 'abuse report'"
)
@click.argument("networks", metavar="ADDRESS...", nargs=-1, required=True, type=network)
@click.option("--for", "seconds", type=ban_time, default="1h", show_default=True, metavar="TIME", help="How long.")
@click.option("--reason", default="by an operator", show_default=True, metavar="TEXT", help="Shown in the list.")
@ADMIN_OPTION
@JSON_OPTION
def add(networks: tuple[str, ...], seconds: float, reason: str, admin: str | None, as_json: bool) -> None:
    """
    Turn these addresses away, an IPv6 address with all of its /64.

    A ban that there is already is replaced. Connections that are open stay.
    """
    edge = find_admin(admin)
    for each in networks:
        answer = edge.post("v1", "bans", body={"network": each, "seconds": seconds, "reason": reason})
        if as_json:
            print_json(answer)
        else:
            made = read(answer, BanMade)
            say(f"{made.network} is banned for {span(seconds)}.")
            if made.not_kept:
                say(f"warp: {made.network}: the ban ends with this edge: {made.not_kept}", err=True)


@ban.command(epilog="\b\nExamples:\n  warp ban remove 203.0.113.9\n  warp ban remove 2001:db8::/64")
@click.argument("networks", metavar="ADDRESS...", nargs=-1, required=True, type=network, shell_complete=_complete)
@ADMIN_OPTION
@JSON_OPTION
def remove(networks: tuple[str, ...], admin: str | None, as_json: bool) -> None:
    """Let these addresses in again."""
    edge = find_admin(admin)
    for each in networks:
        answer = edge.delete("v1", "bans", each)
        if as_json:
            print_json(answer)
        else:
            was = "is banned no longer" if read(answer, BanEnded).was_banned else "was not banned"
            say(f"{network_text(each)} {was}.")

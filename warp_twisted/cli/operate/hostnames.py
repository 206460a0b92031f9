"""`warp hostname`: to which group of agents each hostname belongs, and giving one up."""

import time

import click
from click.shell_completion import CompletionItem

from warp_twisted.cli.operate.admin import ADMIN_OPTION, find_admin
from warp_twisted.cli.operate.answers import OwnedHostname, Released, read
from warp_twisted.cli.operate.completing import listed_for_completion
from warp_twisted.cli.options import hostname_pattern, share
from warp_twisted.cli.output import JSON_OPTION, instant, print_json, print_table, say, some, span
from warp_twisted.names import HostnamePattern


@click.group(
    short_help="List to whom hostnames belong, and free them.",
    epilog="\b\nExamples:\n  warp hostname list --group shop\n  warp hostname release app.warp.example",
)
def hostname() -> None:
    """
    List to whom hostnames belong, and free them.

    A hostname belongs to the agents that served it first: those whose join tokens have one share word, or of one
    token. Nobody else can serve it until it is released, its last agent is revoked, or nobody has served it for
    names.hold of edge.yaml, 7 days.
    """


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete hostnames that nobody serves, as those are what can be released."""
    found = listed_for_completion(ctx, "hostnames", list[OwnedHostname])
    free = (each for each in found if each.hostname.startswith(incomplete) and not each.served_by)
    return [CompletionItem(each.hostname, help=f"of {each.group}") for each in free]


@hostname.command(
    "list",
    short_help="List hostnames, their groups, and who serves them.",
    epilog="\b\nExamples:\n  warp hostname list\n  warp hostname list --group shop --json | jq '.[].hostname'",
)
@click.option("--group", type=share, metavar="WORD", help="Only what belongs to this group.")
@ADMIN_OPTION
@JSON_OPTION
def list_(group: str | None, admin: str | None, as_json: bool) -> None:
    """
    List the hostnames that belong to somebody, and who serves them through the edge on this machine.

    A group is the share word of its agents' join tokens, or the id of their token.
    """
    answer = [
        each
        for each in read(find_admin(admin).get("v1", "hostnames"), list[dict[str, object]])
        if group is None or each.get("group") == group
    ]
    if as_json:
        print_json(answer)
        return
    now = time.time()
    rows = [
        [
            each.hostname,
            each.group,
            instant(each.since),
            some(each.served_by) or (f"nobody for {span(now - each.away_since)}" if each.away_since else "nobody"),
        ]
        for each in read(answer, list[OwnedHostname])
    ]
    print_table(["HOSTNAME", "GROUP", "SINCE", "SERVED BY"], rows)


@hostname.command(
    epilog="\b\nExamples:\n  warp hostname release app.warp.example\n  warp hostname release '*.team.warp.example'"
)
@click.argument(
    "hostnames", metavar="HOSTNAME...", nargs=-1, required=True, type=hostname_pattern, shell_complete=_complete
)
@ADMIN_OPTION
@JSON_OPTION
def release(hostnames: tuple[HostnamePattern, ...], admin: str | None, as_json: bool) -> None:
    """
    Free these hostnames: whoever serves one next has it.

    What is served cannot be freed, as its agents would have it again at once: stop or revoke them first.
    """
    edge = find_admin(admin)
    for each in hostnames:
        answer = edge.delete("v1", "hostnames", each.text)
        if as_json:
            print_json(answer)
        else:
            say(f"{each} belongs to {read(answer, Released).group} no longer.")

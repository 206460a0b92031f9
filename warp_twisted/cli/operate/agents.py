"""`warp agent`: who is enrolled, and cutting somebody off."""

import click

from warp_twisted.cli.operate.admin import ADMIN_OPTION, find_admin, say_not_kept
from warp_twisted.cli.operate.answers import Agent, Revoked, Shared, read
from warp_twisted.cli.options import SELECTOR_OPTION
from warp_twisted.cli.options import share as share_word
from warp_twisted.cli.output import JSON_OPTION, instant, labels_text, print_json, print_table, say
from warp_twisted.names import LabelSelector


@click.group(
    short_help="List, group and revoke enrolled agents.",
    epilog="\b\nExamples:\n  warp agent list --selector release=canary\n"
    "  warp agent share shop a-0123456789abcdef\n  warp agent revoke a-0123456789abcdef",
)
def agent() -> None:
    """List, group and revoke enrolled agents."""


@agent.command(
    "list", epilog="\b\nExamples:\n  warp agent list\n  warp agent list --selector 'team in (blue,red)' --json"
)
@SELECTOR_OPTION
@ADMIN_OPTION
@JSON_OPTION
def list_(selector: LabelSelector | None, admin: str | None, as_json: bool) -> None:
    """
    List the agents that are enrolled, and those that were revoked.

    The labels are those that join tokens gave; what agents call themselves is in `warp status`.
    """
    answer = find_admin(admin).get("v1", "agents")
    agents = [each for each in read(answer, list[Agent]) if selector is None or selector.matches(each.labels)]
    if as_json:
        ids = {each.id for each in agents}
        print_json([each for each in read(answer, list[dict[str, object]]) if each["id"] in ids])
        return
    print_agents(agents)


@agent.command(
    epilog="\b\nExamples:\n  warp agent revoke a-0123456789abcdef --reason 'the laptop was stolen'",
)
@click.argument("agents", metavar="AGENT...", nargs=-1, required=True)
@click.option("--reason", default="", help="Kept with the revocation.")
@ADMIN_OPTION
def revoke(agents: tuple[str, ...], reason: str, admin: str | None) -> None:
    """
    Cut these agents off, for good.

    Their tunnels are closed and their names leave DNS at once, their certificates are refused from now on. To let
    one in again, give it a new join token.
    """
    edge = find_admin(admin)
    for each in agents:
        answer = read(edge.delete("v1", "agents", each, body={"reason": reason}), Revoked)
        say(f"Agent {each} is revoked.")
        say_not_kept(each, answer.not_kept)
        if not answer.was_known:
            say("No agent with this id was enrolled here: compare it with warp agent list.", err=True)


@agent.command(
    short_help="Give the groups of these agents a share word.",
    epilog="\b\nExamples:\n  warp agent share shop a-0123456789abcdef a-fedcba9876543210",
)
@click.argument("word", type=share_word)
@click.argument("agents", metavar="AGENT...", nargs=-1, required=True)
@ADMIN_OPTION
@JSON_OPTION
def share(word: str, agents: tuple[str, ...], admin: str | None, as_json: bool) -> None:
    """
    Give the groups of these agents the share word WORD, so that tokens with the word let agents in beside them.

    The agents' tokens had no share word, so they share hostnames with the agents of their token alone. Those and their
    hostnames come along. A group that has a word keeps it.
    """
    edge = find_admin(admin)
    for each in agents:
        answer = edge.post("v1", "agents", each, "share", body={"share": word})
        if as_json:
            print_json(answer)
        elif read(answer, Shared).changed:
            say(f"Agent {each} shares hostnames as {word}.")
        else:
            say(f"Agent {each} shares hostnames as {word} already.")


def print_agents(agents: list[Agent]) -> None:
    """Print a table of agents."""
    rows = [
        [
            each.id,
            f"revoked {instant(each.revoked_at)}" if each.revoked_at else ("up" if each.tunnels else "down"),
            str(each.tunnels),
            ",".join(each.hostnames) or "-",
            each.group or "-",
            labels_text(each.labels),
            instant(each.enrolled_at),
        ]
        for each in agents
    ]
    print_table(["AGENT", "STATE", "TUNNELS", "MAY SERVE", "GROUP", "LABELS", "ENROLLED"], rows)

"""`warp token`: join tokens, which let agents in. The text of a token is shown once, and only by `create`."""

import time
from pathlib import Path

import click

from warp_twisted.cli.operate.admin import ADMIN_OPTION, find_admin, say_not_kept
from warp_twisted.cli.operate.answers import NewToken, Revoked, Token, read
from warp_twisted.cli.operate.secret_file import secret_file
from warp_twisted.cli.options import hostname_pattern, label, share, token_lifetime
from warp_twisted.cli.output import JSON_OPTION, labels_text, print_json, print_table, say, span
from warp_twisted.names import HostnamePattern


@click.group(
    short_help="Make, list and revoke join tokens.",
    epilog="\b\nExamples:\n"
    "  warp token create --hostname '*.team.warp.example' --out join-token\n"
    "  warp token list\n"
    "  warp token revoke 0123456789abcdef",
)
def token() -> None:
    """
    Make, list and revoke join tokens.

    A join token lets agents enroll: as often as its uses say, until it expires, for the hostnames it names. The
    registry keeps a hash of it only.
    """


@token.command(
    epilog="\b\nExamples:\n"
    "  warp token create --hostname app.warp.example --out join-token\n"
    "  warp token create --hostname app.warp.example --share shop --uses 2     # two machines, one application\n"
    "  warp token create --hostname '*.team.warp.example' --label team=blue --ttl 7d --uses 20 --json\n"
    "  warp token create --hostname app.warp.example --no-policy    # no `warp up --allow` and the like",
)
@click.option(
    "--hostname",
    "hostnames",
    metavar="PATTERN",
    type=hostname_pattern,
    multiple=True,
    required=True,
    help="What the agents may serve: a hostname, or *. and a suffix; may be repeated.",
)
@click.option(
    "--label", "labels", type=label, metavar="KEY=VALUE", multiple=True, help="Given to the agents; may be repeated."
)
@click.option(
    "--share",
    "word",
    type=share,
    metavar="WORD",
    help="Agents whose tokens have the same word share hostnames, and nobody else takes them over. "
    "Default: those of this token alone.",
)
@click.option(
    "--ttl", type=token_lifetime, metavar="TIME", default="1h", show_default=True, help="How long the token is valid."
)
@click.option(
    "--uses", type=click.IntRange(1, 1_000_000), default=1, show_default=True, help="How many agents may use it."
)
@click.option(
    "--no-policy",
    is_flag=True,
    help="The agents may not ask edges for a policy of their own, as with `warp up --allow`. Default: they may, as it "
    "only narrows what the operator's policy allows.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write the token to this new file, mode 0600.")
@ADMIN_OPTION
@JSON_OPTION
def create(
    hostnames: tuple[HostnamePattern, ...],
    labels: tuple[tuple[str, str], ...],
    word: str | None,
    ttl: float,
    uses: int,
    no_policy: bool,
    out: Path | None,
    admin: str | None,
    as_json: bool,
) -> None:
    """Make a join token, and print it: it is not shown again."""
    wish = {
        "hostnames": [str(each) for each in hostnames],
        "labels": dict(labels),
        "ttl_seconds": ttl,
        "uses": uses,
        **({"share": word} if word else {}),
        **({"policy": False} if no_policy else {}),
    }
    with secret_file(out) as keep:
        answer = find_admin(admin).post("v1", "tokens", body=wish)
        made = read(answer, NewToken)
        keep(made.token + "\n")
    if as_json:
        shown = read(answer, dict[str, object])
        print_json({key: value for key, value in shown.items() if key != "token" or out is None})
        return
    if out is None:
        say(made.token)
    left = span(made.expires_at - time.time() + 1)
    say(f"Token {made.id} for {', '.join(made.hostnames)}: {_uses(made)}, for {left}{_group(made)}.", err=True)


@token.command("list", epilog="\b\nExample:\n  warp token list --json")
@ADMIN_OPTION
@JSON_OPTION
def list_(admin: str | None, as_json: bool) -> None:
    """List the join tokens, without their secrets."""
    answer = find_admin(admin).get("v1", "tokens")
    if as_json:
        print_json(answer)
        return
    now = time.time()
    rows = [
        [
            each.id,
            ",".join(each.hostnames),
            each.group or "-",
            labels_text(each.labels),
            str(each.uses_left),
            f"in {span(each.expires_at - now)}" if each.expires_at > now else "expired",
        ]
        for each in read(answer, list[Token])
    ]
    print_table(["TOKEN", "HOSTNAMES", "GROUP", "LABELS", "USES LEFT", "EXPIRES"], rows)


@token.command(epilog="\b\nExample:\n  warp token revoke 0123456789abcdef")
@click.argument("tokens", metavar="TOKEN...", nargs=-1, required=True)
@ADMIN_OPTION
def revoke(tokens: tuple[str, ...], admin: str | None) -> None:
    """Revoke these join tokens, named by id. Agents that enrolled with them stay."""
    edge = find_admin(admin)
    for each in tokens:
        answer = read(edge.delete("v1", "tokens", each), Revoked)
        say(f"Token {each} is revoked.")
        say_not_kept(each, answer.not_kept)


def _group(made: NewToken) -> str:
    return f"; they share hostnames as {made.group}" if made.group not in ("", made.id) else ""


def _uses(made: Token) -> str:
    return "one agent" if made.uses_left == 1 else f"{made.uses_left} agents"

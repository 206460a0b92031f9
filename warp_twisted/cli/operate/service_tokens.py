"""`warp service-token`: how programs prove who they are to the policy. A secret is shown once, and only by `create`."""

import time
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from warp_twisted.cli.operate.admin import ADMIN_OPTION, find_admin, say_not_kept
from warp_twisted.cli.operate.answers import NewServiceToken, Revoked, ServiceToken, read
from warp_twisted.cli.operate.completing import listed_for_completion
from warp_twisted.cli.operate.secret_file import secret_file
from warp_twisted.cli.options import token_lifetime
from warp_twisted.cli.output import JSON_OPTION, instant, print_json, print_table, say, span


@click.group(
    short_help="Make, list and revoke tokens by which programs pass the policy.",
    epilog="\b\nExamples:\n"
    "  warp service-token create ci --out ci.headers\n"
    "  curl -H @ci.headers https://app.warp.example/\n"
    "  warp service-token revoke 0123456789abcdef",
)
def service_token() -> None:
    """
    Make, list and revoke tokens by which programs pass the policy.

    A rule of the policy with service_token lets in who sends a token's id and secret, in the fields Warp-Client-Id and
    Warp-Client-Secret (or CF-Access-Client-Id and CF-Access-Client-Secret). The registry keeps a hash of the secret.
    """


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the ids of tokens."""
    found = listed_for_completion(ctx, "service-tokens", list[ServiceToken])
    return [CompletionItem(each.id, help=each.name) for each in found if each.id.startswith(incomplete)]


@service_token.command(
    short_help="Make a service token, and print its two fields.",
    epilog="\b\nExamples:\n"
    "  warp service-token create ci --out ci.headers\n"
    "  warp service-token create deploy --ttl 30d --json",
)
@click.argument("name")
@click.option(
    "--ttl", type=token_lifetime, metavar="TIME", default="365d", show_default=True, help="How long it is valid."
)
@click.option("--out", type=click.Path(path_type=Path), help="Write both fields to this new file, mode 0600.")
@ADMIN_OPTION
@JSON_OPTION
def create(name: str, ttl: float, out: Path | None, admin: str | None, as_json: bool) -> None:
    """
    Make a service token, and print its two fields: the secret is not shown again.

    NAME is what rules know it by. Several tokens may have one name: make the next, hand it out, revoke the one before.
    """
    with secret_file(out) as keep:
        answer = find_admin(admin).post("v1", "service-tokens", body={"name": name, "ttl_seconds": ttl})
        made = read(answer, NewServiceToken)
        fields = (f"Warp-Client-Id: {made.id}", f"Warp-Client-Secret: {made.secret}")
        keep("".join(line + "\n" for line in fields))
    if as_json:
        shown = read(answer, dict[str, object])
        print_json({key: value for key, value in shown.items() if key != "secret" or out is None})
        return
    if out is None:
        for line in fields:
            say(line)
    say(f"Service token {made.id} for {made.name}, for {span(made.expires_at - time.time() + 1)}.", err=True)


@service_token.command("list", epilog="\b\nExample:\n  warp service-token list --json")
@ADMIN_OPTION
@JSON_OPTION
def list_(admin: str | None, as_json: bool) -> None:
    """List the service tokens, without their secrets."""
    answer = find_admin(admin).get("v1", "service-tokens")
    if as_json:
        print_json(answer)
        return
    now = time.time()
    rows = [
        [
            each.id,
            each.name,
            instant(each.created_at),
            f"in {span(each.expires_at - now)}" if each.expires_at > now else "expired",
        ]
        for each in read(answer, list[ServiceToken])
    ]
    print_table(["TOKEN", "NAME", "MADE", "EXPIRES"], rows)


@service_token.command(epilog="\b\nExample:\n  warp service-token revoke 0123456789abcdef")
@click.argument("tokens", metavar="TOKEN...", nargs=-1, required=True, shell_complete=_complete)
@ADMIN_OPTION
def revoke(tokens: tuple[str, ...], admin: str | None) -> None:
    """Revoke these service tokens, named by id. It holds from the next request on."""
    edge = find_admin(admin)
    for each in tokens:
        answer = read(edge.delete("v1", "service-tokens", each), Revoked)
        say(f"Service token {each} is revoked.")
        say_not_kept(each, answer.not_kept)

"""`warp certificate`: the certificates that the fleet orders by itself, and why one is not there."""

import click
import msgspec
from click.shell_completion import CompletionItem

from warp_twisted.cli.operate.admin import ADMIN_OPTION, find_admin
from warp_twisted.cli.operate.answers import read
from warp_twisted.cli.operate.completing import asked_for_completion
from warp_twisted.cli.output import JSON_OPTION, instant, print_json, print_table, say, some


class OrderedCertificate(msgspec.Struct, frozen=True):
    """
    A certificate that is wanted, or was.

    :ivar state: `wanted`: the authority was not asked yet; else the step of the order (`acme.door.Order`).
    :ivar not_shown: why the edge that was asked shows visitors none; empty if it does.
    """

    name: str
    names: list[str] = []
    state: str = ""
    is_wanted: bool = True
    expires_at: float = 0.0
    renew_at: float = 0.0
    not_before: float = 0.0
    failures: int = 0
    error: str = ""
    failed_at: float = 0.0
    revoke: bool = False
    not_shown: str = ""


class OrderedCertificates(msgspec.Struct, frozen=True):
    """All of them, and who issues them."""

    directory: str = ""
    email: str = ""
    account: str = ""
    certificates: list[OrderedCertificate] = []


@click.group(
    short_help="Show, renew and revoke certificates that are ordered by ACME.",
    epilog="\b\nExamples:\n  warp certificate list\n  warp certificate status\n  warp certificate renew warp.example",
)
def certificate() -> None:
    """
    Show, renew and revoke certificates that the fleet orders by itself (acme in edge.yaml).

    Certificates in the edge's directory are the operator's: visitors are shown those first.
    """


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete names of certificates."""
    found = asked_for_completion(ctx, "certificates", OrderedCertificates)
    certificates = found.certificates if found is not None else []
    return [CompletionItem(each.name) for each in certificates if each.name.startswith(incomplete)]


@certificate.command("list", epilog="\b\nExamples:\n  warp certificate list")
@ADMIN_OPTION
@JSON_OPTION
def list_(admin: str | None, as_json: bool) -> None:
    """List the certificates, when each ends and when it is renewed."""
    answer = find_admin(admin).get("v1", "certificates")
    if as_json:
        print_json(answer)
        return
    rows = [
        [each.name, some(each.names), _state(each), instant(each.expires_at), instant(each.renew_at)]
        for each in read(answer, OrderedCertificates).certificates
    ]
    print_table(["NAME", "NAMES", "STATE", "ENDS", "RENEWED"], rows)


@certificate.command(epilog="\b\nExamples:\n  warp certificate status\n  warp certificate status --json")
@ADMIN_OPTION
@JSON_OPTION
def status(admin: str | None, as_json: bool) -> None:
    """
    Say how each certificate stands.

    Exits 1 if something keeps one from being issued, and says what.
    """
    answer = find_admin(admin).get("v1", "certificates")
    found = read(answer, OrderedCertificates)
    if as_json:
        print_json(answer)
    else:
        say(f"Authority: {found.directory}")
        say(f"Account:   {found.account or 'none yet'}{f', {found.email}' if found.email else ''}")
        for each in found.certificates:
            say()
            say(f"{each.name}: {_state(each)}")
            say(f"  for {', '.join(each.names)}")
            if each.expires_at:
                say(f"  ends {instant(each.expires_at)} UTC, is renewed {instant(each.renew_at)} UTC")
            if each.error:
                say(f"  at {instant(each.failed_at)} UTC: {each.error}")
                say(f"  ordered again {f'at {instant(each.not_before)} UTC' if each.not_before else 'soon'}")
            if each.not_shown:
                say(f"  not shown to visitors by this edge: {each.not_shown}")
    if any(each.is_wanted and (each.error or each.not_shown) for each in found.certificates):
        raise click.exceptions.Exit(1)


@certificate.command(epilog="\b\nExamples:\n  warp certificate renew warp.example\n  warp certificate renew --all")
@click.argument("names", metavar="NAME...", nargs=-1, shell_complete=_complete)
@click.option("--all", "is_all", is_flag=True, help="All of them, as after an edge is gone for good.")
@ADMIN_OPTION
@JSON_OPTION
def renew(names: tuple[str, ...], is_all: bool, admin: str | None, as_json: bool) -> None:
    """
    Order certificates anew now.

    They get new keys; those in use are shown until then.
    """
    if bool(names) == is_all:
        raise click.UsageError("name the certificates, or say --all")
    edge = find_admin(admin)
    for name in names or ("",):
        answer = edge.post("v1", "certificates", "renew", body={"name": name})
        if as_json:
            print_json(answer)
        else:
            for each in read(answer, list[OrderedCertificate]):
                say(f"{each.name} is ordered anew; warp certificate status says how it goes.")


@certificate.command(epilog="\b\nExamples:\n  warp certificate revoke warp.example")
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=_complete)
@ADMIN_OPTION
@JSON_OPTION
def revoke(names: tuple[str, ...], admin: str | None, as_json: bool) -> None:
    """
    Have certificates revoked and order new ones.

    The authority revokes them, as is due when somebody else knows a key.
    """
    edge = find_admin(admin)
    for name in names:
        answer = edge.post("v1", "certificates", "revoke", body={"name": name})
        if as_json:
            print_json(answer)
        else:
            say(f"{read(answer, OrderedCertificate).name} is revoked and ordered anew.")


def _state(each: OrderedCertificate) -> str:
    if each.revoke:
        return "to be revoked"
    text = "failed" if each.error and each.state != "issued" else each.state
    return text if each.is_wanted else f"{text}, not wanted any more"

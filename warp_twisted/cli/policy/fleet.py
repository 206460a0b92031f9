"""`warp policy apply`, `show`, `history` and `back`: the policy of the fleet, through the edge on this machine."""

import sys
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from warp_twisted.cli.errors import EdgeRefused
from warp_twisted.cli.operate.admin import ADMIN_OPTION, Admin, find_admin
from warp_twisted.cli.operate.answers import PolicyApplied, PolicyText, PolicyVersion, read
from warp_twisted.cli.operate.completing import listed_for_completion
from warp_twisted.cli.output import JSON_OPTION, instant, print_document, print_json, print_table, say, say_lines
from warp_twisted.cli.policy.difference import difference
from warp_twisted.policy.document.policy import MAX_BYTES
from warp_twisted.policy.errors import InvalidPolicy

APPLY_SECONDS = 300.0  # until an edge has judged a policy: 512 KiB take some seconds, and others may come first
STANDARD_INPUT = "-"
NO_POLICY = "no policy"

_message = click.option("--message", "-m", metavar="TEXT", default="", help="What for; shown in the history.")
_check = click.option("--check", "is_check", is_flag=True, help="Judge it and show what it would change, no more.")
_if_version = click.option(
    "--if-version",
    type=click.IntRange(min=0),
    metavar="VERSION",
    help="Only if this version is in force; 0: only if there is none.",
)

_beside_file = click.option(
    "--beside-file",
    is_flag=True,
    help="Put it into the registry though the edge on this machine follows a file, and goes on with that.",
)


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete versions that are kept."""
    found = listed_for_completion(ctx, "policy/versions", list[PolicyVersion])
    return [
        CompletionItem(str(each.number), help=each.message) for each in found if str(each.number).startswith(incomplete)
    ]


@click.command(
    short_help="Put a policy in force on every edge of the fleet.",
    epilog="\b\nExamples:\n"
    "  warp policy apply policy.yaml --check\n"
    "  warp policy apply policy.yaml --message 'only the office may come to /admin'\n"
    "  warp policy show | sed s/50/80/ | warp policy apply - --if-version 12",
)
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@_check
@_message
@_if_version
@_beside_file
@ADMIN_OPTION
@JSON_OPTION
def apply(
    file: str, is_check: bool, message: str, if_version: int | None, beside_file: bool, admin: str | None, as_json: bool
) -> None:
    """
    Put a policy in force on every edge of the fleet, and show what it changes.

    The edge on this machine judges it first: what it cannot use, or a file that is not there, is refused with the
    key's path, and nothing changes. FILE is - for standard input. Where edge.yaml names a file itself (policy), the
    edge follows that, and refuses, unless told --beside-file.
    """
    text = _content(file)
    query = {"name": Path(file).name if file != STANDARD_INPUT else "standard input"}
    edge = find_admin(admin, timeout=APPLY_SECONDS)
    answer = edge.post("v1", "policy", query=query | _conditions(is_check, message, if_version, beside_file), text=text)
    _tell(edge, answer, text.decode("utf-8", "replace"), is_check, as_json)


@click.command(
    short_help="Put the policy of before in force again.",
    epilog="\b\nExamples:\n  warp policy back\n  warp policy back 7 --message 'the new limits were too low'",
)
@click.argument("version", type=click.IntRange(min=1), required=False, shell_complete=_complete)
@_check
@_message
@_if_version
@_beside_file
@ADMIN_OPTION
@JSON_OPTION
def back(
    version: int | None,
    is_check: bool,
    message: str,
    if_version: int | None,
    beside_file: bool,
    admin: str | None,
    as_json: bool,
) -> None:
    """
    Put the policy of before in force again, as a new version.

    Without VERSION: that before the one in force; once more: the one before that. It is judged as in apply.
    """
    query = {"version": str(version)} if version is not None else {}
    edge = find_admin(admin, timeout=APPLY_SECONDS)
    answer = edge.post("v1", "policy", "back", query=query | _conditions(is_check, message, if_version, beside_file))
    applied = read(answer, PolicyApplied)
    restored = _text_of(edge, applied.restores or applied.version)
    _tell(edge, answer, restored, is_check, as_json)


@click.command(
    short_help="Print the policy of the fleet.",
    epilog="\b\nExamples:\n"
    "  warp policy show >policy.yaml\n"
    "  warp policy show --version 7\n"
    "  warp policy show --json | jq .number",
)
@click.option(
    "--version", type=click.IntRange(min=1), metavar="VERSION", shell_complete=_complete, help="One of before."
)
@ADMIN_OPTION
@JSON_OPTION
def show(version: int | None, admin: str | None, as_json: bool) -> None:
    """Print the policy of the fleet as it was applied; nothing if there is none."""
    edge = find_admin(admin)
    answer = edge.get("v1", "policy") if version is None else edge.get("v1", "policy", "versions", str(version))
    if as_json:
        print_json(answer)
        return
    print_document(read(answer, PolicyText).text)


@click.command(
    short_help="List the policies that were applied.",
    epilog="\b\nExamples:\n  warp policy history\n  warp policy history --json | jq -r '.[].author'",
)
@ADMIN_OPTION
@JSON_OPTION
def history(admin: str | None, as_json: bool) -> None:
    """
    List the policies that were applied, by whom and when, the newest first: that is the one in force.

    The last 30 are kept, 8 MiB of them at most.
    """
    answer = find_admin(admin).get("v1", "policy", "versions")
    if as_json:
        print_json(answer)
        return
    if not answer:
        say("No policy was applied; warp policy apply puts one in force.")
        return
    rows = [
        [
            str(each.number),
            instant(each.applied_at),
            each.author or "-",
            str(each.size_bytes),
            each.sha256[:12],
            str(each.restores) if each.restores else "-",
            each.message or "-",
        ]
        for each in read(answer, list[PolicyVersion])
    ]
    print_table(["VERSION", "APPLIED", "BY", "BYTES", "SHA256", "AGAIN", "MESSAGE"], rows)


def _content(file: str) -> bytes:
    """
    Read a file, or standard input.

    :raises InvalidPolicy: if it is too large.
    """
    if file == STANDARD_INPUT:
        text = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        with Path(file).open("rb") as opened:
            text = opened.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        raise InvalidPolicy(f"{file}: larger than {MAX_BYTES >> 10} KiB")
    return text


def _conditions(is_check: bool, message: str, if_version: int | None, beside_file: bool) -> dict[str, str]:
    query = {"check": "1"} if is_check else {}
    if beside_file:
        query["beside_file"] = "1"
    if message:
        query["message"] = message
    if if_version is not None:
        query["if_version"] = str(if_version)
    return query


def _text_of(edge: Admin, version: int) -> str:
    return read(edge.get("v1", "policy", "versions", str(version)), PolicyText).text if version else ""


def _tell(edge: Admin, answer: object, text: str, is_check: bool, as_json: bool) -> None:
    """
    Say what came of a policy.

    :raises EdgeRefused: if it is in force in the registry, and not on the edge that answers.
    """
    applied = read(answer, PolicyApplied)
    changes = ""
    if applied.changed:
        names = (
            f"version {applied.replaced}" if applied.replaced else NO_POLICY,
            "new version" if is_check else f"version {applied.version}",
        )
        changes = difference(_text_of(edge, applied.replaced), text, names)
    if as_json:
        print_json({**read(answer, dict[str, object]), "check": is_check, "diff": changes})
    else:
        if changes:
            say_lines(changes.removesuffix("\n"))
        _say(applied, is_check)
    if applied.changed and not is_check and not applied.in_force and applied.file is None:
        raise EdgeRefused(
            f"version {applied.version} is not in force on this edge: {applied.error or 'its log says why'}"
        )


def _say(applied: PolicyApplied, is_check: bool) -> None:
    rules = f"{applied.rules} {'rule' if applied.rules == 1 else 'rules'}"
    before = f"version {applied.replaced}" if applied.replaced else NO_POLICY
    if not applied.changed:
        say(f"Nothing changes: version {applied.version} has the same text.")
    elif is_check:
        say(f"It can be used: {rules}; it would replace {before}. Nothing was changed.")
    else:
        where = "in force" if applied.file is None else "in the registry"
        say(f"Version {applied.version} of the policy is {where}: {rules}; it replaced {before}.")
    if applied.file is not None:
        say(f"This edge goes on with its file: {applied.file}.")

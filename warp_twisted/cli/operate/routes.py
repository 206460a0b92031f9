"""`warp route`: how a hostname's requests are split among its tunnels, and shifting that."""

import time

import click
from click.shell_completion import CompletionItem

from warp_twisted.cli.operate.admin import ADMIN_OPTION, find_admin
from warp_twisted.cli.operate.answers import ShiftMade, SplitGuard, SplitHostname, SplitMirror, read
from warp_twisted.cli.operate.completing import listed_for_completion
from warp_twisted.cli.operate.origin_answers import Ejected
from warp_twisted.cli.options import duration, hostname_pattern
from warp_twisted.cli.output import JSON_OPTION, percent, print_json, print_table, say, span
from warp_twisted.names import ALL_OTHERS, HostnamePattern, shown_selector

BAR = 20  # characters that stand for all requests


def percent_of(text: str) -> float:
    """Read a part: `25`, `25%` or `2.5`."""
    try:
        found = float(text.removesuffix("%"))
    except ValueError:
        found = -1.0
    if not 0 <= found <= 100:
        raise click.BadParameter(f"expected a part of 0 to 100 percent, got {text!r}")
    return found


@click.group(
    short_help="Show and shift how hostnames are split among their tunnels.",
    epilog="\b\nExamples:\n"
    "  warp route show\n"
    "  warp route shift app.warp.example release=canary 25 --over 10m\n"
    "  warp route reset app.warp.example",
)
def route() -> None:
    """
    Show and shift how the requests of hostnames are split among their tunnels.

    The split itself is in the key routing of the policy. A shift gives one of its shares another part, on every edge,
    until it is reset or the split in the policy changes; applying a policy that leaves the split alone leaves it, too.
    A guard of the policy judges a share by the others: it holds a shift, and takes back what does worse.
    """


def _splits(ctx: click.Context) -> list[SplitHostname]:
    return listed_for_completion(ctx, "splits", list[SplitHostname])


def _complete_hostname(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete hostnames that are split."""
    return [CompletionItem(each.hostname) for each in _splits(ctx) if each.hostname.startswith(incomplete)]


def _complete_selector(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the shares of the hostname that was given."""
    return [
        CompletionItem(share.selector)
        for each in _splits(ctx)
        if each.hostname == str(ctx.params.get("hostname"))
        for share in each.shares
        if share.selector.startswith(incomplete)
    ]


@route.command(
    short_help="Show splits, and what each share really got.",
    epilog="\b\nExamples:\n  warp route show\n  warp route show app.warp.example\n"
    "  warp route show --json | jq '.[].shares'",
)
@click.argument("hostname", type=hostname_pattern, required=False, shell_complete=_complete_hostname)
@ADMIN_OPTION
@JSON_OPTION
def show(hostname: HostnamePattern | None, admin: str | None, as_json: bool) -> None:
    """
    Show how hostnames are split, as the edge on this machine does it, and what each share really got.

    PART is what a share gets now, SENT what it got of the requests since the edge began or the policy has the split.
    Errors are answers of 500 and above.
    """
    answer = find_admin(admin).get("v1", "splits")
    raw = read(answer, list[dict[str, object]])
    if hostname is not None:
        raw = [each for each in raw if each.get("hostname") == hostname.text]
    if as_json:
        print_json(raw)
        return
    if not raw:
        if hostname is None:
            say("No hostname is split; the key routing of the policy says which are.")
        else:
            say(f"No entry of the policy's routing is for {hostname.text}; warp route show lists those that there are.")
    for number, each in enumerate(read(raw, list[SplitHostname])):
        if number:
            say()
        _print_split(each)


@route.command(
    short_help="Give a share another part of the requests.",
    epilog="\b\nExamples:\n"
    "  warp route shift app.warp.example release=canary 25\n"
    "  warp route shift app.warp.example release=canary 100 --over 30m\n"
    "  warp route shift app.warp.example release=canary 0\n"
    "  warp route shift app.warp.example '(all others)' 75",
)
@click.argument("hostname", type=hostname_pattern, shell_complete=_complete_hostname)
@click.argument("selector", shell_complete=_complete_selector)
@click.argument("part", type=percent_of, metavar="PERCENT")
@click.option("--over", type=duration, default="0s", metavar="TIME", help="How long that takes; at once unless given.")
@ADMIN_OPTION
@JSON_OPTION
def shift(hostname: HostnamePattern, selector: str, part: float, over: float, admin: str | None, as_json: bool) -> None:
    """
    Give a share PERCENT of the hostname's requests; the others keep theirs against each other.

    SELECTOR is the share's, as warp route show names it.

    Of the visitors that keep to a share only as many move as must, and none back. The part it has now is where --over
    begins. With several tiers it is the part of the share's tier.
    """
    share = "" if selector == ALL_OTHERS else selector
    body = {"hostname": hostname.text, "selector": share, "percent": part, "over_seconds": over}
    answer = find_admin(admin).post("v1", "shifts", body=body)
    if as_json:
        print_json(answer)
        return
    made = read(answer, ShiftMade)
    when = f" over {span(made.over_seconds)}" if made.over_seconds else ""
    name = shown_selector(made.selector)
    say(f"{made.hostname}: {name} goes from {percent(made.start)} to {percent(made.target)}{when}.")


@route.command(
    short_help="Let the policy's weights hold again.", epilog="\b\nExample:\n  warp route reset app.warp.example"
)
@click.argument("hostname", type=hostname_pattern, shell_complete=_complete_hostname)
@ADMIN_OPTION
@JSON_OPTION
def reset(hostname: HostnamePattern, admin: str | None, as_json: bool) -> None:
    """Let the policy's weights hold again, at once, and a share that its guard took back be judged anew."""
    answer = find_admin(admin).delete("v1", "shifts", hostname.text)
    if as_json:
        print_json(answer)
        return
    say(f"{hostname.text} is split as the policy says again.")


def _print_split(split: SplitHostname) -> None:
    kept = f", visitors kept by {split.sticky}" if split.sticky else ""
    chosen = f", testers choose by {split.testers}" if split.testers else ""
    say(f"{split.hostname}{kept}{chosen}")
    sent = sum(share.requests for share in split.shares)
    rows = [
        [
            shown_selector(share.selector),
            str(share.tier),
            percent(share.part),
            percent(share.requests / sent) if sent else "-",
            _bar(share.requests / sent if sent else 0.0),
            str(share.requests),
            str(share.errors),
            f"{share.healthy} of {share.tunnels}",
        ]
        for share in split.shares
    ]
    print_table(["SHARE", "TIER", "PART", "SENT", "", "REQUESTS", "ERRORS", "HEALTHY"], rows)
    if split.shift is not None:
        say(_shift_text(split.shift))
    if split.guard is not None:
        say(guard_text(split.guard))
    for each in split.unhealthy:
        say(f"{shown_selector(each.selector)}: {unhealthy_text(each.agent, each.reason)}")
    if split.mirror is not None:
        say(_mirror_text(split.mirror))
    for origin in split.ejected:
        say(f"{shown_selector(origin.selector)}: {ejected_text(origin)}")
    if split.unmatched:
        tunnels = "1 tunnel belongs" if split.unmatched == 1 else f"{split.unmatched} tunnels belong"
        say(f"{tunnels} to no share, and {'gets' if split.unmatched == 1 else 'get'} nothing")


def _mirror_text(mirror: SplitMirror) -> str:
    """Say who gets copies, and what became of them."""
    missing = ", ".join(f"{count} {why.replace('_', ' ')}" for why, count in mirror.unanswered.items())
    return (
        f"Mirror: {percent(mirror.percent / 100)} to {mirror.selector}, {mirror.healthy} of {mirror.tunnels} healthy: "
        f"{mirror.copies} copies, {mirror.answered} answered, {mirror.errors} with an error"
        + (f"; without an answer: {missing}" if missing else "")
    )


def _shift_text(shift: ShiftMade) -> str:
    by = f" by {shift.author}" if shift.author else ""
    text = f"Shift{by}: {shown_selector(shift.selector)} {percent(shift.start)} -> {percent(shift.target)}"
    left = shift.began_at + shift.over_seconds - time.time()
    if shift.part != shift.target and left > 0:
        return f"{text}, now {percent(shift.part)}, done in {span(left)}"
    return text


def guard_text(guard: SplitGuard) -> str:
    """Say what a guard has found, and what to do where it has acted."""
    text = f"Guard of {shown_selector(guard.selector)}: {guard.verdict} ({guard.reason})"
    if not guard.action:
        return text
    did = "it gets nothing" if guard.action == "back" else "its shift stays where it is"
    return f"{text}; since {guard.edge} found that, {did}, until warp route shift or warp route reset"


def unhealthy_text(agent: str, reason: str) -> str:
    """Say of an agent's origin that its probes fail, and what follows."""
    because = f" ({reason})" if reason else ""
    return f"the origin of {agent} is not healthy{because}; it gets requests only where no other is"


def ejected_text(origin: Ejected) -> str:
    """Say of an ejected origin whose it is, why, and what brings it back."""
    path = f" at {origin.path}" if origin.path else ""
    text = f"the origin of {origin.agent}{path} is ejected, as it failed {origin.failures} times in a row; "
    if origin.state == "ejected":
        return text + f"in {span(origin.seconds)} a request tries it again"
    return text + ("the next request tries it" if origin.state == "due" else "a request is trying it now")


def _bar(part: float) -> str:
    return "#" * round(part * BAR)

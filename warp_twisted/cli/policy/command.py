"""
`warp policy`: its commands, and `check`, `explain` and `test`, which tell without an edge what a policy file would do.

What is done with the fleet's policy is in `cli.policy.fleet`.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import click

from warp_twisted.cli.options import label
from warp_twisted.cli.output import JSON_OPTION, percent, print_json, say
from warp_twisted.cli.policy.asking import BadRequest, NeverJudged, read_chain, read_identity, read_request
from warp_twisted.cli.policy.cases import Case, read_cases
from warp_twisted.cli.policy.fleet import apply, back, history, show
from warp_twisted.cli.policy.parts import OfflineParts
from warp_twisted.names import shown_selector
from warp_twisted.policy.document.policy import MAX_BYTES, parse_policy
from warp_twisted.policy.errors import InvalidPolicy
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.interfaces import Identity
from warp_twisted.policy.judging.compiler import CompiledPolicy, compile_policy
from warp_twisted.policy.judging.explaining import Explanation, explain
from warp_twisted.policy.verdict import Verdict
from warp_twisted.routing.split import Split

FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
FILES_OPTION = click.option(
    "--files",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIRECTORY",
    help="Where the files are that the policy names. Unless given, the directory of FILE.",
)


@click.group(
    short_help="Check, explain, test and apply a policy.",
    epilog="\b\nExamples:\n"
    "  warp policy check policy.yaml\n"
    "  warp policy explain policy.yaml 'GET https://app.warp.example/admin' --from 203.0.113.9\n"
    "  warp policy test policy.yaml cases.yaml\n"
    "  warp policy apply policy.yaml --check\n"
    "  warp policy history",
)
def policy() -> None:
    """
    Check, explain, test and apply a policy.

    The commands check, explain and test read files and ask no edge; apply, show, history and back are about the policy
    of the fleet, through the edge on this machine.
    """


for each in (apply, show, history, back):
    policy.add_command(each)


@policy.command(
    short_help="Say whether edges can use a policy file.",
    epilog="\b\nExample:\n  warp policy check policy.yaml --files /etc/warp/policy",
)
@FILE
@FILES_OPTION
@JSON_OPTION
def check(file: Path, files: Path | None, as_json: bool) -> None:
    """
    Say whether edges of this release can use a policy file, and if not, which key is wrong and what was expected there.

    The files that it names are read as well, and so judged as an edge would.
    """
    from warp_twisted.edge.policy.loading import load as load_for_edge

    compiled = load_for_edge(str(file), str(files or file.parent), {})[0].compiled
    rules = [rule.name for rule in compiled.rules]
    routing = [entry.hostname for entry in compiled.document.routing]
    if as_json:
        print_json({"file": str(file), "version": compiled.document.version, "rules": rules, "routing": routing})
        return
    count = len(compiled.document.rules)
    defaults = "defaults and " if len(rules) > count else ""
    splits = f", {len(routing)} {'hostname' if len(routing) == 1 else 'hostnames'} split" if routing else ""
    say(f"{file}: good: {defaults}{count} {'rule' if count == 1 else 'rules'}{splits}.")


@policy.command(
    "explain",
    short_help="Tell what becomes of a request, rule by rule.",
    epilog="\b\nExamples:\n"
    "  warp policy explain policy.yaml 'GET https://app.warp.example/admin' --from 203.0.113.9\n"
    "  warp policy explain policy.yaml 'POST https://api.warp.example/v1/orders' --header 'Origin: https://a.example'\n"
    "  warp policy explain policy.yaml https://app.warp.example/ --identity basic:alice --json\n"
    "  warp policy explain policy.yaml https://app.warp.example/ --certificate ann.pem",
)
@FILE
@click.argument("request", nargs=-1, required=True)
@click.option("--from", "address", metavar="ADDRESS", default="203.0.113.1", show_default=True, help="The visitor's.")
@click.option("--header", "headers", metavar="'NAME: VALUE'", multiple=True, help="A field; may be repeated.")
@click.option(
    "--identity",
    "identities",
    metavar="KIND:NAME",
    multiple=True,
    help="Who is proven, such as basic:alice; credentials in fields are not checked. May be repeated.",
)
@click.option(
    "--certificate",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The visitor's, in PEM, then what it sends with it; verified by rules with client_certificate, as of now.",
)
@click.option(
    "--label",
    "labels",
    type=label,
    metavar="KEY=VALUE",
    multiple=True,
    help="A label of the tunnel that serves it; may be repeated.",
)
@FILES_OPTION
@JSON_OPTION
def explain_(
    file: Path,
    request: tuple[str, ...],
    address: str,
    headers: tuple[str, ...],
    identities: tuple[str, ...],
    certificate: Path | None,
    labels: tuple[tuple[str, str], ...],
    files: Path | None,
    as_json: bool,
) -> None:
    """
    Tell what becomes of a request: each rule, whether it matched or why not, what it said, and the verdict.

    REQUEST is a method and a URL, or a URL alone, which is GET. Limits count nothing here. Who is proven is what
    --identity says, or what --certificate shows.
    """
    try:
        who = [read_identity(text) for text in identities]
        if certificate is not None and any(each.kind == "client_certificate" for each in who):
            raise BadRequest(
                "--certificate and --identity client_certificate:… both say which one it is: give one of them"
            )
        chain = read_chain(certificate) if certificate is not None else ()
        facts = read_request(" ".join(request), address, headers, [dict(labels)] if labels else [], chain)
    except BadRequest as error:
        raise click.UsageError(str(error)) from error
    compiled = load(file, files, who, verifies_certificates=certificate is not None)
    explanation = _explained(compiled, facts)
    covering = compiled.routing.covering(facts.hostname)
    split = covering.own if covering is not None else None
    tested = _tested(split, facts, explanation.verdict) if split is not None else ""
    if as_json:
        told = {**_split_as_json(split), "tester": tested} if split is not None else None
        print_json({**_as_json(explanation), "routing": told})
        return
    for rule in explanation.rules:
        mode = ", only logs" if rule.log_only else ""
        if not rule.matched:
            say(f"  {rule.rule}: does not match: {rule.why_not}{mode}")
        for said in rule.said:
            say(f"* {rule.rule}: {said}{mode}")
    say(verdict_text(explanation.verdict))
    if split is not None:
        say(split_text(split))
        if split.testers is not None:
            say(f"testers choose by {split.testers.told_by}; this request gets {tested or 'what is drawn'}")


@policy.command(epilog="\b\nExample:\n  warp policy test policy.yaml cases.yaml")
@FILE
@click.argument("cases", type=click.Path(dir_okay=False))
@FILES_OPTION
@JSON_OPTION
@click.pass_context
def test(ctx: click.Context, file: Path, cases: str, files: Path | None, as_json: bool) -> None:
    """
    Judge the requests of a file, and compare with what it expects. Exits with 1 if any differs.

    \b
    CASES is YAML:
      cases:
      - request: GET https://app.warp.example/admin
        from: 203.0.113.9
        expect: deny                  # or allow, challenge, redirect
        rule: admin-from-the-office   # which rule objects, may be left out
    """
    failed = 0
    found = []
    read = read_cases(cases)
    policies: dict[tuple[str, ...], CompiledPolicy] = {}  # by who is proven
    for number, case in enumerate(read, 1):
        who = tuple(case.identities)
        if who not in policies:
            policies[who] = load(file, files, [read_identity(text) for text in who])
        compiled = policies[who]
        got, line = _judged(compiled, case)
        is_good = not _difference(case, got)
        failed += not is_good
        found.append(
            {"request": case.request, "from": case.from_, "expect": case.expect, "passed": is_good, "got": line}
        )
        if not as_json and not is_good:
            say(f"case {number}: {case.request} from {case.from_}: expected {_expected(case)}, got {line}")
    if as_json:
        print_json({"cases": found, "failed": failed})
    else:
        say(f"{len(read) - failed} of {len(read)} cases passed.")
    if failed:
        ctx.exit(1)


def load(
    file: Path, files: Path | None, identities: Sequence[Identity] = (), *, verifies_certificates: bool = False
) -> CompiledPolicy:
    """
    Read and compile a policy file.

    :param verifies_certificates: as of `OfflineParts`.
    :raises InvalidPolicy: naming file, key path, and what was expected.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidPolicy(f"{file}: {error.strerror}") from error
    document = parse_policy(content, str(file))
    try:
        parts = OfflineParts(
            files or file.parent, identities, document.databases, verifies_certificates=verifies_certificates
        )
        return compile_policy(document, parts)
    except InvalidPolicy as error:
        raise InvalidPolicy(f"{file}: {error}") from error


def verdict_text(verdict: Verdict) -> str:
    """Return a verdict in one line: `deny 403 by admin-from-the-office: source`."""
    objection = verdict.objection
    if objection is None:
        who = ", ".join(f"{each.kind}:{each.subject}" for each in verdict.identities)
        return f"{verdict.action.value} {who}".rstrip()
    return f"{verdict.action.value} {objection.reason.status} by {objection.rule}: {objection.reason.slug}"


def split_text(split: Split) -> str:
    """Return a split in one line: `routing of app.warp.example: 90 % release=stable, 10 % release=canary`."""
    tiers = []
    for number, tier in enumerate(split.tiers):
        parts = split.layout(number).parts
        shares = ", ".join(f"{percent(parts[share])} {shown_selector(split.names[share])}" for share in tier)
        tiers.append(shares if not number else f"else {shares}")
    mirror = split.mirror
    copies = f"; copies of {percent(mirror.percent / 100)} to {mirror.selector}" if mirror is not None else ""
    return f"routing of {split.hostname}: {'; '.join(tiers)}{copies}"


def _tested(split: Split, facts: Facts, verdict: Verdict) -> str:
    """Return the share that a request chooses as a tester's, as people are shown it; empty if it chooses none."""
    if split.testers is None:
        return ""
    chosen, _ = split.testers.choose(facts.lines, facts.visitor, verdict.identities)
    return shown_selector(split.names[chosen]) if chosen >= 0 else ""


def _split_as_json(split: Split) -> dict[str, object]:
    layouts = [split.layout(number).parts for number in range(len(split.tiers))]
    return {
        "hostname": split.hostname,
        "shares": [
            {"selector": split.names[share], "tier": split.document.split[share].tier, "part": layouts[number][share]}
            for number, tier in enumerate(split.tiers)
            for share in tier
        ],
    }


def _explained(compiled: CompiledPolicy, facts: Facts) -> Explanation:
    return explain(compiled, facts, time.monotonic(), time.time())


def _judged(compiled: CompiledPolicy, case: Case) -> tuple[Verdict | None, str]:
    """Return the verdict on a case, None if an edge refuses it before, and the same as a line."""
    lines = [f"{name}: {value}" for name, value in case.headers.items()]
    try:
        facts = read_request(case.request, case.from_, lines, [case.labels] if case.labels else [])
    except NeverJudged as error:
        return None, f"deny: {error}"
    verdict = _explained(compiled, facts).verdict
    return verdict, verdict_text(verdict)


def _difference(case: Case, verdict: Verdict | None) -> bool:
    if verdict is None:
        return case.expect != "deny" or case.rule is not None or case.reason is not None
    objection = verdict.objection
    return (
        verdict.action.value != case.expect
        or (case.rule is not None and (objection is None or objection.rule != case.rule))
        or (case.reason is not None and (objection is None or objection.reason.slug != case.reason))
    )


def _expected(case: Case) -> str:
    by = f" by {case.rule}" if case.rule is not None else ""
    return f"{case.expect}{by}{f': {case.reason}' if case.reason is not None else ''}"


def _as_json(explanation: Explanation) -> dict[str, object]:
    verdict = explanation.verdict
    objection = verdict.objection
    return {
        "verdict": {
            "action": verdict.action.value,
            "rule": objection.rule if objection is not None else None,
            "reason": objection.reason.slug if objection is not None else None,
            "status": objection.reason.status if objection is not None else None,
            "detail": objection.detail if objection is not None else None,
            "identities": [f"{each.kind}:{each.subject}" for each in verdict.identities],
            "would": [{"rule": each.rule, "reason": each.reason.slug} for each in verdict.would],
        },
        "odd_path": list(explanation.odd),
        "rules": [
            {
                "rule": each.rule,
                "matched": each.matched,
                "why_not": each.why_not or None,
                "said": list(each.said),
                "log_only": each.log_only,
            }
            for each in explanation.rules
        ],
    }

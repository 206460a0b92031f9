"""
`warp up`: from options and environment to the agent's settings and join token; `cli.expose.run` runs it.

Ctrl-C and SIGTERM drain: what is under way finishes, and the command ends with 0. A second one ends it at once.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from warp_twisted.agent.errors import NotEnrolled
from warp_twisted.errors import InvalidName, InvalidSettings
from warp_twisted.names import HOST_AND_PORT, parse_label

if TYPE_CHECKING:
    from warp_twisted.agent.health.settings import Health
    from warp_twisted.agent.identity.joining import ReadToken
    from warp_twisted.agent.origins.asking import RulePolicy
    from warp_twisted.agent.settings import AgentSettings

HOW_TO_JOIN = (
    "no join token was given: ask an operator to run `warp token create`, and pass what it prints with"
    " --token-file or $WARP_TOKEN; or start `warp demo` in another terminal"
)
_PORT = re.compile(r":?([0-9]{1,5})")


@click.command(
    short_help="Expose a local application.",
    epilog=(
        "\b\nExamples:\n"
        "  warp up 3000                                             # beside `warp demo`, nothing else is needed\n"
        "  warp up --hostname app.warp.example --token-file token http://localhost:4000\n"
        "  warp up --hostname app.warp.example --path '^/api/' --label release=canary https://localhost:4443\n"
        "  warp up --allow 203.0.113.0/24 --allow 2001:db8::/32 --rate 50/s 3000    # who may come, and how often\n"
        "  warp up --basic-auth-file users.argon2 3000    # lines of name:hash, as docs/policy.md says\n"
        "  warp up --health /healthz --hostname app.warp.example 3000    # beside other agents of app.warp.example\n"
        "  warp up --max-requests 10 3000    # no more at once: what comes meanwhile waits at the edge\n"
        "  warp up --host-header rewrite 5173    # Vite and others that answer to no name but localhost\n"
        "  warp up --config agent.yaml\n"
        "\n\b\n"
        "Exit status: 0 stopped as asked, 1 it failed, 2 called wrongly, 4 this agent was revoked,\n"
        "130 stopped by a second Ctrl-C while requests were under way."
    ),
)
@click.argument("origin", required=False)
@click.option(
    "--hostname",
    "-H",
    "hostnames",
    multiple=True,
    metavar="NAME",
    help="Where visitors reach it; may be given more than once, and may be a pattern such as '*.team.example'. "
    "Default: a name that the edge hands out.",
)
@click.option("--path", default="", metavar="RE2", help="Only paths that match, such as '^/api/'.")
@click.option(
    "--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label of this agent; may be given more than once."
)
@click.option(
    "--allow",
    multiple=True,
    metavar="CIDR",
    help="Only visitors from there may come, IPv4 or IPv6; may be given more than once. The edge enforces it.",
)
@click.option(
    "--basic-auth-file",
    "users_files",
    multiple=True,
    metavar="FILE",
    help="Only visitors with a name and password of this file may come: a line name:hash for each, argon2id. "
    "May be given more than once. Hashes are sent to the edge, which enforces it.",
)
@click.option(
    "--rate",
    "rates",
    multiple=True,
    metavar="RATE",
    help="So many requests for each visitor, such as 50/s or 1000/h; may be given more than once. "
    "The edge answers what is over it with 429.",
)
@click.option(
    "--health",
    metavar="PATH",
    help="Ask the application for this path, such as /healthz, every 5 s; while it fails, edges send visitors to other "
    "agents of the hostname, if there are any. `tcp` only connects.",
)
@click.option(
    "--max-requests",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="How many requests the application is given at once. More wait at the edge for a while, taken in turns.",
)
@click.option(
    "--host-header",
    metavar="NAME",
    help="What the application is told as Host in place of the visitor's hostname, such as localhost:3000. `rewrite`: "
    "its own name, and Location, cookies' Domain and Origin are mapped between the two: for Vite, "
    "webpack-dev-server, Django.",
)
@click.option("--tunnels", type=click.IntRange(1, 32), metavar="N", help="Tunnels to keep. Default: 4.")
@click.option(
    "--token-file",
    metavar="FILE",
    help="Where the join token is, - for standard input; needed once. Default: $WARP_TOKEN, or a running demo.",
)
@click.option(
    "--state",
    metavar="DIR",
    help="Where key and certificate are kept. Default: one directory for each application, "
    "in $XDG_STATE_HOME/warp or ~/.local/state/warp.",
)
@click.option("--config", metavar="FILE", help="An agent.yaml, instead of ORIGIN, --hostname, --path.")
@click.option("--no-tls-verify", is_flag=True, help="Do not verify the certificate of an https origin.")
@click.option("--metrics", metavar="ENDPOINT", help="Serve /metrics, /ready, /live: tcp:9465:interface=127.0.0.1.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each event.")
@click.option("--verbose", "-v", is_flag=True, help="Log more, to standard error.")
def up(
    origin: str | None,
    hostnames: Sequence[str],
    path: str,
    labels: Sequence[str],
    allow: Sequence[str],
    users_files: Sequence[str],
    rates: Sequence[str],
    health: str | None,
    max_requests: int | None,
    host_header: str | None,
    tunnels: int | None,
    token_file: str | None,
    state: str | None,
    config: str | None,
    no_tls_verify: bool,
    metrics: str | None,
    as_json: bool,
    verbose: bool,
) -> int:
    """
    Expose a local application.

    ORIGIN is a port (3000), host:port, a URL (http://, https://, tcp://), unix:/path, hello-world or http_status:404.

    The agent dials the edges and listens on no network port. The first time it needs a join token, which an operator
    makes with `warp token create`; after that its certificate renews itself.
    """
    from warp_twisted.cli.expose.token_sources import DemoTokens, given_token

    if config is not None:
        told = (origin, hostnames, path, no_tls_verify, allow, users_files, rates, health, max_requests, host_header)
        if any(told):
            raise click.UsageError("--config says what is served; ORIGIN and its options cannot be added to it")
        settings = _settings_of_file(config, labels)
    elif origin is None:
        raise click.UsageError("ORIGIN is missing, such as 3000 or http://localhost:3000; or give --config")
    else:
        policy = policy_of(allow, users_files, rates)
        checked = health_of(health)
        settings = settings_of(
            origin,
            hostnames,
            path,
            labels,
            no_tls_verify,
            policy,
            checked,
            max_requests=max_requests or 0,
            host_header=host_header,
        )
        read_users_files(settings)
    settings = replace(
        settings,
        tunnels=tunnels or settings.tunnels,
        metrics=metrics or settings.metrics,
        token_file=token_file or settings.token_file,
        state=state or (settings.state if config is not None else str(_default_state(settings))),
    )
    read_token: ReadToken = given_token(token_file, has_config=config is not None)
    temporary: Path | None = None
    is_new = config is None and state is None and not (Path(settings.state) / "agent.json").exists()
    if is_new and token_file is None and not os.environ.get("WARP_TOKEN", "").strip():
        read_token = DemoTokens(hostnames)
        if read_token(settings) is None:
            raise NotEnrolled(HOW_TO_JOIN)
        temporary = Path(tempfile.mkdtemp(prefix="warp-up-"))
        settings = replace(settings, state=str(temporary))
    try:
        from warp_twisted.cli.expose.run import AgentRun

        read_again = None if config is None else _rereading(config, settings)
        return AgentRun(settings, read_token, read_again, as_json=as_json, verbose=verbose).run()
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def settings_of(
    origin: str,
    hostnames: Sequence[str],
    path: str,
    labels: Sequence[str],
    no_tls_verify: bool,
    policy: "RulePolicy | None" = None,
    health: "Health | None" = None,
    max_requests: int = 0,
    host_header: str | None = None,
) -> "AgentSettings":
    """
    Return the settings that the command line asks for.

    :raises UsageError: naming the option that is wrong.
    """
    from warp_twisted.agent.origins import KINDS, OriginRequest
    from warp_twisted.agent.origins.ingress import single_origin
    from warp_twisted.agent.settings import AgentSettings

    if ":" not in service_of(origin) and origin not in KINDS:
        raise click.UsageError(
            f"{origin!r} is no origin: expected a port such as 3000, or a URL such as http://localhost:3000"
        )
    try:
        request = OriginRequest(no_tls_verify=no_tls_verify, http_host_header=host_header)
        ingress = single_origin(service_of(origin), request, hostnames, path, policy, health, max_requests=max_requests)
    except InvalidSettings as error:
        raise click.UsageError(by_option(str(error))) from error
    return AgentSettings(ingress=ingress, labels=_labels(labels))


def read_users_files(settings: "AgentSettings") -> None:
    """
    Read what --basic-auth-file names before anything is begun.

    :raises InvalidSettings: naming the option, and what is wrong with the file.
    """
    from warp_twisted.agent.origins.asking import asked_text

    try:
        asked_text(settings.ingress.policies)
    except InvalidSettings as error:
        raise InvalidSettings(by_option(str(error))) from error


def by_option(text: str) -> str:
    """Name the option, or the key of the rule alone, where a message names the key of a file that nobody wrote."""
    text = re.sub(r"^ingress\[\d+\]\.policy\.authenticate\.[^:]*:", "--basic-auth-file:", text)
    text = re.sub(r"^ingress\[\d+\]\.health(\.path)?:", "--health:", text)
    text = re.sub(r"^ingress\[\d+\]\.originRequest\.http_host_header:", "--host-header:", text)
    return re.sub(r"^ingress\[\d+\]\.", "", text)


def policy_of(allow: Sequence[str], users_files: Sequence[str], rates: Sequence[str]) -> "RulePolicy | None":
    """
    Return what edges are asked to enforce, None for nothing.

    :raises UsageError: naming the option that is wrong.
    """
    if not allow and not users_files and not rates:
        return None
    from warp_twisted.agent.origins.asking import RulePolicy
    from warp_twisted.configuration import convert

    limits = [{"name": f"rate-{number}", "rate": rate} for number, rate in enumerate(rates, 1)]
    proofs = [{"basic": {"users_file": name}} for name in users_files]
    raw = {
        **({"sources": {"allow": list(allow)}} if allow else {}),
        **({"limits": limits} if limits else {}),
        **({"authenticate": {"any_of": proofs}} if proofs else {}),
    }
    try:
        return convert(raw, RulePolicy, "")
    except InvalidSettings as error:
        text = str(error).removeprefix(": ")
        for key, option in (("sources.allow", "--allow"), ("limits", "--rate"), ("authenticate", "--basic-auth-file")):
            text = re.sub(rf"^{re.escape(key)}[^:]*:", f"{option}:", text)
        raise click.UsageError(text) from error


def health_of(path: str | None) -> "Health | None":
    """
    Return how the origin is probed; None: it is not.

    :raises UsageError: if that is no path.
    """
    if path is None:
        return None
    from warp_twisted.agent.health.settings import Health
    from warp_twisted.configuration import convert

    try:
        return convert({"tcp": True} if path == "tcp" else {"path": path}, Health, "")
    except InvalidSettings as error:
        raise click.UsageError(f"--health: {str(error).removeprefix(': ').removeprefix('path: ')}") from error


def service_of(origin: str) -> str:
    """Return an origin as settings name it: a bare port or host and port are HTTP."""
    if port := _PORT.fullmatch(origin):
        return f"http://localhost:{port[1]}"
    return f"http://{origin}" if HOST_AND_PORT.fullmatch(origin) else origin


def _settings_of_file(config: str, labels: Sequence[str]) -> "AgentSettings":
    from warp_twisted.agent.settings import read_agent_settings

    settings = read_agent_settings(config)
    return replace(settings, labels={**settings.labels, **_labels(labels)})


def _rereading(config: str, running: "AgentSettings") -> "Callable[[], AgentSettings]":
    """Return what reads the file again; what the command line said, and what only a restart changes, stays."""

    def read() -> "AgentSettings":
        settings = _settings_of_file(config, ())
        return replace(
            settings,
            labels={**settings.labels, **running.labels},
            tunnels=running.tunnels,
            metrics=running.metrics,
            token_file=running.token_file,
            state=running.state,
        )

    return read


def _labels(texts: Sequence[str]) -> Mapping[str, str]:
    try:
        return dict(parse_label(text) for text in texts)
    except InvalidName as error:
        raise click.UsageError(f"--label: {error}") from error


def _default_state(settings: "AgentSettings") -> Path:
    """Return a directory of this application's own, so that one user can expose several."""
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    names = [offer.hostname for offer in settings.ingress.offers if offer.hostname]
    name = "+".join(dict.fromkeys(names)) or settings.ingress.rules[0].origin.text
    return Path(base).expanduser() / "warp" / re.sub(r"[^a-z0-9.+-]+", "-", name.lower())[:100]

"""`warp migrate`: print settings of another program as ours."""

from pathlib import Path

import click
import yaml

from warp_base.escaping import printable
from warp_twisted.cli.output import print_document, say
from warp_twisted.errors import InvalidSettings

_FILE = click.Path(dir_okay=False, exists=True, path_type=Path)
_WIDTH = 120


@click.group(
    short_help="Print settings of another program as agent.yaml.",
    epilog="\b\nExample:\n  warp migrate cloudflared config.yml >agent.yaml",
)
def migrate() -> None:
    """Print settings of another program as agent.yaml; docs/migrating.md has tables for more of them."""


@migrate.command(
    short_help="From a config.yml of cloudflared.",
    epilog="\b\nExamples:\n"
    "  warp migrate cloudflared ~/.cloudflared/config.yml >agent.yaml\n"
    "  warp migrate cloudflared config.yml 2>notes | less\n"
    "\n\b\n"
    "A file such as\n"
    "  tunnel: 6ff42ae2-765d-4adf-8112-31c55c1551ef\n"
    "  ingress:\n"
    "    - {hostname: app.warp.example, service: http://localhost:4000, originRequest: {connectTimeout: 10s}}\n"
    "    - {service: http_status:404}\n"
    "becomes\n"
    "  token_file: /etc/warp/join-token\n"
    "  ingress:\n"
    "  - hostname: app.warp.example\n"
    "    service: http://localhost:4000\n"
    "    originRequest:\n"
    "      connect_timeout: 10.0\n"
    "  - service: http_status:404",
)
@click.argument("config", type=_FILE)
def cloudflared(config: Path) -> None:
    """
    Print a config.yml of cloudflared as agent.yaml.

    What was left out is said on standard error, with the reason. Nothing is printed if the result could not be used.
    """
    from warp_twisted.agent.settings import parse_settings
    from warp_twisted.cli.migrate import cloudflared as theirs
    from warp_twisted.configuration import read_file

    try:
        found = theirs.migrate(read_file(str(config), dict[str, object]))
    except InvalidSettings as error:
        text = str(error)
        raise InvalidSettings(text if text.startswith(str(config)) else f"{config}: {text}") from error
    text = yaml.safe_dump(found.settings, sort_keys=False, allow_unicode=True, width=_WIDTH)
    parse_settings(text, f"{config}, as agent.yaml")
    for note in found.notes:
        say(printable(f"{config}: {note}"), err=True)
    print_document(text)

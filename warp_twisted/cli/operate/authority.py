"""
`warp ca`: the offline root and the intermediates of edges, as files.

What the certificates say is decided by `ca.issue`, how the files are written by `ca.store`; nothing here talks to an
edge, so that it can run on a machine without a network.
"""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import click

from warp_twisted.ca import store
from warp_twisted.ca.issue import permitted_names, to_pem
from warp_twisted.cli.operate.certificate_facts import certificate_facts, tell_certificate
from warp_twisted.cli.operate.registry_authority import registry
from warp_twisted.cli.output import JSON_OPTION, print_json, say
from warp_twisted.errors import InvalidName
from warp_twisted.names import parse_hostname

_DIRECTORY = click.argument("directory", type=click.Path(file_okay=False, path_type=Path))


@click.group(
    short_help="Make the fleet's certificate authority.",
    epilog="\b\nExamples:\n"
    "  warp ca init ca --name warp.example\n"
    "  warp ca intermediate ca --edge edge1 --permit warp.example\n"
    "  warp ca show ca/edge1.pem",
)
def ca() -> None:
    """
    Make the fleet's certificate authority.

    A root, which belongs on a machine that is not on the network, signs one intermediate for each edge. The edge
    issues the certificates of agents with it. Losing the root's key means enrolling every agent again.
    """


@ca.command(epilog="\b\nExample:\n  warp ca init ca --name warp.example")
@_DIRECTORY
@click.option("--name", default="this fleet", help="For people who read the certificate, such as the zone.")
@JSON_OPTION
def init(directory: Path, name: str, as_json: bool) -> None:
    """Make a root in DIRECTORY: root.pem and root.key. An existing root is never overwritten."""
    certificate = store.init_root(directory, name, _now())
    if as_json:
        print_json(certificate_facts(certificate, directory / "root.pem", directory / "root.key"))
        return
    tell_certificate(certificate, directory / "root.pem", directory / "root.key")
    say(f"Keep {directory / 'root.key'} offline; edges need {directory / 'root.pem'} only.")


@ca.command(
    short_help="Make the intermediate of one edge.",
    epilog="\b\nExamples:\n"
    "  warp ca intermediate ca --edge edge1 --permit warp.example\n"
    "  warp ca intermediate ca --edge edge1 --request edge1.csr >edge1.pem",
)
@_DIRECTORY
@click.option("--edge", required=True, metavar="NAME", help="The edge's name, as edge.name in its edge.yaml.")
@click.option(
    "--permit",
    "permitted",
    multiple=True,
    metavar="NAME",
    help="Names under which the edge may issue, such as the zone; may be repeated. Without it, every name.",
)
@click.option(
    "--request",
    type=click.File("r"),
    help="Sign this certificate request (PEM, - for standard input) and print the certificate, so that the key "
    "stays on the edge. Without it, key and certificate are made in DIRECTORY.",
)
@JSON_OPTION
def intermediate(directory: Path, edge: str, permitted: tuple[str, ...], request: TextIO | None, as_json: bool) -> None:
    """Make the intermediate of one edge, signed by the root in DIRECTORY: NAME.pem and NAME.key."""
    try:
        name = parse_hostname(edge)
        names = [parse_hostname(each) for each in permitted]
    except InvalidName as error:
        raise click.UsageError(str(error)) from error
    if "." in name or name == store.ROOT:
        raise click.UsageError(f"--edge {edge}: one DNS label is expected, other than {store.ROOT}")
    if request is not None:
        certificate = store.sign_edge(directory, name, request.read(), _now(), names)
        sys.stdout.write(to_pem(certificate))
        return
    certificate = store.add_edge(directory, name, _now(), names)
    paths = directory / f"{name}.pem", directory / f"{name}.key"
    if as_json:
        print_json(certificate_facts(certificate, *paths))
        return
    tell_certificate(certificate, *paths)
    if not permitted_names(certificate):
        say("  issues under every name; --permit narrows that")
    say(f"The edge needs {paths[0]}, {paths[1]} and {directory / 'root.pem'}: see ca: in edge.yaml.")


@ca.command(
    short_help="Show what certificates are for, and until when.",
    epilog="\b\nExample:\n  warp ca show ca/root.pem ca/edge1.pem",
)
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@JSON_OPTION
def show(files: tuple[Path, ...], as_json: bool) -> None:
    """Show what the certificates in FILES are for, and until when they are valid."""
    found = [(path, certificate) for path in files for certificate in store.read_certificates(path)]
    if as_json:
        print_json([certificate_facts(certificate, path) for path, certificate in found])
        return
    for path, certificate in found:
        tell_certificate(certificate, path)


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


ca.add_command(registry)

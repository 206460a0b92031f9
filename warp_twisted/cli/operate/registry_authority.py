"""
`warp ca registry`: the authority of a fleet's registry (etcd), as files.

What the certificates say is decided by `ca.registry_certificates`, which files there are by `ca.registry_files`;
nothing here talks to an edge or to etcd.
"""

import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import click

from warp_twisted.ca import registry_files
from warp_twisted.ca.issue import to_pem
from warp_twisted.ca.registry_certificates import Use
from warp_twisted.cli.operate.certificate_facts import certificate_facts, tell_certificate
from warp_twisted.cli.output import JSON_OPTION, print_json, say
from warp_twisted.errors import InvalidName
from warp_twisted.names import parse_hostname

_DIRECTORY = click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
_REQUEST = click.option(
    "--request",
    type=click.File("r"),
    help="Sign this certificate request (PEM, - for standard input) and print the certificate, so that the key "
    "stays where it was made. Without it, keys and certificates are made in DIRECTORY.",
)


@click.group(
    short_help="Make the certificates of a registry for several edges.",
    epilog="\b\nExamples:\n"
    "  warp ca registry init ca --name warp.example\n"
    "  warp ca registry member ca --member etcd1 --address 192.0.2.10 --address etcd1.internal\n"
    "  warp ca registry edge ca --edge edge1\n"
    "  warp ca registry renew ca\n"
    "\b\nWhat they are for:\n"
    "  etcd --client-cert-auth --trusted-ca-file registry-root.pem \\\n"
    "       --cert-file registry-server-etcd1.pem --key-file registry-server-etcd1.key \\\n"
    "       --peer-client-cert-auth --peer-trusted-ca-file registry-root.pem \\\n"
    "       --peer-cert-allowed-cn warp-registry-peer \\\n"
    "       --peer-cert-file registry-peer-etcd1.pem --peer-key-file registry-peer-etcd1.key\n"
    "  edge.yaml: registry: {etcd: {endpoints: [https://192.0.2.10:2379], ca: registry-root.pem,\n"
    "             certificate: registry-client-edge1.pem, key: registry-client-edge1.key}}",
)
def registry() -> None:
    """
    Make the certificates of a registry for several edges.

    The edges of a fleet share an etcd, which lets in whoever shows a certificate of its authority. That is one of its
    own: below the fleet's root the certificate of every agent would open the registry.
    """


@registry.command(epilog="\b\nExample:\n  warp ca registry init ca --name warp.example")
@_DIRECTORY
@click.option("--name", default="this fleet", help="For people who read the certificate, such as the zone.")
@JSON_OPTION
def init(directory: Path, name: str, as_json: bool) -> None:
    """Make the registry's root in DIRECTORY. An existing one is never overwritten."""
    certificate = registry_files.init_registry(directory, name, _now())
    paths = directory / f"{registry_files.REGISTRY_ROOT}.pem", directory / f"{registry_files.REGISTRY_ROOT}.key"
    if as_json:
        print_json(certificate_facts(certificate, *paths))
        return
    tell_certificate(certificate, *paths)
    say(f"Keep {paths[1]} offline; etcd and edges need {paths[0]} only.")


@registry.command(
    short_help="Make the certificates of one member.",
    epilog="\b\nExamples:\n"
    "  warp ca registry member ca --member etcd1 --address 192.0.2.10\n"
    "  warp ca registry member ca --member etcd1 --address 192.0.2.10 --for peer --request etcd1.csr >peer.pem",
)
@_DIRECTORY
@click.option("--member", required=True, metavar="NAME", help="The member's name, as in etcd --name.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    required=True,
    metavar="HOST",
    help="A hostname or IP address at which edges and other members reach it; may be repeated.",
)
@click.option(
    "--for",
    "use",
    type=click.Choice(["server", "peer"]),
    help="Only the certificate for its clients, or for other members. Without it both; required with --request.",
)
@_REQUEST
@JSON_OPTION
def member(
    directory: Path, member: str, addresses: tuple[str, ...], use: str | None, request: TextIO | None, as_json: bool
) -> None:
    """Make the certificates of one member of etcd: for its clients, and for other members."""
    name = _label("--member", member)
    uses = [Use.SERVER, Use.PEER] if use is None else [Use[use.upper()]]
    if request is not None:
        if use is None:
            raise click.UsageError("--request needs --for server or --for peer")
        _sign(directory, uses[0], name, addresses, request)
        return
    _add(directory, uses, name, addresses, as_json)


@registry.command(
    short_help="Make the certificate of one edge.",
    epilog="\b\nExamples:\n"
    "  warp ca registry edge ca --edge edge1\n"
    "  warp ca registry edge ca --edge edge1 --request edge1.csr >registry-client.pem",
)
@_DIRECTORY
@click.option("--edge", required=True, metavar="NAME", help="The edge's name, as edge.name in its edge.yaml.")
@_REQUEST
@JSON_OPTION
def edge(directory: Path, edge: str, request: TextIO | None, as_json: bool) -> None:
    """Make the certificate with which one edge asks etcd."""
    name = _label("--edge", edge)
    if request is not None:
        _sign(directory, Use.CLIENT, name, (), request)
        return
    _add(directory, [Use.CLIENT], name, (), as_json)


@registry.command(
    short_help="Renew what ends within 90 days.",
    epilog="\b\nExample:\n  warp ca registry renew ca",
)
@_DIRECTORY
@JSON_OPTION
def renew(directory: Path, as_json: bool) -> None:
    """
    Renew the certificates in DIRECTORY that end within 90 days; keys and names stay.

    Copy what is new to its host: etcd reads its files for each connection, an edge when it is reloaded.
    """
    found = list(registry_files.renew(directory, _now()))
    if as_json:
        print_json([{**certificate_facts(each, path), "renewed": is_new} for path, each, is_new in found])
        return
    for path, each, is_new in found:
        say(f"{path}: {'renewed' if is_new else 'good'}, until {each.not_valid_after_utc:%Y-%m-%d}")


def _add(directory: Path, uses: Sequence[Use], name: str, addresses: Sequence[str], as_json: bool) -> None:
    made = [registry_files.add_certificate(directory, use, name, addresses, _now()) for use in uses]
    if as_json:
        print_json([certificate_facts(each, path, path.with_suffix(".key")) for path, each in made])
        return
    for path, each in made:
        tell_certificate(each, path, path.with_suffix(".key"))


def _sign(directory: Path, use: Use, name: str, addresses: Sequence[str], request: TextIO) -> None:
    certificate = registry_files.sign_certificate(directory, use, name, addresses, request.read(), _now())
    sys.stdout.write(to_pem(certificate))


def _label(option: str, text: str) -> str:
    try:
        name = parse_hostname(text)
    except InvalidName as error:
        raise click.UsageError(str(error)) from error
    if "." in name:
        raise click.UsageError(f"{option} {text}: one DNS label is expected")
    return name


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)

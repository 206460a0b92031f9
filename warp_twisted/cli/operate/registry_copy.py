"""`warp registry copy`: a registry from an edge's file onto an etcd, or back; `registry.etcd.moving` does it."""

from pathlib import Path

import click

from warp_twisted.cli.output import JSON_OPTION, print_json, say
from warp_twisted.registry.etcd.blocking import BlockingEtcd
from warp_twisted.registry.etcd.moving import EtcdPlace, FilePlace, Place, copy_registry
from warp_twisted.registry.etcd.trust import TrustFiles

SAY_EVERY = 1000  # keys

_FILE = click.Path(dir_okay=False, exists=True, path_type=Path)


@click.group(
    short_help="Copy the registry onto an etcd, or back.",
    epilog="\b\nExample:\n  warp registry copy --from /var/lib/warp-edge --to https://etcd1:2379 \\\n"
    "    --ca registry-root.pem --certificate registry-client-edge1.pem --key registry-client-edge1.key",
)
def registry() -> None:
    """
    Copy the registry onto an etcd, or back.

    One edge keeps its registry in a file. Several edges share one in an etcd (registry in edge.yaml).
    """


@registry.command(
    short_help="Copy everything that lasts, and compare.",
    epilog="\b\nExamples:\n"
    "  warp registry copy --from /var/lib/warp-edge --to https://etcd1:2379 \\\n"
    "    --ca registry-root.pem --certificate registry-client-edge1.pem --key registry-client-edge1.key\n"
    "  warp registry copy --from http://127.0.0.1:2379 --to /var/lib/warp-edge --replace",
)
@click.option("--from", "source", required=True, metavar="PLACE", help="A directory (state in edge.yaml), or URLs.")
@click.option("--to", "target", required=True, metavar="PLACE", help="The same; URLs of etcd are parted by commas.")
@click.option("--ca", type=_FILE, help="The authority of etcd's certificates.")
@click.option("--certificate", type=_FILE, help="A certificate for etcd.")
@click.option("--key", type=_FILE, help="Its key.")
@click.option("--replace", is_flag=True, help="Also where there is a registry already, which is gone then.")
@JSON_OPTION
def copy(
    source: str,
    target: str,
    ca: Path | None,
    certificate: Path | None,
    key: Path | None,
    replace: bool,
    as_json: bool,
) -> None:
    """
    Copy tokens, agents, revocations, owners, the policy and all else that lasts, and compare what has arrived.

    Stop the edges before. An edge refuses an etcd whose copy did not come to its end; run the command again then, with
    --replace.
    """
    files = _files(ca, certificate, key)

    def progress(done: int, of: int) -> None:
        if not as_json and done // SAY_EVERY != progress_said[0] // SAY_EVERY:
            say(f"{done} of {of} keys", err=True)
        progress_said[0] = done

    progress_said = [0]
    count = copy_registry(_place(source, files), _place(target, files), progress, replace=replace)
    if as_json:
        print_json({"keys": count, "from": source, "to": target})
        return
    say(f"{count} keys copied and compared")


def _place(text: str, files: TrustFiles | None) -> Place:
    if "://" not in text:
        return FilePlace(Path(text))
    urls = text.split(",")
    if any(url.startswith("https://") for url in urls) and files is None:
        raise click.UsageError("an https etcd needs --ca, --certificate and --key")
    return EtcdPlace(BlockingEtcd([url.rstrip("/") for url in urls], files))


def _files(ca: Path | None, certificate: Path | None, key: Path | None) -> TrustFiles | None:
    if ca is None or certificate is None or key is None:
        if ca or certificate or key:
            raise click.UsageError("--ca, --certificate and --key go together")
        return None
    return TrustFiles(ca=ca, certificate=certificate, key=key)

"""
Whether an edge that starts now could use the policy that it is meant to have: its file, or the fleet's in its registry.

Nothing is changed. A release that is about to be installed asks this, so that it is not found out by visitors.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from twisted.internet.defer import Deferred, execute

from warp_twisted.edge.policy.loading import Refused, load, load_text
from warp_twisted.errors import InvalidSettings
from warp_twisted.registry.errors import RegistryError, StoreBroken
from warp_twisted.registry.model import PolicyVersion
from warp_twisted.registry.policy_versions import PolicyReader
from warp_twisted.registry.sqlite_file import read_item


def check_policy(file: str, directory: str) -> None:
    """
    See whether a file can be used.

    :raises InvalidSettings: naming the key `policy`, and what is wrong.
    """
    try:
        load(file, directory, {})
    except Refused as error:
        raise InvalidSettings(f"policy: {error}") from error


def check_fleet_policy(registry: Path, directory: str) -> None:
    """
    See whether the fleet's policy can be used, if there is one.

    :param registry: its file, which may be in use, or not be there yet.
    :param directory: of the files that the policy names.
    :raises InvalidSettings: naming version, key path and what is wrong; an edge that starts would let nobody through.
    """
    if not registry.exists():
        return
    try:
        with closing(sqlite3.connect(f"{registry.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            found = _read(PolicyReader(lambda key: execute(read_item, connection, key)))
        if found is not None:
            version, text = found
            load_text(text, f"version {version.number} of the policy", directory, {})
    except (sqlite3.Error, StoreBroken) as error:
        raise InvalidSettings(f"state: {registry}: {error}") from error
    except (Refused, RegistryError) as error:
        raise InvalidSettings(
            f"policy_files: {error}; mend that, or apply another policy, before the edge starts again"
        ) from error


def _read(reader: PolicyReader) -> tuple[PolicyVersion, bytes] | None:
    """Return the version in force, and its text; nothing has to be waited for."""
    found: list[tuple[PolicyVersion, bytes] | None] = []
    failed: list[BaseException] = []
    Deferred.fromCoroutine(reader.in_force()).addCallbacks(found.append, lambda failure: failed.append(failure.value))
    if failed:
        raise failed[0]
    return found[0]

"""
The previous release, taken from the history of this repository: the commit that the file PREVIOUS names.

Whoever makes a release puts its commit there. The programs run with this environment's packages.
"""

import os
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

from twisted.trial.unittest import SkipTest

ROOT = Path(__file__).resolve().parents[3]
PARTS = ("", "dns", "warp_twisted/_dropins")  # of a tree, as a checkout's PYTHONPATH has them


def commit() -> str:
    """Return the commit of the previous release."""
    return Path(__file__).with_name("PREVIOUS").read_text().strip()


def extract(directory: Path) -> Path:
    """
    Write the previous release's tree below a directory.

    :raises SkipTest: if the history is not there, as in an archive of the source.
    """
    target = directory / "previous"
    target.mkdir()
    git = ["git", "-c", "safe.directory=*", "-C", str(ROOT)]
    found = subprocess.run([*git, "archive", commit(), "warp_twisted", "dns"], capture_output=True, check=False)
    if found.returncode:
        raise SkipTest(f"the previous release's commit is not in this repository: {found.stderr.decode().strip()}")
    with tarfile.open(fileobj=BytesIO(found.stdout)) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Debian's Python 3.11.2 has none
        archive.extractall(target)
    return target


def search_path(tree: Path) -> str:
    """Return the PYTHONPATH with which programs of a tree run."""
    return os.pathsep.join(str(tree / part) for part in PARTS)

"""
The Debian tree that every run starts from, made by mmdebstrap from the archive that this machine uses.

It is kept for a week, under a name made from what decides its content; a run works on a layer of its own above it.
"""

import shutil
import time
from pathlib import Path

from tests.fleet.images import archives, codename, digest, once
from tests.fleet.place import MAKE_SECONDS, run

# A minimal system beside these is what `required` and apt bring.
PACKAGES = ("git", "make", "python3")
MOST_SECONDS = 7 * 86400


def base_tree(directory: Path) -> Path:
    """
    Return the tree, made anew when there is none or it is older than a week: half a minute.

    :param directory: where trees are kept.
    """
    suite, packages = codename(), ",".join(PACKAGES)

    def build(scratch: Path) -> None:
        run(
            "mmdebstrap", "--quiet", "--format=directory", "--variant=minbase", f"--include={packages}",
            suite, scratch, archives(), seconds=MAKE_SECONDS,
        )  # fmt: skip

    target = directory / f"base-{digest(suite, packages, archives().read_text())}"
    for old in directory.glob("base-*"):
        if old != target or time.time() - old.stat().st_mtime > MOST_SECONDS:
            shutil.rmtree(old)
    return once(target, build)

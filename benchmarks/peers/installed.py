"""
Peers that Debian does not have: built once by their language's own tools, kept outside the tree, pinned.

chisel needs `go`, rathole needs `cargo`; where they are missing, or cannot fetch what they need, the peer is left
out with a line that says so. Each version has a directory of its own in the cache, so a changed pin is built anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import ProgramMissing
from benchmarks.processes import DIE_WITH_PARENT

CHISEL_VERSION = "1.10.1"
RATHOLE_VERSION = "0.5.0"
_BUILD_SECONDS = 1200

# `go install chisel@version` would ask for the module's list of versions too, which not every mirror has. A module that
# requires it needs nothing but this version.
_CHISEL_MODULE = f"""\
module peer
go 1.21
require github.com/jpillora/chisel v{CHISEL_VERSION}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """
    How to build one program.

    :param tool: the program that builds it.
    :param command: makes the file from the tool's path and the target; run in an empty directory.
    :param files: what lies in that directory.
    """

    name: str
    version: str
    tool: str
    command: Callable[[str, Path], list[str]]
    files: dict[str, str]


CHISEL = Recipe(
    name="chisel",
    version=CHISEL_VERSION,
    tool="go",
    command=lambda go, target: [go, "build", "-mod=mod", "-o", str(target), "github.com/jpillora/chisel"],
    files={"go.mod": _CHISEL_MODULE},
)

# Without --locked: releases of 2023 that this version's lock file names do not compile with Rust 1.80 and newer.
RATHOLE = Recipe(
    name="rathole",
    version=RATHOLE_VERSION,
    tool="cargo",
    command=lambda cargo, target: [
        *(cargo, "install", "rathole", "--version", RATHOLE_VERSION, "--root", str(target.parent.parent), "--no-track")
    ],
    files={},
)


def cache_directory() -> Path:
    """Name the directory that keeps what was built."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "warp-benchmarks"


def installed(recipe: Recipe, progress: Callable[[str], None], cache: Path | None = None) -> Path:
    """
    Find a program in the cache, and build it first if it is not there.

    :param progress: told when a build begins, as one takes minutes.
    :raises ProgramMissing: with the reason, if it cannot be built.
    """
    target = (cache or cache_directory()) / f"{recipe.name}-{recipe.version}" / "bin" / recipe.name
    if os.access(target, os.X_OK):
        return target
    tool = shutil.which(recipe.tool)
    if tool is None:
        raise ProgramMissing(f"{recipe.name} {recipe.version}: {recipe.tool}, which builds it, is not installed")
    progress(f"building {recipe.name} {recipe.version} with {recipe.tool}, once; this takes some minutes")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="warp-bench-build-") as directory:
        for name, text in recipe.files.items():
            (Path(directory) / name).write_text(text)
        try:
            built = subprocess.run(
                [*DIE_WITH_PARENT, *recipe.command(tool, target)],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_BUILD_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ProgramMissing(f"{recipe.name}: {recipe.tool} did not build it in {_BUILD_SECONDS} s") from None
    if built.returncode != 0 or not os.access(target, os.X_OK):
        last = built.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise ProgramMissing(f"{recipe.name} {recipe.version}: {recipe.tool} failed: {last[0]}")
    return target

"""
What a fresh tree takes over from this machine: how apt and pip reach their archives, and nothing else.

Taken at run time from files and environment variables; none of it is written into the project.
"""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.fleet.images import archives
from tests.fleet.place import run

# Names, and who this machine trusts. update-ca-certificates finds certificates of its own in the second.
_FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/apt/auth.conf", "/etc/pip.conf", "/etc/xdg/pip/pip.conf")
_DIRECTORIES = (
    "/etc/apt/auth.conf.d",
    "/etc/apt/keyrings",
    "/etc/apt/trusted.gpg.d",
    "/usr/local/share/ca-certificates",
)
_HOME_FILES = (".config/pip/pip.conf", ".pip/pip.conf", ".netrc")
_VARIABLE = re.compile(
    r"(?:PIP_\w+|(?:https?|all|no)_proxy|SSL_CERT_(?:FILE|DIR)|(?:REQUESTS|CURL)_CA_BUNDLE)", re.IGNORECASE
)
# How apt downloads; not which hooks it runs, nor which further indexes a desktop wants.
_APT_LINE = re.compile(r"Acquire::(?!IndexTargets\b).*")
_PATH = re.compile(r"""(?<![\w:/.])/[\w./+@-]+""")


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return those environment variables by which package clients reach their archives."""
    return {name: value for name, value in environment.items() if _VARIABLE.fullmatch(name)}


def apt_lines(dump: str) -> str:
    """Return the lines of `apt-config dump` that say how apt downloads."""
    return "".join(f"{line}\n" for line in dump.splitlines() if _APT_LINE.fullmatch(line))


def named_paths(*texts: str) -> Iterator[Path]:
    """Yield each absolute path that is named in a text and exists here."""
    for text in texts:
        for found in _PATH.findall(text):
            if (path := Path(found)).exists():
                yield path


def take_over(root: Path, environment: Mapping[str, str]) -> tuple[dict[str, str], list[Path]]:
    """
    Copy this machine's configuration of apt and pip into a tree.

    :returns: the environment variables to set there, and the directories to show there read-only.
    """
    home = Path(environment.get("HOME", "/root"))
    lines = apt_lines(run("apt-config", "dump"))
    values = variables(environment)
    texts = [lines, *values.values()]
    for source, target in _sources(home):
        _copy(source, root / target.relative_to("/"))
        if source.suffix == ".conf" and source.stat().st_size < 65536:
            texts.append(source.read_text(errors="replace"))
    settings = root / "etc/apt/apt.conf.d/99machine"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(lines)
    shown = []
    for path in dict.fromkeys(named_paths(*texts)):
        if path.is_file() or path.is_relative_to("/etc"):
            _copy(path, root / path.relative_to("/"))
        elif path.is_dir() and path != Path("/"):
            shown.append(path)
    return values, shown


def _sources(home: Path) -> Iterator[tuple[Path, Path]]:
    """Yield what is copied, and where to."""
    given = os.environ.get("PIP_CONFIG_FILE", "")
    for path in (*map(Path, _FILES), *map(Path, _DIRECTORIES), *([Path(given)] if given != os.devnull else [])):
        if path.is_absolute() and path.exists():
            yield path, path
    for name in _HOME_FILES:
        if (home / name).is_file():
            yield home / name, Path("/root") / name
    yield archives(), archives()


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)
        shutil.copymode(source, target)

#!/usr/bin/python
"""Ansible module: have Warp's wheel on the controller, and name the release that follows from it."""

DOCUMENTATION = r"""
---
module: warp_wheel
short_description: Have Warp's wheel on the controller, and name its release
description:
  - Builds the wheel from a checkout, unless the wheel of exactly these sources was built before.
  - The release's name has the version and a digest of what is installed, so equal names are equal installations.
  - Runs on the controller, with C(delegate_to=localhost).
options:
  source:
    description: The checkout to build from; not read when O(wheel) is given.
    type: path
    required: true
  wheel:
    description: A wheel that was built elsewhere; relative to O(source), or absolute.
    type: path
  constraints:
    description: File with the versions of all dependencies, relative to O(source) or absolute; in the release's digest.
    type: path
    required: true
  backend:
    description: >-
      File with the version and the hashes of the build backend, relative to O(source) or absolute; that is fetched for
      the build unless the controller's Python has exactly this version.
    type: path
    default: roles/warp_common/files/build.txt
  directory:
    description: Where built wheels are kept, relative to O(source).
    type: path
    default: dist/releases
author:
  - The Warp authors
"""

EXAMPLES = r"""
- name: Build the wheel of this checkout
  warp_wheel:
    source: "{{ playbook_dir }}"
    constraints: roles/warp_common/files/constraints.txt
  delegate_to: localhost

- name: Name the release of a wheel that was built elsewhere
  warp_wheel:
    source: "{{ playbook_dir }}"
    wheel: dist/warp_twisted-0.1.0-py3-none-any.whl
    constraints: roles/warp_common/files/constraints.txt
  delegate_to: localhost
"""

RETURN = r"""
path:
  description: Where the wheel is.
  type: str
  returned: always
release:
  description: Version and digest.
  type: str
  returned: always
  sample: 0.1.0-3f9c2b7a6d10
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

# All that a wheel is made of.
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "warp_twisted", "dns")
LEFT_OUT = re.compile(r"__pycache__$|\.py[cod]$|\.egg-info$|^dropin\.cache$|^\.")
BACKEND = re.compile(r"^setuptools==(?P<version>\S+)", re.MULTILINE)
WHEEL = re.compile(r"(?P<name>\w+)-(?P<version>[^-]+)(-[^-]+){3,4}\.whl")


class Refused(Exception):
    """The wheel cannot be had; the message says why."""


def source_files(source: Path) -> Iterator[Path]:
    """Yield every file that goes into the wheel, always in the same order."""
    for name in SOURCES:
        top = source / name
        if top.is_dir():
            for path in sorted(top.rglob("*")):
                inside = path.relative_to(top).parts
                if path.is_file() and not any(LEFT_OUT.search(part) for part in inside):
                    yield path
        elif top.is_file():
            yield top


def digest(named: list[tuple[str, bytes]]) -> str:
    """Condense names and contents into twelve characters."""
    total = hashlib.sha256()
    for name, content in named:
        total.update(f"{name} {len(content)}\n".encode() + content)
    return total.hexdigest()[:12]


def version_of(wheel: Path) -> str:
    """Read the version from a wheel's file name."""
    match = WHEEL.fullmatch(wheel.name)
    if match is None or match["name"] != "warp_twisted":
        raise Refused(f"wheel: expected a file like warp_twisted-1.0-py3-none-any.whl, got {wheel}")
    return match["version"]


def run(command: list[str], environment: dict[str, str]) -> None:
    """
    Run pip.

    :raises Refused: if it fails, with the end of what it said.
    """
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise Refused(f"the wheel was not built: {(done.stderr or done.stdout).strip()[-2000:]}")


def has_backend(backend: Path) -> bool:
    """Say whether this Python has the build backend in the pinned version."""
    try:
        pinned = BACKEND.search(backend.read_text())
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}") from error
    if pinned is None:
        raise Refused(f"backend: expected setuptools==VERSION, found none in {backend}")
    try:
        return version("setuptools") == pinned["version"]
    except PackageNotFoundError:
        return False


def build(source: Path, files: list[Path], backend: Path, into: Path) -> None:
    """Build a wheel from a copy of these files: what an earlier build left in the checkout cannot leak into it."""
    with tempfile.TemporaryDirectory(prefix="warp-wheel-") as scratch:
        for path in files:
            copy = Path(scratch, "source", path.relative_to(source))
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        environment = dict(os.environ)
        if not has_backend(backend):
            fetched = str(Path(scratch, "backend"))
            archives = ["--require-hashes", "--only-binary=:all:", "--requirement", str(backend)]
            run([*pip, "install", "--quiet", "--no-deps", "--target", fetched, *archives], environment)
            environment["PYTHONPATH"] = fetched
        what = ["--wheel-dir", str(Path(scratch, "wheel")), str(Path(scratch, "source"))]
        run([*pip, "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", *what], environment)
        # Whole or not there: another host's task may look for it at this moment.
        into.parent.mkdir(parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(prefix=".half-", dir=into.parent))
        half.chmod(0o755)
        for path in Path(scratch, "wheel").glob("*.whl"):
            shutil.copyfile(path, half / path.name)
        try:
            half.rename(into)
        except OSError:
            shutil.rmtree(half)


def provide(
    source: Path, wheel: Path | None, constraints: Path, backend: Path, directory: Path, is_check: bool
) -> dict[str, object]:
    """
    Find or build the wheel.

    :returns: the module's result.
    :raises Refused: if there is none.
    """
    try:
        pinned = ("constraints", constraints.read_bytes())
        if wheel is not None:
            release = f"{version_of(wheel)}-{digest([pinned, (wheel.name, wheel.read_bytes())])}"
            return {"changed": False, "path": str(wheel), "release": release}
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}") from error
    files = list(source_files(source))
    if source / "pyproject.toml" not in files:
        raise Refused(f"source: expected a checkout of Warp, found no pyproject.toml in {source}")
    mark = digest([pinned, *((str(path.relative_to(source)), path.read_bytes()) for path in files)])
    target = source / directory / mark
    changed = not target.is_dir()
    if changed and not is_check:
        build(source, files, backend, target)
    found = next(iter(sorted(target.glob("*.whl"))), None)
    if found is None:
        if is_check:
            return {"changed": True, "path": "", "release": f"unbuilt-{mark}"}
        raise Refused(f"{target} holds no wheel; remove it and run again")
    return {"changed": changed, "path": str(found), "release": f"{version_of(found)}-{mark}"}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "source": {"type": "path", "required": True},
            "wheel": {"type": "path"},
            "constraints": {"type": "path", "required": True},
            "backend": {"type": "path", "default": "roles/warp_common/files/build.txt"},
            "directory": {"type": "path", "default": "dist/releases"},
        },
        supports_check_mode=True,
    )
    given = module.params
    source = Path(given["source"]).resolve()
    try:
        result = provide(
            source,
            source / given["wheel"] if given["wheel"] else None,
            source / given["constraints"],
            source / given["backend"],
            Path(given["directory"]),
            module.check_mode,
        )
    except Refused as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

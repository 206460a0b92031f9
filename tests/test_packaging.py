"""
Tests of what users install: the wheel, the sdist and the editable install, each in a fresh environment.

The tree is copied first, because a build leaves `build/` and egg-info behind and packs what it finds there. The
dependencies are those of the environment that runs the tests, put on the path by one `.pth` file: nothing is
downloaded.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent
_IGNORED = shutil.ignore_patterns(
    ".git", ".venv*", "build", "dist", "*.egg-info", "__pycache__", "dropin.cache", "_trial_temp*", ".*_cache"
)
_TWISTD = "from twisted.scripts.twistd import run; run()"


def _run(*command: str | Path, cwd: Path, path: str = "") -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    if path:
        environment["PYTHONPATH"] = path
    done = subprocess.run(
        command, cwd=cwd, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def _copy(target: Path) -> Path:
    return Path(shutil.copytree(ROOT, target, ignore=_IGNORED))


def _build(source: Path, hook: str, out: Path) -> Path:
    """Call one hook of the build backend, as `python -m build` does, and return the file it made."""
    out.mkdir(exist_ok=True)
    script = f"import sys; from setuptools import build_meta; print(build_meta.{hook}(sys.argv[1]))"
    return out / _run(sys.executable, "-c", script, out, cwd=source).split()[-1]


@cache
def _distributions() -> tuple[Path, Path, Path]:
    """Copy the tree, build the sdist from the copy and the wheel from the unpacked sdist, once for all tests."""
    work = Path(tempfile.mkdtemp(dir=".")).resolve()
    tree = _copy(work / "tree")
    sdist = _build(tree, "build_sdist", work / "dist")
    shutil.unpack_archive(sdist, work / "unpacked")
    (source,) = (work / "unpacked").iterdir()
    return tree, sdist, _build(source, "build_wheel", work / "dist")


def _environment(directory: Path, *install: str | Path) -> Path:
    """
    Make an environment, install into it without a network, and return its python.

    :param install: arguments of `pip install`.
    """
    outer = sysconfig.get_path("purelib")
    _run(sys.executable, "-m", "venv", "--without-pip", directory, cwd=Path())
    python = directory.resolve() / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    _run(*pip, "--no-build-isolation", *install, cwd=Path(), path=outer)
    inner = _run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=Path()).strip()
    Path(inner, "zz-dependencies.pth").write_text(f"{outer}\n")
    return python


class DistributionTests(SynchronousTestCase):
    """What the archives hold."""

    def test_wheel_holds_the_packages_and_nothing_else(self) -> None:
        """The wheel has our three packages, the plugin file and what Python reads when it starts: nothing else."""
        _, _, wheel = _distributions()
        names = zipfile.ZipFile(wheel).namelist()
        tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
        self.assertEqual(tops, {"warp_twisted", "warp_dns", "warp_base", "twisted", "warp_hangup.pth"})
        self.assertEqual([name for name in names if name.startswith("twisted/")], ["twisted/plugins/warp_dropin.py"])
        self.assertEqual([name for name in names if "_dropins" in name], [])

    def test_wheel_holds_every_module_and_data_file(self) -> None:
        """Each module, schema, specification and type marker of the tree is in the wheel."""
        tree, _, wheel = _distributions()
        names = set(zipfile.ZipFile(wheel).namelist())
        wanted = set()
        for base, package in ((tree, "warp_twisted"), (tree / "dns", "warp_dns"), (tree / "dns", "warp_base")):
            for path in (base / package).rglob("*"):
                if path.suffix in (".py", ".sql", ".md", ".txt", ".typed") and "_dropins" not in path.parts:
                    wanted.add(path.relative_to(base).as_posix())
        self.assertEqual(wanted - names, set())

    def test_wheel_carries_licence_and_readme(self) -> None:
        """The licence's text travels with the wheel, and its description is the README."""
        _, _, wheel = _distributions()
        archive = zipfile.ZipFile(wheel)
        names = archive.namelist()
        licence = next(name for name in names if name.endswith("licenses/LICENSE"))
        self.assertEqual(archive.read(licence), (ROOT / "LICENSE").read_bytes())
        metadata = archive.read(next(name for name in names if name.endswith("/METADATA"))).decode()
        self.assertIn("License-Expression: Apache-2.0", metadata)
        self.assertIn((ROOT / "README.md").read_text().splitlines()[0], metadata)

    def test_sdist_holds_roles_playbooks_and_tests(self) -> None:
        """The sdist is enough to test and to deploy from."""
        tree, sdist, _ = _distributions()
        with tarfile.open(sdist) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        wanted = {
            path.relative_to(tree).as_posix()
            for directory in (
                "roles",
                "playbooks",
                "tests",
                "constraints",
                "docs",
                "warp_twisted",
                "dns",
                "inventory.example",
            )
            for path in (tree / directory).rglob("*")
            if path.suffix in (".py", ".yml", ".md", ".j2", ".go") and "__pycache__" not in path.parts
        }
        self.assertEqual(wanted - names, set())
        self.assertLessEqual({"LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "tests/__init__.py"}, names)


class InstalledTests(SynchronousTestCase):
    """What works once it is installed, started from a directory that is not the checkout."""

    def check(self, python: Path) -> None:
        """Assert that the services, the command and the packages are there."""
        elsewhere = Path(self.mktemp())
        elsewhere.mkdir()
        for service in ("warp-edge", "warp-agent", "warp-dns"):
            usage = _run(python, "-c", _TWISTD, service, "--help", cwd=elsewhere)
            self.assertIn("--config", usage, service)
        version = re.search(r'__version__ = "(.*)"', (ROOT / "warp_twisted" / "__init__.py").read_text())
        assert version is not None
        self.assertIn(version[1], _run(python.parent / "warp", "version", cwd=elsewhere))
        script = "import warp_twisted.names, warp_dns, dns.resolver; print(dns.resolver.__name__)"
        self.assertIn("dns.resolver", _run(python, "-c", script, cwd=elsewhere))

    def test_wheel(self) -> None:
        """A wheel built from the sdist has the services, the command, and leaves dnspython alone."""
        _, _, wheel = _distributions()
        python = _environment(Path(self.mktemp()), wheel)
        self.check(python)
        script = "import signal; print(signal.getsignal(signal.SIGHUP).name)"
        self.assertEqual(_run(python, "-c", script, "warp-edge", cwd=Path()).strip(), "SIG_IGN")

    def test_editable(self) -> None:
        """An editable install has the services too, and an edit is live."""
        tree = _copy(Path(self.mktemp()).resolve())
        python = _environment(Path(self.mktemp()), "--editable", tree)
        self.check(python)
        with (tree / "warp_twisted" / "names.py").open("a") as module:
            module.write('EDITED = "an edit is live"\n')
        script = "from warp_twisted.names import EDITED; print(EDITED)"
        self.assertIn("an edit is live", _run(python, "-c", script, cwd=Path()))

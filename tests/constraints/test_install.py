"""
Tests for constraints.install against an index of our own: a newer release, or a changed archive, changes nothing.

The index is a directory served on loopback, in the form that pip asks for (PEP 503), with a package made here.
"""

import hashlib
import os
import sys
import zipfile
from pathlib import Path
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase
from twisted.web.server import Site
from twisted.web.static import File

from constraints.pins import ROOT, Pin
from tests.case import reactor

_INSTALL = """
import sys
from constraints.install import CannotInstall, install_pins
from tests.case import reactor
from constraints.pins import read
try:
    install_pins(read(open(sys.argv[1]).read()), "--target", sys.argv[2])
except CannotInstall as error:
    sys.exit(str(error))
"""


def make_wheel(directory: Path, name: str, version: str, content: str = "") -> str:
    """Write a wheel with one module, and return its hash."""
    path = directory / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", f"version = {version!r}\n{content}")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


class IndexTests(TestCase):
    """What is installed while an index changes."""

    def setUp(self) -> None:
        """Serve an index that has one package in one version."""
        self.directory = Path(self.mktemp()).absolute()
        self.files = self.directory / "simple" / "toy"
        self.files.mkdir(parents=True)
        self.target = self.directory / "target"
        self.pin = Pin("toy", "1.0", (make_wheel(self.files, "toy", "1.0"),))
        self.list_files()
        site: Any = Site(File(str(self.directory)))  # Twisted types it as no ServerFactory
        port = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")} | {
            "PYTHONPATH": str(ROOT),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": f"http://127.0.0.1:{cast(IPv4Address, port.getHost()).port}/simple/",
            "PIP_NO_CACHE_DIR": "1",
            "PIP_RETRIES": "0",
        }

    def list_files(self) -> None:
        """Write the page that lists the package's archives."""
        links = [
            f'<a href="{path.name}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}">{path.name}</a>'
            for path in sorted(self.files.glob("*.whl"))
        ]
        (self.files / "index.html").write_text("\n".join(["<!DOCTYPE html>", *links]))

    async def run_python(self, *arguments: str) -> tuple[str, str, int]:
        """Run Python with the index as pip's only one, and return output, errors and exit status."""
        output, errors, status = await getProcessOutputAndValue(
            sys.executable, arguments, env=self.environment, path=str(self.directory)
        )
        return output.decode(), errors.decode(), status

    async def install(self) -> tuple[str, str, int]:
        """Install the pinned version into the target."""
        pins = self.directory / "pins.txt"
        pins.write_text(self.pin.text())
        return await self.run_python("-c", _INSTALL, str(pins), str(self.target))

    async def test_a_newer_release_changes_nothing(self) -> None:
        """A newer release, which pip left to itself would take, is not installed; progress is one line a package."""
        make_wheel(self.files, "toy", "2.0")
        self.list_files()
        _, errors, status = await self.run_python("-m", "pip", "download", "--no-deps", "--dest", "free", "toy")
        self.assertEqual(status, 0, errors)
        self.assertEqual([path.name for path in (self.directory / "free").iterdir()], ["toy-2.0-py3-none-any.whl"])

        output, errors, status = await self.install()
        self.assertEqual(status, 0, errors)
        self.assertEqual(output.splitlines(), ["  1/1 toy==1.0", "  unpacking 1 packages"])
        self.assertIn("version = '1.0'", (self.target / "toy.py").read_text())

    async def test_a_changed_archive_is_refused(self) -> None:
        """An archive of the same name with other content is not installed, and pip says why."""
        make_wheel(self.files, "toy", "1.0", content="changed = True\n")
        for index_admits_it in (False, True):
            if index_admits_it:
                self.list_files()
            _, errors, status = await self.install()
            self.assertNotEqual(status, 0)
            self.assertIn("DO NOT MATCH THE HASHES", errors)
            self.assertIn("pip ended with 1", errors)
            self.assertFalse((self.target / "toy.py").exists())

    async def test_another_archive_of_the_same_version_is_not_taken(self) -> None:
        """A later archive of the pinned version, which pip would prefer, has no hash here: the tested one is."""
        (self.files / "toy-1.0-1-py3-none-any.whl").write_bytes(b"a later build")
        self.list_files()
        _, errors, status = await self.install()
        self.assertEqual(status, 0, errors)
        self.assertIn("version = '1.0'", (self.target / "toy.py").read_text())

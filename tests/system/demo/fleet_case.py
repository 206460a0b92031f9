"""The base of tests of a demo's fleet in this process, in directories of its own."""

import os
import shutil
import tempfile
from pathlib import Path

from tests.case import AsyncTestCase, reactor
from warp_twisted.demo.fleet import DemoFleet


class DemoFleetCase(AsyncTestCase):
    """One fleet, in directories of its own."""

    timeout = 60

    async def prepare(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="wf-"))  # short: a socket's path has 108 bytes at most
        self.addCleanup(shutil.rmtree, self.base)
        runtime = self.base / "runtime"
        runtime.mkdir(mode=0o700)
        self.patch(tempfile, "tempdir", str(self.base))
        self.patch(os, "environ", {**os.environ, "XDG_RUNTIME_DIR": str(runtime)})
        self.fleet = DemoFleet(reactor)
        self.clean_up_with(self.fleet.stop)

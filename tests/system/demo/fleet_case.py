"""The base of tests of a demo's fleet in this process, in directories of its own."""

import os
import tempfile

from tests.case import AsyncTestCase, reactor, short_directory_of
from warp_twisted.demo.fleet import DemoFleet


class DemoFleetCase(AsyncTestCase):
    """One fleet, in directories of its own."""

    timeout = 60

    async def prepare(self) -> None:
        self.base = short_directory_of(self)
        runtime = self.base / "runtime"
        runtime.mkdir(mode=0o700)
        self.patch(tempfile, "tempdir", str(self.base))
        self.patch(os, "environ", {**os.environ, "XDG_RUNTIME_DIR": str(runtime)})
        self.fleet = DemoFleet(reactor)
        self.clean_up_with(self.fleet.stop)

"""Tests of `warp_twisted.demo.canary.releases`, in this process."""

import os
import tempfile

from tests.case import AsyncTestCase, reactor, short_directory_of, until
from warp_twisted.cli.errors import DemoFailed
from warp_twisted.demo.canary.releases import CANARY, STABLE, Releases


class ReleasesTests(AsyncTestCase):
    """Two releases, in directories of their own."""

    timeout = 60

    async def prepare(self) -> None:
        base = short_directory_of(self)
        self.patch(tempfile, "tempdir", str(base))
        self.patch(os, "environ", {**os.environ, "XDG_RUNTIME_DIR": str(base)})
        self.releases = Releases(reactor, 100.0)
        self.clean_up_with(self.releases.stop)

    async def test_split_and_shift(self) -> None:
        """Both are behind one hostname, split as the policy says; a shift is asked for as operators do."""
        releases = self.releases
        await releases.fleet.start_edge()
        with self.assertRaisesRegex(DemoFailed, "no policy splits app.warp.localhost"):
            await releases.split()
        await releases.start_releases()
        await releases.apply_policy()
        split = await releases.split()
        self.assertEqual(
            [(share.selector, share.part, share.tunnels) for share in split.shares],
            [(STABLE, 0.9, 4), (CANARY, 0.1, 4)],
        )
        await releases.start_visitors()
        await until(lambda: {seen.release for seen in releases.visitors.seen} >= {"stable", "canary"})
        self.assertEqual((await releases.shift(100, 0.0)).target, 1.0)
        releases.worsen()
        await until(lambda: releases.visitors.errors > 0)
        self.assertEqual((await releases.split()).shares[1].part, 1.0)

"""An edge whose disk takes nothing: what it serves, refuses, says and makes up for. The disk is a real file system."""

import os
from collections.abc import Callable
from pathlib import Path
from unittest import SkipTest

from tests.case import until, until_said
from tests.disks import FailingDisk, SmallDisk
from tests.system.edge.live import ask, new_token
from tests.system.edge.test_admin import AdminTestCase
from warp_twisted.ca.tokens import parse_token
from warp_twisted.registry.errors import StoreBroken
from warp_twisted.wire.control import Accepted, EnrollRefused, Refused

HOSTNAME = "app.warp.test"


class StateOnADisk(AdminTestCase):
    """One edge, its state on a disk of its own, and one agent that enrolled while the disk was good."""

    new_disk: Callable[[Path], SmallDisk | FailingDisk]
    disk: SmallDisk | FailingDisk

    async def prepare(self) -> None:
        """Start an edge, enroll an agent."""
        if os.geteuid() != 0:
            raise SkipTest("only root may mount")
        mounted = Path(self.mktemp())
        mounted.mkdir()
        self.disk = self.new_disk(mounted)
        self.addCleanup(self.disk.unmount)
        self.sections = {"state": str(mounted / "state")}
        await super().prepare()
        self.served = await self.agent()
        self.text = await new_token(self.node)

    async def serves_and_heals(self) -> None:
        """See that the agent serves, others wait, a revocation acts, and all of it is as it should after a mend."""
        self.served.port = self.port
        self.assertIsInstance(await self.served.register(HOSTNAME), Accepted)
        self.assertTrue(self.published(HOSTNAME))
        status, ready = await self.call("GET", "/ready")
        self.assertEqual((status, ready["ready"]), (200, True))
        self.assertIn("it cannot be written: ", ready["problems"]["registry"])
        self.assertFalse((await self.call("GET", "/v1/status"))[1]["registry"]["writable"])
        self.assertIn("warp_edge_registry_writable 0.0", (await self.call("GET", "/metrics"))[1])
        status, answer = await self.call("POST", "/v1/tokens", {"hostnames": ["*.warp.test"]})
        self.assertEqual(status, 503)
        self.assertIn("the registry cannot be written", answer["error"])
        refused, _ = await ask(self.port, parse_token(self.text))
        assert isinstance(refused, EnrollRefused)
        self.assertEqual((refused.code, refused.retry_seconds), ("unavailable", 2.0))
        status, answer = await self.call("DELETE", f"/v1/agents/{self.served.id}")
        self.assertEqual(status, 200)
        self.assertTrue(answer["not_kept"])
        await until(lambda: self.served.tunnels[-1].is_over)
        self.disk.mend()
        await until(lambda: not self.node.parts.store.problem)
        self.assertEqual((await self.call("GET", "/ready"))[1]["problems"], {})
        await self.node.stopService()
        self.node = await self.start()
        self.served.port = self.port
        answer = await self.served.register(HOSTNAME)
        assert isinstance(answer, Refused)
        self.assertEqual(answer.code, "revoked")
        self.assertIsInstance(await (await self.agent()).register(HOSTNAME), Accepted)


class SmallDiskTests(StateOnADisk):
    """A disk that takes nothing, but says so before."""

    new_disk = SmallDisk
    disk: SmallDisk

    async def test_read_only_at_the_start(self) -> None:
        """A state directory that became read-only while the edge was away keeps it from nothing but changes."""
        await self.node.stopService()
        self.disk.make_read_only()
        self.node = await self.start()
        await self.serves_and_heals()

    async def test_full_at_the_start(self) -> None:
        """Nor does a disk without a byte left."""
        await self.node.stopService()
        self.disk.fill()
        self.node = await self.start()
        await self.serves_and_heals()

    async def test_full_while_it_runs(self) -> None:
        """An edge finds out with the first change, and goes on."""
        self.disk.fill()
        large = self.node.parts.store.put("warp/large", bytes(60_000))
        await self.assertFailure(large, StoreBroken)
        await self.serves_and_heals()


class FailingDiskTests(StateOnADisk):
    """A disk that fails while it is written: EIO, from the kernel."""

    new_disk = FailingDisk
    disk: FailingDisk

    async def test_fails_while_it_runs(self) -> None:
        """An edge goes on, as on a disk that is full."""
        self.disk.fail()
        await self.assertFailure(self.node.parts.store.put("warp/x", b"x"), StoreBroken)
        await self.serves_and_heals()

    async def test_fails_and_is_remounted(self) -> None:
        """An edge lets go of the files that it cannot write, so that an operator can remount the disk both ways."""

        async def is_read_only() -> bool:  # the edge may find in this very moment that it can write again
            self.disk.fail()
            await self.assertFailure(self.node.parts.store.put("warp/x", b"x"), StoreBroken)
            return self.disk.make_read_only()

        await until_said(is_read_only, 30.0)
        await self.serves_and_heals()

    async def test_fails_at_the_start(self) -> None:
        """An edge starts on a disk whose writes fail."""
        await self.node.stopService()
        self.disk.fail()
        self.node = await self.start()
        await self.serves_and_heals()

"""Tests of `warp_twisted.edge.handed_bans`."""

from collections.abc import Coroutine
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

import warp_twisted.edge.handed_bans as module
from warp_base.slices import Slices
from warp_twisted.edge.handed_bans import FILE, HandedBans
from warp_twisted.edge.policy.banning import Banning


class HandedBansTests(SynchronousTestCase):
    """Two processes of one edge, with one directory and one clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000.0)
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.before, self.after = Banning(self.clock.seconds), Banning(self.clock.seconds)

    def run_to_end(self, work: Coroutine[Deferred[object], object, None]) -> None:
        """Do what takes several turns."""
        done: Deferred[None] = Deferred.fromCoroutine(work)
        while not done.called:
            self.clock.advance(0.01)
        self.successResultOf(done)

    def handed(self, banning: Banning) -> HandedBans:
        """Return what hands on the bans of a process."""
        slices = Slices(self.clock)
        return HandedBans(
            self.directory, banning, slices, lambda network: network == "192.0.2.9", seconds=self.clock.seconds
        )

    def hand_over(self) -> dict[str, tuple[float, str]]:
        """Hand over; return who is banned at the next process, for how long and why."""
        self.run_to_end(self.handed(self.before).hand_on())
        self.run_to_end(self.handed(self.after).take())
        return {
            str(each["network"]): (round(float(str(each["seconds_left"]))), str(each["reason"]))
            for each in self.after.listed()
        }

    def test_handed_over(self) -> None:
        """Bans stay for the rest of their time, with their reasons; those of operators are found in the registry."""
        self.before.put("192.0.2.7", 600.0, "20 refusals\nwithin 10 s")
        self.before.put("2001:db8::", 60.0, "refused")
        self.before.put("192.0.2.8", 5.0, "over soon")
        self.before.put("192.0.2.9", 600.0, "an operator's")
        self.clock.advance(10.0)
        self.assertEqual(
            self.hand_over(), {"192.0.2.7": (590, "20 refusals\nwithin 10 s"), "2001:db8::/64": (50, "refused")}
        )
        self.assertFalse((self.directory / FILE).exists())
        self.assertTrue(self.after.turns_away("192.0.2.7", "192.0.2.7"))

    def test_many(self) -> None:
        """Many take several turns, and all arrive."""
        for number in range(5_000):
            self.before.put(f"10.0.{number >> 8}.{number & 255}", 600.0, "refused")
        self.assertEqual(len(self.hand_over()), 5_000)

    def test_another_boot(self) -> None:
        """Instants of another boot of the machine mean nothing."""
        self.before.put("192.0.2.7", 600.0, "refused")
        self.run_to_end(self.handed(self.before).hand_on())
        boot = Path(self.mktemp())
        boot.write_text("another\n")
        self.patch(module, "BOOT_ID", boot)
        self.run_to_end(self.handed(self.after).take())
        self.assertEqual(list(self.after.listed()), [])

    def test_nothing_there(self) -> None:
        """The first process of all finds nothing."""
        self.run_to_end(self.handed(self.after).take())
        self.assertEqual(list(self.after.listed()), [])

    def test_no_disk(self) -> None:
        """What cannot be written down does not stand in the way."""
        self.directory = Path("/proc/nowhere")
        self.before.put("192.0.2.7", 600.0, "refused")
        self.assertEqual(self.hand_over(), {})

    @given(st.binary(max_size=200))
    def test_any_bytes(self, content: bytes) -> None:
        """A file that is damaged, after its first line too, bans nobody by mistake and fails nothing."""
        boot = module.BOOT_ID.read_text().strip()
        for text in (content, b'{"boot":"%s"}\n' % boot.encode() + content):
            (self.directory / FILE).write_bytes(text)
            self.run_to_end(self.handed(self.after).take())

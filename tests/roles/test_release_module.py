"""Tests of `warp_release_info`: which releases a host has, and which ones its services run."""

import os
import shutil
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.roles.test_modules import loaded

_MODULE = loaded("warp_release_info")


class ReleaseInfoTests(SynchronousTestCase):
    """A host in a directory."""

    def setUp(self) -> None:
        self.host = Path(self.mktemp()).absolute()
        self.units = self.host / "units"
        self.units.mkdir(parents=True)
        self.command = self.host / "warp"

    def release(self, name: str, at: int, *, is_whole: bool = True, good_at: int | None = None) -> str:
        """Install a release, at an instant of its own, and see it serve at another."""
        directory = self.host / "opt/releases" / name
        directory.mkdir(parents=True)
        if is_whole:
            (directory / ".complete").touch()
            os.utime(directory / ".complete", (at, at))
        if good_at is not None:
            (directory / ".good").touch()
            os.utime(directory / ".good", (good_at, good_at))
        return str(directory)

    def record_as_bad(self, name: str) -> None:
        """Note that a release did not serve."""
        (self.host / "opt/bad").mkdir(exist_ok=True)
        (self.host / "opt/bad" / name).write_text("Watch the edge: it ended\n")

    def unit(self, name: str, release: str) -> None:
        """Write a unit that runs a release."""
        program = "warp-keeper run --" if name == "warp-edge.service" else "twistd --nodaemon warp-agent"
        (self.units / name).write_text(f"[Service]\nExecStart={release}/bin/{program}\n")

    def look(self) -> dict[str, object]:
        """Return what the module says of the host, but for what is old."""
        found = dict(_MODULE.look(self.host / "opt", self.units, self.command, 2))
        del found["old"], found["bad"], found["unmarked"], found["forgiven"]
        return found

    def old(self, keep: int = 2) -> list[str]:
        """Return which releases may be removed."""
        processes = self.host / "proc"
        return list(_MODULE.look(self.host / "opt", self.units, self.command, keep, processes)["old"])

    def process(self, number: int, *command: str) -> None:
        """Have a process that runs a command."""
        directory = self.host / "proc" / str(number)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "cmdline").write_text("\0".join(command))

    def remove_old(self) -> list[str]:
        """Remove what is old, as a run does, and return its names."""
        old = self.old()
        for path in old:
            shutil.rmtree(path)
        return [Path(path).name for path in old]

    def upgrade(self, name: str, at: int, *, serves: bool = True) -> list[str]:
        """Do what a run does that brings a release, and return the names of those that it removes."""
        new = self.release(name, at)
        os.utime(new, (at, at))
        self.link(new)
        removed = self.remove_old()
        if serves:
            self.unit("warp-edge.service", new)
            (Path(new) / ".good").touch()
            os.utime(Path(new) / ".good", (at, at))
            removed += self.remove_old()
        return removed

    def link(self, release: str) -> None:
        """Link the command to a release."""
        self.command.unlink(missing_ok=True)
        self.command.symlink_to(f"{release}/bin/warp")

    def test_fresh_host(self) -> None:
        """A host that has nothing has no release: whoever needs one must refuse."""
        self.assertEqual(self.look(), {"releases": [], "services": {}, "good": [], "back": "", "current": ""})

    def test_what_is_whole(self) -> None:
        """An installation that was cut short is no release, even if a unit or the command's link names it."""
        good, half = self.release("1", 100), self.release("2", 200, is_whole=False)
        self.unit("warp-edge.service", half)
        self.command.symlink_to(f"{half}/bin/warp")
        self.assertEqual(self.look(), {"releases": [good], "services": {}, "good": [], "back": "", "current": good})

    def test_what_each_service_runs(self) -> None:
        """Services may run different releases, when an upgrade was cut short; a unit of instances counts as one."""
        old, new = self.release("1", 100), self.release("2", 200)
        self.unit("warp-edge.service", new)
        self.unit("warp-agent@.service", old)
        (self.units / "warp-firewall.service").write_text("[Service]\nExecStart=/usr/sbin/nft -f /etc/warp/x\n")
        self.command.symlink_to(f"{old}/bin/warp")
        self.assertEqual(
            self.look(),
            {
                "releases": [new, old],
                "services": {"warp-edge": new, "warp-agent": old},
                "good": [],
                "back": "",
                "current": old,
            },
        )

    def test_good_ones(self) -> None:
        """Those that were seen to serve, whenever they were installed; one that is not whole any more is none."""
        first, second = self.release("1", 100, good_at=150), self.release("2", 90, good_at=200)
        self.release("3", 300)
        self.release("4", 400, is_whole=False, good_at=450)
        self.assertEqual(self.look()["good"], [second, first])

    def test_which_to_go_back_to(self) -> None:
        """The one that served before the latest, for who has gone back, too: the same run again changes nothing."""
        first, second, third = (self.release(str(at), at, good_at=at) for at in (1, 2, 3))
        bad = self.release("4", 4)
        for running, back in ((bad, third), (third, second), (second, second), (first, first)):
            self.unit("warp-edge.service", running)
            self.assertEqual(self.look()["back"], back)

    def test_going_back_that_was_cut_short(self) -> None:
        """A service that has gone back leaves the others of its host the release to go back to."""
        self.release("1", 1, good_at=1)
        second, third = (self.release(str(at), at, good_at=at) for at in (2, 3))
        self.unit("warp-agent@.service", third)
        for running in (third, second):
            self.unit("warp-edge.service", running)
            self.assertEqual(self.look()["back"], second)

    def test_nothing_to_go_back_to(self) -> None:
        """The only release that served, or none."""
        self.unit("warp-edge.service", self.release("1", 1))
        self.assertEqual(self.look()["back"], "")
        self.unit("warp-edge.service", self.release("2", 2, good_at=2))
        self.assertEqual(self.look()["back"], "")

    def test_upgrades(self) -> None:
        """
        Each upgrade removes by itself what is old after it, and so the same run again finds nothing to remove.

        One that does not serve removes none of the two that did.
        """
        for at, removed in ((1, []), (2, []), (3, ["1"]), (4, ["2"])):
            self.assertEqual(self.upgrade(str(at), at), removed)
            self.assertEqual(self.remove_old(), [])
        self.assertEqual(self.upgrade("5", 5, serves=False), [])
        self.link(str(self.host / "opt/releases/4"))
        self.assertEqual(self.upgrade("6", 6, serves=False), ["5"])
        self.assertEqual(self.upgrade("7", 7), ["6", "3"])
        self.assertEqual(self.remove_old(), [])

    def test_bad_ones(self) -> None:
        """One that is recorded as bad is none to go back to, whatever it was before, and makes room for others."""
        first, second, third = (self.release(str(at), at, good_at=at) for at in (1, 2, 3))
        self.release("4", 4)
        self.link(third)
        self.unit("warp-edge.service", third)
        for name in ("2", "4", "gone"):
            self.record_as_bad(name)
        found = _MODULE.look(self.host / "opt", self.units, self.command, 2)
        bad = [str(self.host / "opt/releases" / name) for name in ("2", "4", "gone")]
        self.assertEqual((found["good"], found["back"], found["bad"]), ([third, first], first, bad))
        self.assertEqual(sorted(found["old"]), sorted([second, bad[1]]))

    def test_what_was_seen_to_serve(self) -> None:
        """What services run is good then, whatever is recorded of it; the same answer tells what that makes old."""
        first, second, third = (self.release(str(at), at, good_at=at) for at in (1, 2, 3))
        new = self.release("4", 4)
        self.link(new)
        self.unit("warp-edge.service", new)
        self.unit("warp-agent@.service", third)
        self.record_as_bad("3")
        found = _MODULE.look(self.host / "opt", self.units, self.command, 1, serve=True)
        self.assertEqual((found["unmarked"], found["forgiven"]), ([new], [third]))
        self.assertEqual((found["good"], found["bad"]), ([new, third, second, first], []))
        self.assertEqual(found["old"], [second, first])
        (Path(new) / ".good").touch()
        (self.host / "opt/bad/3").unlink()
        again = _MODULE.look(self.host / "opt", self.units, self.command, 1, serve=True)
        self.assertEqual((again["unmarked"], again["forgiven"]), ([], []))
        self.assertEqual((again["good"], again["old"]), (found["good"], found["old"]))

    def test_bad_one_that_runs(self) -> None:
        """One that a unit names stays, bad or not."""
        running, other = self.release("1", 1), self.release("2", 2)
        self.unit("warp-edge.service", running)
        self.link(other)
        self.record_as_bad("1")
        self.assertEqual(self.old(1), [])

    def test_what_is_never_old(self) -> None:
        """Those that units name, whole or not, the two that served last, the one to go back to, and as many as said."""
        releases = [self.release(str(at), at, good_at=at) for at in range(1, 7)]
        for at, path in enumerate(releases, 1):
            os.utime(path, (at, at))
        half = self.release("half", 7, is_whole=False)
        os.utime(half, (0, 0))
        self.link(releases[5])
        self.unit("warp-edge.service", releases[2])
        self.unit("warp-agent@.service", half)
        self.assertEqual(self.old(1), [releases[3], releases[1], releases[0]])
        self.assertEqual(self.old(3), [releases[1], releases[0]])
        (self.units / "warp-agent@.service").unlink()
        self.assertEqual(self.old(3), [releases[1], releases[0], half])
        self.process(7, f"{releases[0]}/bin/python", "-P", "twistd")
        self.process(8, "/bin/sh")
        self.assertEqual(self.old(3), [releases[1], half], "what still runs, though no unit names it")

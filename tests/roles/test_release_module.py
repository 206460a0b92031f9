"""Tests of `warp_release_info`: which releases a host has, and which ones its services run."""

import os
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

    def unit(self, name: str, release: str) -> None:
        """Write a unit that runs a release."""
        (self.units / name).write_text(f"[Service]\nExecStart={release}/bin/twistd --nodaemon warp-edge\n")

    def look(self) -> dict[str, object]:
        """Return what the module says of the host."""
        return dict(_MODULE.look(self.host / "opt", self.units, self.command))

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
        """The one that served before the one that runs, so that going back twice does not go forward again."""
        first, second, third = (self.release(str(at), at, good_at=at) for at in (1, 2, 3))
        bad = self.release("4", 4)
        for running, back in ((bad, third), (third, second), (second, first), (first, "")):
            self.unit("warp-edge.service", running)
            self.assertEqual(self.look()["back"], back)

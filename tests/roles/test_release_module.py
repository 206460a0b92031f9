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

    def release(self, name: str, at: int, *, is_whole: bool = True) -> str:
        """Install a release, at an instant of its own."""
        directory = self.host / "opt/releases" / name
        directory.mkdir(parents=True)
        if is_whole:
            (directory / ".complete").touch()
            os.utime(directory / ".complete", (at, at))
        return str(directory)

    def unit(self, name: str, release: str) -> None:
        """Write a unit that runs a release."""
        (self.units / name).write_text(f"[Service]\nExecStart={release}/bin/twistd --nodaemon warp-edge\n")

    def look(self) -> dict[str, object]:
        """Return what the module says of the host."""
        return dict(_MODULE.look(self.host / "opt", self.units, self.command))

    def test_fresh_host(self) -> None:
        """A host that has nothing has no release: whoever needs one must refuse."""
        self.assertEqual(self.look(), {"releases": [], "services": {}, "current": ""})

    def test_what_is_whole(self) -> None:
        """An installation that was cut short is no release, even if a unit or the command's link names it."""
        good, half = self.release("1", 100), self.release("2", 200, is_whole=False)
        self.unit("warp-edge.service", half)
        self.command.symlink_to(f"{half}/bin/warp")
        self.assertEqual(self.look(), {"releases": [good], "services": {}, "current": good})

    def test_what_each_service_runs(self) -> None:
        """Services may run different releases, when an upgrade was cut short; a unit of instances counts as one."""
        old, new = self.release("1", 100), self.release("2", 200)
        self.unit("warp-edge.service", new)
        self.unit("warp-agent@.service", old)
        (self.units / "warp-firewall.service").write_text("[Service]\nExecStart=/usr/sbin/nft -f /etc/warp/x\n")
        self.command.symlink_to(f"{old}/bin/warp")
        self.assertEqual(
            self.look(), {"releases": [new, old], "services": {"warp-edge": new, "warp-agent": old}, "current": old}
        )

"""Tests of `twistd warp-edge`'s options and of how the program hangs together, without a process."""

import io
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.ca.issue import utc
from warp_twisted.ca.store import add_edge, init_root
from warp_twisted.edge.tap import Options


class OptionsTests(SynchronousTestCase):
    """Reading and checking the configuration."""

    def setUp(self) -> None:
        """Make a certificate authority and an empty directory of certificates."""
        self.directory = Path(self.mktemp())
        now = utc(time.time())
        init_root(self.directory / "ca", "warp.test", now)
        add_edge(self.directory / "ca", "edge1", now)
        (self.directory / "certificates").mkdir()

    def write(self, **sections: Any) -> list[str]:
        """Write edge.yaml and return the options that name it."""
        ca = {name: str(self.directory / "ca" / file) for name, file in FILES.items()}
        raw: dict[str, Any] = {
            "zone": "warp.test",
            "edge": {"name": "edge1", "addresses": ["192.0.2.1"]},
            "ca": ca | sections.pop("ca", {}),
            "certificates": str(self.directory / "certificates"),
            "state": str(self.directory / "state"),
        }
        path = self.directory / "edge.yaml"
        path.write_text(yaml.safe_dump(raw | sections))
        return ["--config", str(path)]

    def parse(self, *arguments: str) -> Options:
        """Parse options."""
        options = Options()
        options.parseOptions(arguments)
        return options

    def test_settings_are_read(self) -> None:
        """Without `--check` the settings are read for the service that follows."""
        self.assertEqual(self.parse(*self.write()).settings.zone, "warp.test")

    def test_good(self) -> None:
        """`--check` of a good configuration says so and exits 0, and writes nothing."""
        output = io.StringIO()
        self.patch(sys, "stdout", output)
        error = self.assertRaises(SystemExit, self.parse, *self.write(), "--check")
        self.assertEqual((error.code, output.getvalue().endswith("edge.yaml: good\n")), (0, True))
        self.assertFalse((self.directory / "state").exists())

    def test_refusals(self) -> None:
        """What is wrong is named by key, whether it is in the file or in what the file points to."""
        (self.directory / "bad-certificates").mkdir()
        (self.directory / "bad-certificates" / "x.pem").write_text("nonsense")
        for sections, words in (
            ({"limits": {"head_bytes": "x"}}, "limits.head_bytes: expected int ≥ 1024 and ≤ 1048576, got 'x'"),
            ({"listen": {"http": ["tcp:eighty"]}}, "listen.http: 'tcp:eighty' is no endpoint"),
            ({"listen": {"metrics": "nonsense"}}, "listen.metrics: 'nonsense' is no endpoint"),
            ({"certificates": "absent"}, "certificates: absent: No such file"),
            ({"certificates": None}, "certificates: a directory is needed"),
            ({"certificates": str(self.directory / "bad-certificates")}, "x.pem cannot be used"),
            ({"ca": {"key": "absent.key"}}, "absent.key: No such file or directory"),
            ({"ca": {"key": str(self.directory / "ca" / "root.key")}}, "is not the key of"),
            ({"zone": "Warp.Test"}, "zone: expected 'warp.test', got 'Warp.Test'"),
        ):
            error = self.assertRaises(SystemExit, self.parse, *self.write(**sections), "--check")
            self.assertIn(words, str(error))

    def test_refused_without_check(self) -> None:
        """A file that is wrong is refused in the same words when the edge is to be started."""
        error = self.assertRaises(SystemExit, self.parse, *self.write(zone=""))
        self.assertIn("edge.yaml: zone: expected non-empty text", str(error))


FILES = {"root": "root.pem", "certificate": "edge1.pem", "key": "edge1.key"}

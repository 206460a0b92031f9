"""Tests of `twistd warp-edge`'s options and of how the program hangs together, without a process."""

import io
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.ca.issue import issue_intermediate, key_to_pem, new_key, to_pem, utc
from warp_twisted.ca.store import add_edge, init_root, load_root, write_file
from warp_twisted.edge.tap import Options


class OptionsTests(SynchronousTestCase):
    """Reading and checking the configuration."""

    def setUp(self) -> None:
        """Make a certificate authority and an empty directory of certificates."""
        self.directory = Path(self.mktemp())
        now = utc(time.time())
        init_root(self.directory / "ca", "warp.test", now)
        add_edge(self.directory / "ca", "edge1", now, ["warp.test"])
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
        zone = self.directory / "records.zone"
        zone.write_text("www 60 A 192.0.2.1\nx 60 A banana\n")
        for sections, words in (
            (
                {"limits": {"head_bytes": "x"}},
                "limits.head_bytes: expected a whole number from 1024 to 1048576",
            ),
            ({"listen": {"http": ["tcp:eighty"]}}, "listen.http[0]: expected an endpoint such as tcp:8080 or"),
            ({"listen": {"http": ["tcp:80000"]}}, "listen.http[0]: expected a port from 0 to 65535, got 80000"),
            ({"listen": {"http": ["tcp:80", "tcp:7844"]}}, "listen.tunnel[0]: 'tcp:7844' is listen.http[1] already"),
            ({"listen": {"metrics": "nonsense"}}, "listen.metrics: expected an endpoint"),
            ({"listen": {"dns": ["ns1.warp.test:53"]}}, "listen.dns[0]: expected an IP address with or without a port"),
            ({"listen": {"dns": ["192.0.2.1:99999"]}}, "listen.dns[0]: expected a port from 0 to 65535, got '99999'"),
            ({"listen": {"admin": "/" + "x" * 107}}, "too long; expected at most 107 bytes, got 108"),
            ({"listen": {"admin": str(self.directory)}}, "is no socket"),
            ({"dns": {"master_file": "absent.zone"}}, "dns.master_file: absent.zone: No such file"),
            ({"dns": {"master_file": str(zone)}}, f"dns.master_file: {zone}:2: "),
            ({"state": str(zone)}, f"state: {zone}: expected a directory"),
            ({"log": {"access": "absent/access.log"}}, "log.access: absent/access.log: there is no directory absent"),
            ({"zone": "other.test"}, "zone: edge1.other.test is outside what this edge may issue for: warp.test;"),
            ({"ca": {"root": str(zone)}}, f"ca.root: {zone}: not a PEM certificate"),
            ({"certificates": "absent"}, "certificates: absent: No such file"),
            ({"certificates": None}, "certificates: listen.https needs a directory, or acme"),
            (
                {"listen": {"http": ["tcp:80:interface=192.0.2.77"]}},
                "listen.http[0]: this machine does not have that address now: 192.0.2.77",
            ),
            ({"ca": {"key": "absent.key"}}, "ca.key: absent.key: No such file or directory"),
            ({"ca": {"key": str(self.directory / "ca" / "root.key")}}, "is not the key of"),
            ({"zone": "Warp.Test"}, "zone: expected 'warp.test', got 'Warp.Test'"),
        ):
            error = self.assertRaises(SystemExit, self.parse, *self.write(**sections), "--check")
            self.assertIn(words, str(error))
            self.assertTrue(str(error).startswith(str(self.directory / "edge.yaml")), str(error))
        self.assertFalse((self.directory / "state").exists())

    def test_good_but(self) -> None:
        """One certificate of a visitor that cannot be used is said, and the rest is good: the edge would start."""
        (self.directory / "bad-certificates").mkdir()
        (self.directory / "bad-certificates" / "x.pem").write_text("nonsense")
        output = io.StringIO()
        self.patch(sys, "stdout", output)
        options = self.write(certificates=str(self.directory / "bad-certificates"))
        error = self.assertRaises(SystemExit, self.parse, *options, "--check")
        self.assertEqual(error.code, 0)
        self.assertRegex(output.getvalue(), r"edge.yaml: good, but certificates: \S+/x.pem cannot be used: ")

    def test_certificate_that_has_ended(self) -> None:
        """An intermediate whose time is over is refused: the edge could not issue its own certificate."""
        for name in ("edge1.pem", "edge1.key"):
            (self.directory / "ca" / name).unlink()
        root = load_root(self.directory / "ca")
        key = new_key()
        ended = issue_intermediate(root, key.public_key(), "edge1", utc(time.time()), ["warp.test"], timedelta(0))
        write_file(self.directory / "ca" / "edge1.pem", to_pem(ended).encode(), 0o644, overwrite=False)
        write_file(self.directory / "ca" / "edge1.key", key_to_pem(key), 0o600, overwrite=False)
        error = self.assertRaises(SystemExit, self.parse, *self.write(), "--check")
        self.assertRegex(
            str(error), "ca.certificate: .*edge1.pem: .* is valid from .*; make a new one, or set the clock"
        )

    def test_refused_without_check(self) -> None:
        """A file that is wrong is refused in the same words when the edge is to be started."""
        error = self.assertRaises(SystemExit, self.parse, *self.write(zone=""))
        self.assertIn("edge.yaml: zone: expected non-empty text", str(error))


FILES = {"root": "root.pem", "certificate": "edge1.pem", "key": "edge1.key"}

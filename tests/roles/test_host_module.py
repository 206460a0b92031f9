"""Tests of `warp_host_check`: who listens where, whose it is, and what of a host is not as its variables say."""

import socket
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from constraints.pins import PYTHONS
from tests.roles.test_modules import loaded

_MODULE = loaded("warp_host_check")
_HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def _line(address: str, state: str, inode: int) -> str:
    return f"   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1\n"


class ListenerTests(SynchronousTestCase):
    """A host's /proc in a directory."""

    def setUp(self) -> None:
        self.proc = Path(self.mktemp()).absolute()
        (self.proc / "net").mkdir(parents=True)

    def process(self, number: int, unit: str, *inodes: int) -> None:
        """Add a process of a unit that holds sockets."""
        directory = self.proc / str(number)
        (directory / "fd").mkdir(parents=True)
        (directory / "cgroup").write_text(f"0::/system.slice/{unit}\n")
        for each in inodes:
            (directory / "fd" / str(each)).symlink_to(f"socket:[{each}]")
        (directory / "fd/0").symlink_to("/dev/null")

    def test_who_listens(self) -> None:
        """Sockets that listen are found with address, port and units; those for which systemd waits have its units."""
        any4, loop4 = "00000000", f"{int.from_bytes(socket.inet_aton('127.0.0.1'), sys.byteorder):08X}"
        (self.proc / "net/tcp").write_text(
            _HEAD + _line(f"{any4}:0050", "0A", 1) + _line(f"{any4}:01BB", "0A", 2) + _line(f"{loop4}:0016", "01", 3)
        )
        (self.proc / "net/udp6").write_text(_HEAD + _line(f"{'0' * 32}:0035", "07", 4))
        self.process(1, "init.scope", 1, 2)
        self.process(9, "nginx.service", 2)
        found = _MODULE.listeners(
            self.proc, _MODULE.socket_units("0.0.0.0:80 warp-edge-http.socket warp-edge.service\n")
        )
        self.assertEqual(
            [(each.protocol, each.address, each.port, sorted(each.units)) for each in found],
            [
                ("tcp", "0.0.0.0", 80, ["warp-edge-http.socket"]),
                ("tcp", "0.0.0.0", 443, ["nginx.service"]),
                ("udp", "::", 53, []),
            ],
        )

    def test_this_machine(self) -> None:
        """A socket that this very test listens on is found in the real /proc."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            found = [each for each in _MODULE.listeners(Path("/proc"), {}) if each.port == port]
        self.assertEqual([(each.protocol, each.address) for each in found], [("tcp", "127.0.0.1")])

    def test_overlap(self) -> None:
        """An address is in the way of itself and of all of its family; `::` is in everybody's way."""
        for one, other, is_so in (
            ("192.0.2.1", "192.0.2.1", True),
            ("192.0.2.1", "192.0.2.2", False),
            ("0.0.0.0", "192.0.2.1", True),
            ("0.0.0.0", "2001:db8::1", False),
            ("::", "2001:db8::1", True),
            ("::", "192.0.2.1", True),
        ):
            self.assertEqual((_MODULE.overlap(one, other), _MODULE.overlap(other, one)), (is_so, is_so), (one, other))

    def test_endpoints(self) -> None:
        """Each way in which the roles write what is listened on."""
        for text, expected in (
            ("192.0.2.1:5300", ("192.0.2.1", 5300)),
            ("[2001:db8::1]:5300", ("2001:db8::1", 5300)),
            ("::@53", ("::", 53)),
            ("192.0.2.1", ("192.0.2.1", 53)),
            ("[2001:db8::1]", ("2001:db8::1", 53)),
        ):
            self.assertEqual(_MODULE.endpoint(text), expected)

    def wanted(self, listen: str, *units: str) -> list[object]:
        """Return what is wanted of a port."""
        item = {"variable": "warp_x", "protocols": ["tcp", "udp"], "listen": [listen], "units": units}
        return list(_MODULE.wanted([item]))

    def test_taken(self) -> None:
        """Somebody else's listener is told with its unit and what to do; one of ours, or another address, is not."""
        there = [_MODULE.Listener(protocol="udp", address="0.0.0.0", port=53, units=frozenset({"bind9.service"}))]
        self.assertEqual(
            list(_MODULE.taken(self.wanted("192.0.2.1:53", "warp-dns.service"), there)),
            [
                "warp_x: udp port 53 of 0.0.0.0 is taken by bind9.service; stop that, or let it listen elsewhere",
            ],
        )
        for fine in (
            self.wanted("192.0.2.1:53", "bind9.service"),
            self.wanted("192.0.2.1:54"),
            self.wanted("[::1]:53"),
        ):
            self.assertEqual(list(_MODULE.taken(fine, there)), [])

    def test_not_here(self) -> None:
        """An address of another host cannot be listened on."""
        self.assertEqual(list(_MODULE.not_here(self.wanted("127.0.0.1:53") + self.wanted("0.0.0.0:53"))), [])
        (said,) = _MODULE.not_here(self.wanted("192.0.2.1:53"))
        self.assertRegex(said, r"^warp_x: expected an address of this host, got 192\.0\.2\.1 \(")


class PythonTests(SynchronousTestCase):
    """The interpreter."""

    def test_range(self) -> None:
        """It is the range that Warp is tested with."""
        ends = tuple(tuple(int(part) for part in text.split(".")) for text in (PYTHONS[0], PYTHONS[-1]))
        self.assertEqual((_MODULE.OLDEST, _MODULE.NEWEST), ends)

    def test_wrong(self) -> None:
        """One that is not there, is no Python, fails, or is too old, is told with the reason."""
        old = Path(self.mktemp()).absolute()
        old.write_text("#!/bin/sh\necho 3 9\n")
        old.chmod(0o755)
        for path, reason in (
            (sys.executable, ""),
            ("/nonexistent/python3", "No such file or directory"),
            ("/bin/false", "exit status 1"),
            (str(old), "Python 3.9"),
        ):
            self.assertEqual(_MODULE.wrong_python(path), reason)

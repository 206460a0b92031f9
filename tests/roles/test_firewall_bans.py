"""Tests of the firewall's helper: what it understands, and what the kernel then does in a namespace of its own."""

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.roles.playing import PATIENCE
from tests.roles.tree import ROOT, load
from warp_twisted.policy.ban_records import BEGINNING, MAX_SECONDS, ban_record, let_in_record

helper = load(ROOT / "roles/warp_firewall/files/warp_firewall_bans.py")
PORT = 4080


class CommandsTests(SynchronousTestCase):
    """`read_record` and `Bans`."""

    def setUp(self) -> None:
        self.bans = helper.Bans([80, 443])

    def elements(self, *records: bytes, now: float = 0.0) -> list[str]:
        """Return the commands about elements, in short."""
        lines = self.bans.commands(records, now).splitlines()
        return [line.replace("element inet warp-bans ", "") for line in lines if " element " in line]

    def test_strict(self) -> None:
        """What is not exactly a record is refused: other operations, families, octets that should be zero."""
        for record in (
            bytes(24),
            ban_record("192.0.2.1", 1)[:8] + bytes([192, 0, 2, 1, 9]) + bytes(11),
            ban_record("2001:db8::", 1)[:-1] + b"\1",
            b"\2\4\0\1" + ban_record("192.0.2.1", 1)[4:],
            b"\2\5" + ban_record("192.0.2.1", 1)[2:],
            b"\2\4" + bytes(22),
            b"\3\4" + ban_record("192.0.2.1", 1)[2:],
            b"\4\4" + ban_record("192.0.2.1", 1)[2:],
            BEGINNING[:-1] + b"\1",
            b"\1\4" + ban_record("192.0.2.1", 1)[2:],
        ):
            with self.assertRaises(helper.BadRecord):
                helper.read_record(record)

    @given(
        st.sampled_from([0, 1, 2, 3, 4]),
        st.sampled_from([0, 4, 5, 6]),
        st.sampled_from([0, 0, 0, 1]),
        st.sampled_from([0, 1, 600, 2**32 - 1]),
        st.sampled_from([0, 4, 8, 9, 16]).flatmap(lambda size: st.binary(min_size=size, max_size=size)),
    )
    def test_any_octets(self, operation: int, family: int, reserved: int, seconds: int, address: bytes) -> None:
        """Whatever is sent is refused, or says what the edge would say in exactly these octets."""
        record = helper.RECORD.pack(operation, family, reserved, seconds, address)
        try:
            read = helper.read_record(record)
        except helper.BadRecord:
            return
        _, network, told = read
        again = {
            helper.BEGIN: lambda: BEGINNING,
            helper.BAN: lambda: ban_record(network, min(told, MAX_SECONDS)),
            helper.LET_IN: lambda: let_in_record(network),
        }[operation]()
        self.assertEqual((again[:4], again[8:]), (record[:4], record[8:]))

    def test_begins(self) -> None:
        """Nothing is done before the beginning, which makes the table anew and forgets what came before."""
        with self.assertRaises(helper.BadRecord):
            self.bans.commands([ban_record("192.0.2.1", 5)], 0.0)
        commands = self.bans.commands([BEGINNING, ban_record("192.0.2.1", 5), BEGINNING], 0.0)
        self.assertIn("tcp dport { 80, 443 }", commands)
        self.assertNotIn("192.0.2.1", commands)

    def test_one_word_each(self) -> None:
        """Of several words on a network the last one counts; who is banned already gets the new time."""
        records = (let_in_record("192.0.2.1"), ban_record("192.0.2.1", 5), ban_record("2001:db8::", 6))
        self.assertEqual(
            self.elements(BEGINNING, *records),
            ["add banned4 { 192.0.2.1 timeout 5s }", "add banned6 { 2001:db8:: timeout 6s }"],
        )
        self.assertEqual(
            self.elements(ban_record("192.0.2.1", 50), let_in_record("2001:db8::")),
            [
                "add banned4 { 192.0.2.1 }",
                "delete banned4 { 192.0.2.1 }",
                "add banned4 { 192.0.2.1 timeout 50s }",
                "add banned6 { 2001:db8:: }",
                "delete banned6 { 2001:db8:: }",
            ],
        )
        self.assertEqual(self.elements(let_in_record("192.0.2.9"), let_in_record("2001:db8::")), [])

    def test_bounded(self) -> None:
        """No more fit than the sets hold; those whose time is over make room."""
        self.patch(helper, "MOST", 2)
        self.elements(BEGINNING, ban_record("192.0.2.1", 5), ban_record("192.0.2.2", 50))
        self.assertEqual(self.elements(ban_record("192.0.2.3", 5), now=1.0), [])
        self.assertEqual(self.elements(ban_record("192.0.2.3", 5), now=6.0), ["add banned4 { 192.0.2.3 timeout 5s }"])


class KernelTests(SynchronousTestCase):
    """The helper as a program, with the kernel's rules and visitors from several addresses."""

    def setUp(self) -> None:
        missing = [
            name for name in ("nft", "unshare", "ip") if shutil.which(name, path="/usr/sbin:/usr/bin:/sbin") is None
        ]
        if missing:
            raise SkipTest(f"{' and '.join(missing)} is not installed")
        in_namespace = ["unshare", "--map-root-user", "--net"]
        if subprocess.run([*in_namespace, "true"], capture_output=True).returncode:
            raise SkipTest("network namespaces cannot be made here")
        self.path = self.mktemp()
        self.log = Path(self.mktemp())
        program = Path(__file__).with_name("firewalled.py")
        with self.log.open("wb") as log:
            self.world = subprocess.Popen(
                [*in_namespace, sys.executable, str(program), self.path, str(PORT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.addCleanup(self.end)
        self.assertEqual(self.read(), "ready", self.log.read_text())

    def end(self) -> None:
        """End the program, and by it everything in its namespace."""
        self.world.communicate(timeout=PATIENCE)

    def read(self) -> str:
        """Return the next line that the program says."""
        assert self.world.stdout is not None
        return self.world.stdout.readline().strip()

    def say(self, line: str) -> str:
        """Say a line to the program, and return what it answers."""
        assert self.world.stdin is not None
        self.world.stdin.write(f"{line}\n")
        self.world.stdin.flush()
        return self.read()

    def edge(self, *records: bytes) -> socket.socket:
        """Connect as an edge does, and say something."""
        edge = socket.socket(socket.AF_UNIX)
        edge.connect(self.path)
        self.addCleanup(edge.close)
        edge.sendall(b"".join(records))
        return edge

    def wait_for(self, line: str, answer: str) -> None:
        """Wait until the program's answer to a line has a part."""
        end = time.monotonic() + PATIENCE
        while answer not in (found := self.say(line)):
            self.assertLess(time.monotonic(), end, f"{line}: {found}")

    def test_banned(self) -> None:
        """
        Who is banned is not heard on the port of visitors, an IPv6 /64 as a whole; on other ports, and all others, are.

        Who is let in is heard at once, and all are when the edge hangs up, however it does.
        """
        self.assertEqual(self.say(f"203.0.113.7 {PORT}"), "open")
        edge = self.edge(BEGINNING, ban_record("203.0.113.7", 600), ban_record("2001:db8:1::", 600))
        for address, port, met in (
            ("203.0.113.7", PORT, "silent"),
            ("203.0.113.7", PORT + 1, "open"),
            ("203.0.113.8", PORT, "open"),
            ("2001:db8:1::7", PORT, "silent"),
            ("2001:db8:1::8", PORT, "silent"),
            ("2001:db8:1::7", PORT + 1, "open"),
            ("2001:db8:2::7", PORT, "open"),
        ):
            self.wait_for(f"{address} {port}", met)
        edge.sendall(let_in_record("203.0.113.7") + ban_record("203.0.113.8", 1))
        self.wait_for(f"203.0.113.7 {PORT}", "open")
        self.wait_for(f"203.0.113.8 {PORT}", "open")  # after its second
        self.assertEqual(self.say(f"2001:db8:1::7 {PORT}"), "silent")
        edge.close()
        self.wait_for(f"2001:db8:1::7 {PORT}", "open")
        self.assertNotIn("warp-bans", self.say("rules"))

    def test_what_is_no_record(self) -> None:
        """An edge that says something else is hung up on, its bans are gone, and the next one is heard."""
        edge = self.edge(BEGINNING, ban_record("203.0.113.7", 600))
        self.wait_for(f"203.0.113.7 {PORT}", "silent")
        edge.sendall(b"flush ruleset; # and so on" * 10)
        edge.settimeout(PATIENCE)
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(edge.recv(1), b"")
        self.wait_for(f"203.0.113.7 {PORT}", "open")
        self.edge(BEGINNING, ban_record("203.0.113.8", 600))
        self.wait_for(f"203.0.113.8 {PORT}", "silent")

    def test_many(self) -> None:
        """As many as the sets hold are banned in a moment, those beyond are left out, and one more change is quick."""
        many = [ban_record(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", 600) for n in range(helper.MOST + 500)]
        edge = self.edge(BEGINNING, ban_record("203.0.113.7", 600), *many)
        edge.sendall(let_in_record("10.0.0.1") + ban_record("203.0.113.8", 600))
        self.wait_for(f"203.0.113.8 {PORT}", "silent")
        self.assertEqual(self.say(f"203.0.113.7 {PORT}"), "silent")

    def test_rules_that_are_flushed(self) -> None:
        """Where somebody flushes all rules, the next change fails, and the edge, hung up on, tells everything anew."""
        edge = self.edge(BEGINNING, ban_record("203.0.113.7", 600))
        self.wait_for(f"203.0.113.7 {PORT}", "silent")
        self.say("flush")
        edge.sendall(ban_record("203.0.113.8", 600))
        edge.settimeout(PATIENCE)
        self.assertEqual(edge.recv(1), b"")

"""`twistd warp-dns` as a program: checking, serving, reloading, following an edge, being watched."""

import json
import os
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rcode
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, readBody

from tests.case import assert_short_turns, reactor, until, until_said
from tests.pipes import full_pipe, read_all
from tests.system.ports import free_port
from warp_dns.serve.serials import SERIALS_AHEAD

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in (".", "dns", "warp_twisted/_dropins")),
    "PYTHONDONTWRITEBYTECODE": "1",
}
CONFIGURATION = """
listen: ["127.0.0.1:{port}"]
metrics: "tcp:{web}:interface=127.0.0.1"
identity: {{version: "warp", id: ns1}}
zones:
  - name: warp.example
    nameservers: {{ns1.warp.example: [127.0.0.1]}}
    master_file: {directory}/warp.zone
    follow: {directory}/admin.sock
    stale_seconds: 0.5
  - name: other.example
    master_file: {directory}/other.zone
"""
OTHER = "$TTL 60\n@ SOA ns h 7 3600 600 86400 60\n@ NS ns\nns A 192.0.2.53\n"


class Program(ProcessProtocol):
    """A running twistd, and what it wrote."""

    def __init__(self) -> None:
        self.output = ""
        self.ended: Deferred[None] = Deferred()
        self._awaited: list[tuple[str, Deferred[None]]] = []

    def outReceived(self, data: bytes) -> None:
        """Keep it, and tell those who wait for a text."""
        self.output += data.decode(errors="replace")
        for awaited in [each for each in self._awaited if each[0] in self.output]:
            self._awaited.remove(awaited)
            awaited[1].callback(None)

    errReceived = outReceived

    def printed(self, text: str) -> Deferred[None]:
        """Wait until a text was written."""
        waiting: Deferred[None] = Deferred()
        self._awaited.append((text, waiting))
        self.outReceived(b"")
        return waiting

    def processEnded(self, reason: object) -> None:
        """It is gone; its turns were short."""
        try:
            assert_short_turns(self.output)
        except AssertionError:
            self.ended.errback()
        else:
            self.ended.callback(None)


class EdgeStream(Protocol):
    """An edge that publishes one application, and then whatever the test says."""

    transport: Any

    def connectionMade(self) -> None:
        """Begin the stream at once; the request is not looked at."""
        self.factory.streams.append(self)
        self.transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.say(app="192.0.2.1")

    def say(self, **names: str) -> None:
        """Publish an address for each name, none for an empty one."""
        line = {
            f"{name}.warp.example": (
                [{"name": f"{name}.warp.example", "type": "A", "ttl": 5, "rdata": rdata, "edge": "edge1"}]
                if rdata
                else []
            )
            for name, rdata in names.items()
        }
        content = json.dumps(line).encode() + b"\n"
        self.transport.write(b"%x\r\n%s\r\n" % (len(content), content))


class ServiceTests(TestCase):
    """The program, beside an edge that the test plays."""

    timeout = 60

    def setUp(self) -> None:
        """Write a configuration."""
        self.directory = Path(tempfile.mkdtemp())  # short: a unix socket's path has 107 octets at most
        self.addCleanup(self.clean)
        self.port, self.web = free_port(), free_port()
        self.configuration = self.directory / "dns.yaml"
        self.configuration.write_text(CONFIGURATION.format(port=self.port, web=self.web, directory=self.directory))
        (self.directory / "warp.zone").write_text("www 60 A 192.0.2.80\n")
        (self.directory / "other.zone").write_text(OTHER)

    def clean(self) -> None:
        """Remove the directory."""
        for path in self.directory.iterdir():
            path.unlink()
        self.directory.rmdir()

    def edge(self) -> list[EdgeStream]:
        """Listen as an edge does; returns the streams that are opened."""
        factory: Any = Factory.forProtocol(EdgeStream)
        factory.noisy = False
        streams: list[EdgeStream] = []
        factory.streams = streams
        port = reactor.listenUNIX(str(self.directory / "admin.sock"), factory)
        self.addCleanup(port.stopListening)
        self.addCleanup(lambda: [stream.transport.abortConnection() for stream in streams])
        self.stop_edge = partial(maybeDeferred, port.stopListening)
        return streams

    def run_program(self, *arguments: str, output: int | None = None) -> Program:
        """Start `twistd warp-dns`; its standard output is kept, or a descriptor."""
        program = Program()
        command = [sys.executable, str(Path(sys.executable).parent / "twistd"), "-n", "--pidfile=", "warp-dns"]
        command += ["--config", str(self.configuration), *arguments]
        descriptors: Any = None if output is None else {0: "w", 1: output, 2: "r"}
        process: Any = reactor.spawnProcess(
            program, sys.executable, command, env=ENVIRONMENT, path=str(self.directory), childFDs=descriptors
        )

        def end() -> Deferred[None]:
            if process.pid is not None:
                process.signalProcess("TERM")
            return program.ended

        self.addCleanup(end)
        self.signal = process.signalProcess
        return program

    async def ask(self, name: str, rdtype: str = "A", rdclass: str = "IN") -> dns.message.Message:
        """Ask the program."""
        query = dns.message.make_query(name, rdtype, rdclass)
        reply: dns.message.Message = await deferToThread(dns.query.udp, query, "127.0.0.1", timeout=1, port=self.port)
        return reply

    async def until(self, name: str, code: dns.rcode.Rcode, program: Program) -> None:
        """Ask until the answer has a code."""

        async def answers() -> bool:
            try:
                return (await self.ask(name)).rcode() == code
            except (dns.exception.Timeout, OSError):
                return False

        try:
            await until_said(answers)
        except AssertionError:
            self.fail(program.output)

    async def get(self, path: str) -> tuple[int, str]:
        """Fetch a page of the watching site."""
        response = await Agent(reactor).request(b"GET", f"http://127.0.0.1:{self.web}{path}".encode())
        return response.code, (await readBody(response)).decode()

    async def check(self, *arguments: str) -> tuple[int, str]:
        """Run the program to its end; returns its exit code and what it wrote."""
        out, err, code = await getProcessOutputAndValue(
            str(Path(sys.executable).parent / "twistd"),
            ["warp-dns", "--config", str(self.configuration), *arguments],
            env=ENVIRONMENT,
            path=str(self.directory),
        )
        return code, (out + err).decode()

    async def test_nobody_reads_the_log(self) -> None:
        """With a full pipe for standard output it starts and answers, also while it logs each query."""
        self.edge()
        with self.configuration.open("a") as file:
            file.write("query_log: {one_in: 1}\n")
        reading, writing, filled = full_pipe()
        program = self.run_program(output=writing)
        os.close(writing)
        await self.until("www.warp.example", dns.rcode.NOERROR, program)
        for _ in range(20):
            self.assertEqual((await self.ask("www.warp.example")).rcode(), dns.rcode.NOERROR)
        reader = deferToThread(read_all, reading)
        self.signal("TERM")
        await program.ended
        text = (await reader)[filled:].decode()
        # One line for each batch: a query that is asked again on a busy machine comes with the one before it.
        self.assertGreaterEqual(text.count("query www.warp.example A from 127.0.0.1"), 10, text)
        self.assertIn("Server Shut Down", text)

    async def test_a_configuration_is_checked(self) -> None:
        """`--check` exits with 0 for a good one; with 1, and what is wrong, for bad keys, zones and secrets."""
        code, output = await self.check("--check")
        self.assertEqual((code, output), (0, f"{self.configuration}: good\n"))
        good = self.configuration.read_text()
        (self.directory / "short").write_text("c2hvcnQ=")
        for text, problem in (
            (good.replace("stale_seconds: 0.5", "stale_seconds: -1"), "zones[0].stale_seconds"),
            (good.replace("identity:", "identidy:"), "identidy"),
            (
                good + f"keys: [{{name: k, secret_file: {self.directory}/short}}]\n",
                "keys[0].secret_file: expected a secret of",
            ),
            (
                good.replace("other.zone", "missing.zone"),
                f"{self.configuration}: zones[1].master_file: {self.directory}/missing.zone: No such file",
            ),
        ):
            self.configuration.write_text(text)
            code, output = await self.check("--check")
            self.assertEqual(code, 1, output)
            self.assertIn(problem, output)
        self.configuration.write_text(good)
        (self.directory / "warp.zone").write_text("www 60 A 192.0.2.80\nx 60 A banana\n")
        code, output = await self.check("--check")
        self.assertEqual(code, 1)
        self.assertIn("warp.zone:2: ", output)

    async def own_records(self, program: Program) -> None:
        """Assert that SOA, NS and the zone's own records are answered, by either process."""
        for name, rdtype in (("", "SOA"), ("", "NS"), ("ns1.", "A"), ("www.", "A")) * 5:
            reply = await self.ask(f"{name}warp.example", rdtype)
            self.assertEqual((reply.rcode(), len(reply.answer)), (dns.rcode.NOERROR, 1), program.output)

    async def test_an_edge_that_restarts(self) -> None:
        """Its records are answered meanwhile, and what is gone afterwards is gone; nothing is denied before."""
        self.configuration.write_text(self.configuration.read_text().replace("stale_seconds: 0.5", "stale_seconds: 60"))
        streams = self.edge()
        program = self.run_program()
        await self.until("app.warp.example", dns.rcode.NOERROR, program)
        streams[-1].say(new="192.0.2.2")
        await self.until("new.warp.example", dns.rcode.NOERROR, program)
        await self.stop_edge()
        streams[-1].transport.abortConnection()
        await program.printed("is away")
        for name in ("app", "new", "www"):
            self.assertEqual((await self.ask(f"{name}.warp.example")).rcode(), dns.rcode.NOERROR)
        self.edge()
        await self.until("new.warp.example", dns.rcode.NXDOMAIN, program)
        self.assertEqual((await self.ask("app.warp.example")).rcode(), dns.rcode.NOERROR)

    async def test_it_serves_and_follows(self) -> None:
        """Its own records whether or not an edge is there; an edge's as they come, and SERVFAIL before and after."""
        program = self.run_program("--workers", "2")
        await self.until("app.warp.example", dns.rcode.SERVFAIL, program)
        await self.own_records(program)
        await self.until("ns.other.example", dns.rcode.NOERROR, program)
        self.assertEqual((await self.get("/ready"))[0], 503)
        streams = self.edge()
        await self.until("app.warp.example", dns.rcode.NOERROR, program)
        self.assertEqual(await self.get("/ready"), (200, "ready\n"))
        self.assertEqual(await self.get("/live"), (200, "live\n"))
        streams[-1].say(new="192.0.2.2", app="")
        await self.until("new.warp.example", dns.rcode.NOERROR, program)
        await self.until("app.warp.example", dns.rcode.NXDOMAIN, program)
        self.assertEqual(str((await self.ask("version.bind", "TXT", "CH")).answer[0][0]), '"warp"')
        _, metrics = await self.get("/metrics")
        self.assertIn('warp_dns_zone_serial{zone="other.example"} 7.0', metrics)
        await self.stop_edge()
        streams[-1].transport.abortConnection()
        await self.until("new.warp.example", dns.rcode.SERVFAIL, program)
        await self.until("never.warp.example", dns.rcode.SERVFAIL, program)
        await self.own_records(program)
        streams = self.edge()
        await self.until("app.warp.example", dns.rcode.NOERROR, program)
        await self.until("new.warp.example", dns.rcode.NXDOMAIN, program)
        await self.until("ns.other.example", dns.rcode.NOERROR, program)
        self.signal("TERM")
        await program.ended
        self.assertNotIn("factory", program.output)  # of an HTTP client: no operator's matter

    async def test_one_bad_part(self) -> None:
        """A bad zone file, a dangling link, a bad key, secret or database: each is named, the rest is served."""
        self.edge()
        (self.directory / "other.zone").write_text(OTHER + "x 60 A banana\n")
        (self.directory / "third.zone").symlink_to(self.directory / "nowhere")
        (self.directory / "key").write_text("no secret")
        text = self.configuration.read_text() + (
            f"  - {{name: third.example, master_file: {self.directory}/third.zone, transfer: {{keys: [k]}},"
            f" notify: [{{address: 127.0.0.1:1, key: k}}]}}\n"
            f"keys: [{{name: k, secret_file: {self.directory}/key}}]\n"
            f"cookies: {{secrets_file: {self.directory}/nowhere}}\n"
            f"places: {{database: {self.directory}/nowhere}}\n"
        )
        self.configuration.write_text(text)
        code, output = await self.check("--check")
        self.assertEqual(code, 1, output)
        program = self.run_program("--workers", "2")
        await self.until("app.warp.example", dns.rcode.NOERROR, program)
        for problem in (
            "zones[1].master_file: ", "zones[2].master_file: ", "keys[0].secret_file: ", "cookies.secrets_file: ",
            "places.database: ",
        ):  # fmt: skip
            self.assertIn(f"left out, the rest is served: {problem}", program.output)
        self.assertEqual(await self.get("/ready"), (200, "ready\n"))
        self.assertIn("warp_dns_zones_left_out 2.0", (await self.get("/metrics"))[1])
        for name in ("ns.other.example", "nothing.other.example", "third.example"):
            for _ in range(5):  # by either process
                await self.until(name, dns.rcode.SERVFAIL, program)
        (self.directory / "other.zone").write_text(OTHER)
        (self.directory / "nowhere").write_text(OTHER)
        await self.until("ns.other.example", dns.rcode.NOERROR, program)
        await self.until("ns.third.example", dns.rcode.NOERROR, program)
        self.assertIn("warp_dns_zones_left_out 0.0", (await self.get("/metrics"))[1])
        (self.directory / "nowhere").unlink()
        await program.printed("zone file refused, the old one stays")
        self.assertEqual((await self.ask("ns.third.example")).rcode(), dns.rcode.NOERROR)

    async def serial(self) -> int:
        """Ask for the serial of the zone that is live."""
        soa: Any = (await self.ask("warp.example", "SOA")).answer[0][0]
        return int(soa.serial)

    async def test_serials_only_go_on(self) -> None:
        """A full disk keeps nobody from being served and is said; a serial that was kept is passed after a kill."""
        path = self.directory / "serial"
        full = self.directory / "serial.new"  # which is written first
        full.symlink_to("/dev/full")
        text = self.configuration.read_text()
        self.configuration.write_text(text.replace("    follow:", f"    serial_file: {path}\n    follow:"))
        streams = self.edge()
        program = self.run_program()
        await self.until("app.warp.example", dns.rcode.NOERROR, program)
        await program.printed("the serial is not kept")
        self.assertIn("No space left on device", program.output)
        streams[-1].say(new="192.0.2.2")
        await self.until("new.warp.example", dns.rcode.NOERROR, program)
        self.assertFalse(path.exists())
        full.unlink()
        await until(path.exists)
        streams[-1].say(last="192.0.2.3")
        await self.until("last.warp.example", dns.rcode.NOERROR, program)
        serial = await self.serial()
        self.signal("KILL")
        await program.ended
        program = self.run_program()
        await self.until("app.warp.example", dns.rcode.NOERROR, program)
        self.assertGreater(await self.serial(), serial + SERIALS_AHEAD // 2)

    async def test_files_are_read_again(self) -> None:
        """A changed zone file is served by itself; SIGHUP brings zones and takes them; what is bad changes nothing."""
        self.edge()
        program = self.run_program()
        await self.until("app.warp.example", dns.rcode.NOERROR, program)
        zone = self.directory / "warp.zone"
        zone.write_text("www 60 A 192.0.2.80\nfresh 60 A 192.0.2.81\n")
        await self.until("fresh.warp.example", dns.rcode.NOERROR, program)
        zone.write_text("www 60 A 192.0.2.80\nwww 60 CNAME x\n")
        await program.printed("CNAME beside other data")
        self.assertEqual((await self.ask("fresh.warp.example")).rcode(), dns.rcode.NOERROR)
        zone.write_text("www 60 A 192.0.2.80\n")
        text = self.configuration.read_text()
        text = text.replace("other", "third").replace("third.zone", "other.zone")
        self.configuration.write_text(text.replace("stale_seconds: 0.5", "stale_seconds: 60") + "udp_bytes: 512\n")
        self.signal(signal.SIGHUP)
        await self.until("ns.third.example", dns.rcode.NOERROR, program)
        await self.until("ns.other.example", dns.rcode.REFUSED, program)
        self.assertEqual((await self.ask("app.warp.example")).rcode(), dns.rcode.NOERROR)
        said = "2 zones; new: third.example, changed: warp.example, gone: other.example; after a restart: udp_bytes"
        self.assertIn(f"configuration read again: {said}", program.output)
        self.configuration.write_text("listen: banana")
        self.signal(signal.SIGHUP)
        await program.printed("reload refused")
        self.assertEqual((await self.ask("ns.third.example")).rcode(), dns.rcode.NOERROR)

    async def test_a_port_in_use_is_named(self) -> None:
        """The second one on a port says which address it could not have, and ends."""
        first = self.run_program()
        await self.until("ns.other.example", dns.rcode.NOERROR, first)
        second = self.run_program()
        await second.ended
        self.assertIn(f"cannot serve DNS on UDP 127.0.0.1 port {self.port}", second.output)

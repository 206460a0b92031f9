"""Tests of the visitors' side put together from settings."""

import contextlib
import os
import ssl
from pathlib import Path

import msgspec
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.client_authority import ClientAuthority
from tests.clocks import SettableWallClock
from tests.edge.certificate_files import write_certificate
from tests.edge.certificates.test_directory import visitor_context
from tests.edge.control import make_settings
from warp_base.nonblocking_writer import finish_all
from warp_base.reactor import as_reactor
from warp_twisted.edge.certificates.proof import ProvenTls
from warp_twisted.edge.errors import EdgeError
from warp_twisted.edge.refusals import NO_TUNNEL as _REFUSAL
from warp_twisted.edge.routes.limits import VisitorLimits
from warp_twisted.edge.visitors.plain import PlainVisitor
from warp_twisted.edge.visitors.serving import (
    MAX_WAITING_BYTES,
    AccessFile,
    Serving,
    field_rules,
    open_access_log,
    statements,
    upgrades,
    visitor_limits,
    visitor_timeouts,
)
from warp_twisted.errors import InvalidSettings
from warp_twisted.http1.limits import ResponseRules

PLAIN = {"http": ["tcp:80"], "https": []}
TIMEOUTS = {"header": 1, "idle": 2, "visitor_stall": 3, "origin_connect": 4, "origin_response": 5, "origin_stall": 6,
            "upgraded": 7, "idle_stream": 8, "suspicion": 9, "queued": 10}  # fmt: skip


class TranslationTests(SynchronousTestCase):
    """edge.yaml in the data path's own values."""

    def test_limits(self) -> None:
        """Each limit of visitors is taken from the settings."""
        limits = visitor_limits(
            make_settings(
                limits={"head_bytes": 2000, "header_count": 20, "body_bytes": 3000, "connections": 40,
                        "connections_per_address": 4, "unread_bytes": 5_000_000, "idle_streams_per_route": 6,
                        "queued_requests": 11,
                        "body_bytes_per_second": 70, "requests_per_second": 0.8, "request_burst": 9,
                        "visitor_handshakes_per_second": 3.5, "visitor_handshake_burst": 8, "target_bytes": 1000},
                responses={"head_bytes": 4000, "header_count": 30, "bare_lf": True},
            )
        )  # fmt: skip
        self.assertEqual((limits.head.head_bytes, limits.head.header_count, limits.body.body_bytes), (2000, 20, 3000))
        self.assertEqual(limits.head.target_bytes, 1000)
        self.assertEqual(limits.response, ResponseRules(head_bytes=4000, header_count=30, bare_lf=True))
        self.assertEqual((limits.connections, limits.connections_per_address), (40, 4))
        self.assertEqual((limits.unread_bytes, limits.idle_streams, limits.queued_requests), (5_000_000, 6, 11))
        rates = (limits.body_bytes_per_second, limits.requests_per_second, limits.request_burst)
        self.assertEqual(rates, (70, 0.8, 9))
        self.assertEqual((limits.handshakes_per_second, limits.handshake_burst), (3.5, 8))

    def test_upgrades(self) -> None:
        """Protocols in any case; HTTP/2 is none of them, for what passes then could be a request to anybody."""
        self.assertEqual(upgrades(make_settings()), {b"websocket"})
        self.assertEqual(upgrades(make_settings(upgrades=["tcp", "SPDY/3.1"])), {b"tcp", b"spdy/3.1"})
        for wrong in ("h2c", "H2", "a b", ""):
            self.assertRaises(InvalidSettings, make_settings, upgrades=[wrong])

    def test_forwarding(self) -> None:
        """What is set is stripped, too; public ports count before those listened on."""
        settings = make_settings(forwarding={"strip": ["X-A"], "set": ["X-Forwarded-Port", "CF-Connecting-IP"]})
        rules = field_rules(settings)
        self.assertEqual(
            [rules.is_dropped(name) for name in (b"x-a", b"cf-connecting-ip", b"x-b")], [True, True, False]
        )
        self.assertEqual([name for name, _ in statements(settings).fields], ["X-Forwarded-Port", "CF-Connecting-IP"])
        self.assertEqual(statements(settings).ports, ())
        edge = {"name": "edge1", "addresses": ["192.0.2.1"], "https_port": 8443}
        self.assertEqual(statements(make_settings(edge=edge)).ports, (("https", 8443),))

    def test_timeouts(self) -> None:
        """Each time-out of visitors is taken from the settings."""
        timeouts = msgspec.structs.asdict(visitor_timeouts(make_settings(timeouts=TIMEOUTS)))
        self.assertEqual({name: timeouts[name] for name in TIMEOUTS}, TIMEOUTS)


class AccessFileTests(SynchronousTestCase):
    """Where access lines go."""

    def test_appended(self) -> None:
        """Lines are appended to the file, until it is closed."""
        path = self.mktemp()
        Path(path).write_bytes(b"old\n")
        file = AccessFile(open_access_log(path))
        file.write(b"new\n")
        file.close()
        file.write(b"late\n")
        finish_all()
        self.assertEqual(Path(path).read_bytes(), b"old\nnew\n")

    def test_cannot_be_opened(self) -> None:
        """A file that cannot be opened is named."""
        with self.assertRaisesRegex(InvalidSettings, "^log.access: .*/absent/log: No such file"):
            open_access_log(os.path.join(self.mktemp(), "absent", "log"))

    def test_nowhere(self) -> None:
        """Without a name nothing is written."""
        before = os.listdir("/proc/self/fd")
        file = AccessFile(open_access_log(None))
        file.write(b"line\n")
        file.close()
        self.assertEqual(os.listdir("/proc/self/fd"), before)

    def test_pipe_that_nobody_reads_yet(self) -> None:
        """Opening it would wait for a reader; it is refused instead."""
        path = self.mktemp()
        os.mkfifo(path)
        with self.assertRaisesRegex(InvalidSettings, "^log.access: .*: No such device"):
            AccessFile(open_access_log(path))

    def test_reader_that_stops(self) -> None:
        """Requests go on; a bounded number of lines waits, and the count of those that are missing is logged."""
        path = self.mktemp()
        os.mkfifo(path)
        reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(reading, True)
        file = AccessFile(open_access_log(path))
        written = 16 * MAX_WAITING_BYTES
        line = b"x" * 1023 + b"\n"
        with capturedLogs() as logged:
            for _ in range(written // 65536):
                file.write(line * 64)
            file.close()
            found = b""
            while data := os.read(reading, 65536):  # until the writer has closed it
                found += data
        os.close(reading)
        dropped = sum(event["lines"] for event in logged if "access log were dropped" in event["log_format"])
        self.assertEqual(len(found) // len(line) + dropped, written // len(line))
        self.assertLess(len(found), 2 * MAX_WAITING_BYTES + 2 * 65536)


def is_asked(listener: ssl.SSLContext, name: str) -> bool:
    """Whether a visitor is asked for a certificate in its handshake."""
    to_edge, to_visitor = ssl.MemoryBIO(), ssl.MemoryBIO()
    visitor = visitor_context().wrap_bio(to_visitor, to_edge, False, name)
    edge = listener.wrap_bio(to_edge, to_visitor, True)
    for end in (visitor, edge):
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    return isinstance(edge, ProvenTls) and bool(edge.proof.authorities)


class ServingTests(SynchronousTestCase):
    """Start, reload and stop."""

    def setUp(self) -> None:
        self.clock = Clock()

    def serve(self, **sections: object) -> Serving:
        """Start to serve."""
        serving = Serving(as_reactor(self.clock), SettableWallClock(), make_settings(**sections))
        serving.start()
        self.addCleanup(serving.stop)
        return serving

    def test_plain_only(self) -> None:
        """Without a TLS listener there are no certificates."""
        serving = self.serve(listen=PLAIN)
        self.assertIsNone(serving.https)
        self.assertEqual((serving.certificate_names(), serving.certificate_expiry()), ((), {}))
        self.assertFalse(serving.has_certificate("app.example"))

    def test_certificates(self) -> None:
        """With one, the certificates of the directory are shown and named."""
        directory = Path(self.mktemp())
        directory.mkdir()
        write_certificate(directory, "app", ["app.example"])
        serving = self.serve(certificates=str(directory))
        self.assertIsNotNone(serving.https)
        self.assertEqual(serving.certificate_names(), ("app.example",))
        self.assertEqual(list(serving.certificate_expiry()), ["visitors/app"])
        self.assertTrue(serving.has_certificate("app.example"))

    def test_proxies(self) -> None:
        """Who is a proxy is applied at the start and by a reload; none of them is banned."""
        proxy = IPv4Address("TCP", "192.0.2.7", 40_000)
        serving = self.serve(listen=PLAIN)
        assert serving.http is not None
        self.assertIsInstance(serving.http.buildProtocol(proxy), PlainVisitor)
        settings = make_settings(listen=PLAIN, forwarding={"proxy_protocol": ["192.0.2.0/24"]})
        self.successResultOf(Deferred.fromCoroutine(serving.reload(settings)))
        announced = serving.http.buildProtocol(proxy)
        assert announced is not None
        self.assertNotIsInstance(announced, PlainVisitor)
        with self.assertRaisesRegex(EdgeError, "a proxy"):
            serving.policy.banning.add("192.0.2.7", 60.0, "")

    def test_certificates_of_visitors(self) -> None:
        """The policy that edge.yaml names decides from the start whose visitors are asked for a certificate."""
        directory = Path(self.mktemp())
        directory.mkdir()
        write_certificate(directory, "app", ["app.example"])
        authority = ClientAuthority(directory)
        (directory / "ca.pem").write_text(authority.pem)
        policy = directory / "policy.yaml"
        policy.write_text("rules: [{name: r, authenticate: {any_of: [{client_certificate: {ca_file: ca.pem}}]}}]")
        serving = self.serve(certificates=str(directory), policy=str(policy), policy_files=str(directory))
        assert serving.policy.certificates is not None
        listener = serving.policy.certificates.context
        self.assertTrue(is_asked(listener, "app.example"))
        settings = make_settings(certificates=str(directory))
        self.successResultOf(Deferred.fromCoroutine(serving.reload(settings)))
        self.assertFalse(is_asked(listener, "app.example"))

    def test_http_proxies(self) -> None:
        """Who says in a field for whom it asks is applied by a reload, and is not banned either."""
        serving = self.serve(listen=PLAIN)
        self.assertNotIn("192.0.2.7", serving.visitors.http_proxies)
        settings = make_settings(listen=PLAIN, forwarding={"x_forwarded_for": ["192.0.2.0/24"]})
        self.successResultOf(Deferred.fromCoroutine(serving.reload(settings)))
        self.assertIn("192.0.2.7", serving.visitors.http_proxies)
        with self.assertRaisesRegex(EdgeError, "a proxy"):
            serving.policy.banning.add("192.0.2.7", 60.0, "")

    def test_no_directory(self) -> None:
        """A TLS listener needs a directory of certificates."""
        with self.assertRaisesRegex(InvalidSettings, "^certificates: listen.https needs a directory, or acme"):
            Serving(as_reactor(self.clock), SettableWallClock(), make_settings(certificates=None))

    def test_reload(self) -> None:
        """Limits, time-outs and the access log are those of the new settings; the log's last lines are not lost."""
        first, second = self.mktemp(), self.mktemp()
        serving = self.serve(listen=PLAIN, log={"access": first})
        visitors = serving.visitors
        assert visitors.access_log is not None
        visitors.log_refusal("192.0.2.7", "http", _REFUSAL, b"id-1", 0)
        wanted = make_settings(listen=PLAIN, log={"access": second}, limits={"connections": 7}, timeouts={"idle": 9})
        self.assertEqual(self.successResultOf(serving.reload(wanted)), [])
        finish_all()
        self.assertIn(b"id-1", Path(first).read_bytes())
        self.assertEqual((visitors.limits.connections, visitors.timeouts.idle), (7, 9))
        self.assertIs(serving.routes.limits, visitors.limits)
        visitors.log_refusal("192.0.2.7", "http", _REFUSAL, b"id-2", 0)
        self.clock.advance(1.0)
        finish_all()
        self.assertIn(b"id-2", Path(second).read_bytes())
        self.assertNotIn(b"id-2", Path(first).read_bytes())

    def test_reload_that_fails(self) -> None:
        """Settings that cannot be applied leave everything as it was."""
        serving = self.serve(listen=PLAIN)
        before: VisitorLimits = serving.visitors.limits
        wanted = make_settings(listen=PLAIN, log={"access": "/nowhere/at/all"}, limits={"connections": 7})
        self.failureResultOf(serving.reload(wanted), InvalidSettings)
        self.assertIs(serving.visitors.limits, before)

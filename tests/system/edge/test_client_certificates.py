"""Tests of visitors' certificates on real sockets: who is asked, who comes in, and that nothing evades it."""

import json
import os
import re
import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from time import time

from cryptography import x509
from twisted.internet.defer import Deferred, execute
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.utils import getProcessOutputAndValue
from twisted.logger import capturedLogs

from tests.case import reactor, until
from tests.client_authority import ClientAuthority, Credential
from tests.clocks import SettableWallClock
from tests.edge.certificate_files import write_certificate
from tests.edge.certificates.test_directory import visitor_context
from tests.system.edge.harness import LOOPBACK, RawConnection, answer_each, get, status_of
from tests.system.edge.test_tls import TlsTestCase
from warp_twisted.edge.policy.delivery.following import PolicyFollower
from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.edge.refusals import TOO_MANY_HANDSHAKES
from warp_twisted.edge.routes.limits import VisitorLimits
from warp_twisted.edge.visitors.http_proxies import HttpProxies
from warp_twisted.errors import InvalidSettings
from warp_twisted.policy.authentication.assertion import Assertions
from warp_twisted.policy.authentication.key_ring import KeyRing
from warp_twisted.policy.sources.prefixes import PrefixSet
from warp_twisted.tunnel.errors import HandshakeFailed
from warp_twisted.wire.control import RouteOffer

ROOT = Path(__file__).parents[3]
BOTH_VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
POLICY = """
rules:
  - name: staff
    match: {hostname: app.example}
    except: [/healthz]
    authenticate: {any_of: [{client_certificate: {ca_file: staff.pem}}]}
  - name: admins
    match: {hostname: app.example, path: /admin/*}
    authenticate: {any_of: [{client_certificate: {ca_file: admins.pem, san: ["*@admin.example"]}}]}
  - name: partners
    match: {hostname: partner.example}
    authenticate: {any_of: [{client_certificate: {ca_file: partners.pem}}]}
  - name: open
    match: {hostname: open.example}
    sources: {allow: [127.0.0.0/8]}
"""
NOTHING = "rules: []"
EMAIL = x509.SubjectAlternativeName([x509.RFC822Name("ann@admin.example")])


class ClientCertificateTestCase(TlsTestCase):
    """An edge with a policy that asks for certificates, one certificate of its own for all hostnames, and an origin."""

    text = POLICY

    async def prepare(self) -> None:
        await super().prepare()
        write_certificate(self.directory, "app", ["app.example", "partner.example", "open.example"], address=LOOPBACK)
        await self.certificates.refresh()
        names = ("partner.example", "open.example")
        await self.edge.add_tunnel([RouteOffer(id=number, hostname=name) for number, name in enumerate(names)])
        self.origin.answer = answer_each()
        self.files = Path(self.mktemp())
        self.files.mkdir()
        self.staff, self.admins, self.partners = (
            ClientAuthority(self.files, name) for name in ("Staff", "Admins", "Partners")
        )
        for name, authority in (("staff", self.staff), ("admins", self.admins), ("partners", self.partners)):
            (self.files / f"{name}.pem").write_text(authority.pem)
        self.policy = self.edge.visitors.policy = PolicyInForce()
        self.policy.ask_by(self.certificates)
        self.wall = self.edge.visitors.wall = SettableWallClock(time())
        self.file = self.files / "policy.yaml"
        self.file.write_text(self.text)
        self.follower = PolicyFollower(self.policy, reactor, execute)
        self.follower.begin(str(self.file), str(self.files))

    async def use(self, text: str) -> None:
        """Put another policy in force."""
        self.file.write_text(text)
        await self.follower.reload(str(self.file), str(self.files))

    async def connect(
        self,
        credential: Credential | None = None,
        name: str | None = "app.example",
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> RawConnection:
        """Connect as a visitor that has a certificate."""
        context = visitor_context(version)
        return await self.secure_visitor(name, credential.give(context) if credential is not None else context)

    async def ask(self, client: RawConnection, path: bytes = b"/", host: bytes = b"app.example") -> int:
        """Ask on a connection, and return the answer's status."""
        client.send(get(path, host=host))
        await client.when(lambda: b"\r\n\r\nok" in client.received or b"\nrequest: " in client.received)
        return status_of(client.take())

    def entry(self) -> dict[str, object]:
        """Return the newest line of the access log."""
        line: dict[str, object] = json.loads(self.edge.access_lines()[-1])
        return line

    def assert_nothing_arrived(self) -> None:
        """The origin has heard of nobody."""
        self.assertEqual(self.origin.seen, b"")


class ProofTests(ClientCertificateTestCase):
    """Who comes in."""

    async def test_proven(self) -> None:
        """Who has a certificate of the rule's authority comes in; log and origin are told who it is."""
        key = KeyRing().renewed(self.wall.now()).signing(self.wall.now())
        self.policy.assertions = Assertions(key, "warp.example")
        for version in BOTH_VERSIONS:
            client = await self.connect(self.staff.issue("ann"), version=version)
            self.assertEqual([await self.ask(client) for _ in range(2)], [200, 200])
            self.assertEqual(self.entry()["user"], "CN=ann")
        self.assertIn(b"Warp-Identity: CN=ann\r\nWarp-Identity-Kind: client_certificate\r\n", self.origin.seen)

    async def test_no_certificate(self) -> None:
        """Who has none is told by the rule, in a page; where the rule leaves something out, there it comes in."""
        for version in BOTH_VERSIONS:
            client = await self.connect(version=version)
            self.assertEqual(await self.ask(client), 401)
            self.assertEqual((self.entry()["rule"], self.entry()["reason"]), ("staff", "policy-unauthenticated"))
            self.assert_nothing_arrived()
        self.assertEqual(await self.ask(client, b"/healthz"), 200)

    async def test_behind_a_proxy(self) -> None:
        """What an HTTP proxy has proven says nothing of the visitors that it speaks for."""
        self.edge.visitors.http_proxies = HttpProxies(PrefixSet.of([LOOPBACK]))
        client = await self.connect(self.staff.issue("proxy"))
        for fields in ((b"X-Forwarded-For: 203.0.113.9",), ()):
            client.send(get(b"/", *fields))
            await client.until(b"\nrequest: ")
            self.assertEqual(status_of(client.take()), 401)
        self.assert_nothing_arrived()

    async def test_not_vouched_for(self) -> None:
        """A certificate of a stranger's authority ends the handshake; the log says so, and bans count it."""
        await self.use("defaults: {ban: {refusals: 2, within: 1m, for: 1m}}\n" + POLICY)
        stranger = ClientAuthority(self.files, "Stranger").issue()
        with self.assertRaises(HandshakeFailed):
            await self.connect(stranger, version=ssl.TLSVersion.TLSv1_2)
        entry = self.entry()
        self.assertEqual((entry["host"], entry["reason"]), ("app.example", "policy-credential"))
        self.assertEqual(entry["detail"], (
            "client_certificate: the peer's certificate is not good: unable to get local issuer certificate"
        ))  # fmt: skip
        client = await self.connect(stranger)  # TLS 1.3: the visitor hears of it after its handshake
        await client.lost()
        self.assertEqual((self.edge.metrics.failed_handshakes, len(self.policy.banning.bans)), (2, 0))  # loopback
        self.assertEqual({each.status: count for each, count in self.edge.metrics.refusals.items()}, {401: 2})
        self.assert_nothing_arrived()

    async def test_strangers_pay_more(self) -> None:
        """A handshake with a certificate that is not taken counts for ten; one with another, or none, for one."""
        self.edge.visitors.apply(VisitorLimits(handshakes_per_second=0.001, handshake_burst=25), self.timeouts)
        stranger = ClientAuthority(self.files, "Stranger").issue()
        for _ in range(2):
            await self.connect(self.staff.issue())
            with self.assertRaises(HandshakeFailed):
                await self.connect(stranger, version=ssl.TLSVersion.TLSv1_2)
        for _ in range(3):
            await self.connect()
        with self.assertRaises(HandshakeFailed):
            await self.connect(self.staff.issue())
        self.assertEqual(self.edge.metrics.refusals[TOO_MANY_HANDSHAKES], 1)

    async def test_each_rule_has_its_own_authority(self) -> None:
        """What one rule's authority vouches for is nothing to another rule, of this hostname or of another one."""
        staff, admin, partner = self.staff.issue(), self.admins.issue("ann", EMAIL), self.partners.issue()
        for shown, host, path, status, rule in (
            (staff, "app.example", b"/", 200, None),
            (staff, "app.example", b"/admin/", 401, "admins"),
            (admin, "app.example", b"/admin/", 401, "staff"),
            (staff, "partner.example", b"/", 401, "partners"),
            (partner, "app.example", b"/", 401, "staff"),
            (partner, "partner.example", b"/", 200, None),
        ):
            client = await self.connect(shown, host)
            self.assertEqual(await self.ask(client, path, host.encode()), status, (rule, path))
            self.assertEqual(self.entry().get("rule"), rule)
        self.assertEqual(self.origin.seen.count(b"GET "), 2)

    async def test_ends_while_the_connection_is_open(self) -> None:
        """A certificate that ends lets nobody in any more, also on a connection that was made before."""
        client = await self.connect(self.staff.issue(ends=timedelta(minutes=30)))
        self.assertEqual(await self.ask(client), 200)
        self.wall.offset += 1_790
        self.assertEqual(await self.ask(client), 200)
        self.wall.offset += 20
        self.assertEqual(await self.ask(client), 401)
        self.assertEqual(self.entry()["reason"], "policy-credential")

    async def test_hello_in_pieces(self) -> None:
        """A visitor whose first message comes byte by byte, in records of a few bytes each, is asked all the same."""
        context = self.staff.issue().give(visitor_context())
        to_visitor, from_visitor = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(to_visitor, from_visitor, False, "app.example")
        client = await self.edge.visitor(self.port)
        self.assertRaises(ssl.SSLWantReadError, tls.do_handshake)
        hello = from_visitor.read()
        for piece in in_records(hello, 7):
            await client.trickle(piece, 0.0)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                client.send(from_visitor.read())
                await client.when(lambda: bool(client.received))
                to_visitor.write(client.take())
            else:
                break
        tls.write(get())
        client.send(from_visitor.read())
        await client.when(lambda: bool(client.received))
        to_visitor.write(client.take())
        self.assertEqual(status_of(tls.read(1_000)), 200)


class EvasionTests(ClientCertificateTestCase):
    """Ways around the handshake in which a certificate is asked for."""

    async def test_another_host(self) -> None:
        """A connection that was made for one hostname is not used for one that asks for other authorities."""
        staff, partner = self.staff.issue(), self.partners.issue()
        for shown, name, host, status in (
            (staff, "open.example", b"app.example", 421),
            (staff, "partner.example", b"app.example", 421),
            (partner, "app.example", b"partner.example", 421),
            (staff, "app.example", b"open.example", 200),
        ):
            client = await self.connect(shown, name)
            self.assertEqual(await self.ask(client, host=host), status, (name, host))
            if status == 421:
                self.assertEqual(self.entry()["reason"], "certificate-not-asked")
                await client.lost()
        self.assertEqual(self.origin.seen.count(b"GET "), 1)

    async def test_no_name(self) -> None:
        """Who names no hostname is asked for nothing, and so lacks what the rule wants."""
        client = await self.connect(self.staff.issue(), None)
        self.assertEqual(await self.ask(client), 401)
        self.assertEqual(self.entry()["reason"], "policy-unauthenticated")
        self.assertEqual(await self.ask(client, host=b"open.example"), 200)

    async def test_without_tls(self) -> None:
        """Nor does anybody come in by http."""
        client = await self.edge.visitor()
        client.send(get())
        await client.until(b"\nrequest: ")
        self.assertEqual(status_of(client.received), 401)
        self.assert_nothing_arrived()

    async def test_renegotiation(self) -> None:
        """A visitor cannot begin another handshake on its connection, in which it would name somebody else."""
        talk = Talk()
        arguments = ["openssl", "s_client", "-connect", f"{LOOPBACK}:{self.port}", "-tls1_2"]
        arguments += ["-servername", "open.example", "-cert", str(self.staff.issue().path)]
        reactor.spawnProcess(talk, "openssl", arguments, os.environ)
        self.clean_up_with(talk.end)
        await until(lambda: b"Verify return code" in talk.said)
        talk.say(b"R\n")
        await talk.over
        self.assertIn(b"no renegotiation", talk.said)


class ChangeTests(ClientCertificateTestCase):
    """Policies and authorities that change while connections are open."""

    async def test_begins_to_ask(self) -> None:
        """A connection of before is told to come again, and its next one is asked."""
        await self.use(NOTHING)
        ann = self.staff.issue()
        client = await self.connect(ann)
        self.assertEqual(await self.ask(client), 200)
        await self.use(POLICY)
        self.assertEqual(await self.ask(client), 421)
        await client.lost()
        self.assertEqual(await self.ask(await self.connect(ann)), 200)

    async def test_goes_on(self) -> None:
        """A change that leaves the authorities as they are disturbs nobody; one that asks no more neither."""
        client = await self.connect(self.staff.issue())
        for text in (POLICY, POLICY + "  - {name: other, match: {path: /other}, deny: true}\n", NOTHING):
            await self.use(text)
            self.assertEqual(await self.ask(client), 200)

    async def test_another_authority(self) -> None:
        """An authority that is replaced is believed no more, at the next request; the file is watched."""
        ann, client = self.staff.issue(), await self.connect(self.staff.issue())
        self.assertEqual(await self.ask(client), 200)
        successor = ClientAuthority(self.files, "Staff")
        (self.files / "staff.pem").write_text(successor.pem)
        await self.follower.look()
        self.assertEqual(await self.ask(client), 421)
        with self.assertRaises(HandshakeFailed):
            await self.connect(ann, version=ssl.TLSVersion.TLSv1_2)
        self.assertEqual(await self.ask(await self.connect(successor.issue())), 200)

    async def test_last_good_content(self) -> None:
        """A file that is damaged leaves the authorities of before; an edge does not begin with it."""
        (self.files / "staff.pem").write_text("damaged")
        with capturedLogs() as logged:
            await self.follower.look()
        self.assertRegex(logged[0]["error"], r"client_certificate.ca_file: .*staff.pem: expected certificates in PEM")
        self.assertEqual(await self.ask(await self.connect(self.staff.issue())), 200)
        fresh = PolicyFollower(PolicyInForce(), reactor, execute)
        with self.assertRaisesRegex(InvalidSettings, r"rules\[0\].authenticate.any_of\[0\].client_certificate.ca_file"):
            fresh.begin(str(self.file), str(self.files))


class PeerTests(ClientCertificateTestCase):
    """Visitors that others wrote."""

    async def test_curl(self) -> None:
        """curl comes in with a certificate, in both versions, and without one is told 401."""
        ann = self.staff.issue()
        for options, status in (
            (("--cert", str(ann.path), "--tls-max", "1.2"), b"200"),
            (("--cert", str(ann.path), "--tlsv1.3"), b"200"),
            (("--cert", str(ann.path), "--tlsv1.3", "--curves", "P-521:P-256"), b"200"),  # after another hello
            ((), b"401"),
        ):
            url = f"https://app.example:{self.port}/"
            arguments = ["-qskS", "-o", "/dev/null", "-w", "%{http_code}", "--noproxy", "*", *options]
            arguments += ["--resolve", f"app.example:{self.port}:{LOOPBACK}", url]
            output, errors, code = await getProcessOutputAndValue("curl", arguments, os.environ, reactor=reactor)
            self.assertEqual((output, code), (status, 0), errors)

    async def test_as_documented(self) -> None:
        """The authority and the certificate that docs/policy.md has one make are taken, by the name that they give."""
        section = (ROOT / "docs" / "policy.md").read_text().partition("### Certificates of visitors")[2]
        commands = section.partition("```sh\n")[2].partition("curl ")[0]
        _, errors, code = await getProcessOutputAndValue(
            "bash", ["-ec", commands], os.environ, path=str(self.files), reactor=reactor
        )
        self.assertEqual(code, 0, errors)
        (self.files / "staff.pem").write_bytes((self.files / "ca.pem").read_bytes())
        await self.follower.look()
        self.wall.set(time())  # they begin to hold in this second
        context = visitor_context()
        context.load_cert_chain(self.files / "ann.pem", self.files / "ann.key")
        self.assertEqual(await self.ask(await self.secure_visitor("app.example", context)), 200)
        self.assertEqual(self.entry()["user"], "ann@example.org")

    async def test_openssl(self) -> None:
        """openssl hears of the hostname's authorities, each once, of no others, and of none where nobody is asked."""
        again = ("-tls1_3", "-groups", "P-521:P-256")  # it is asked for another hello (RFC 8446 §4.1.4)
        for version in (("-tls1_2",), ("-tls1_3",), again):
            for name, expected in (("app.example", [b"CN = Admins", b"CN = Staff"]), ("open.example", [])):
                arguments = ["s_client", "-connect", f"{LOOPBACK}:{self.port}", "-servername", name, *version]
                output, errors, code = await getProcessOutputAndValue(
                    "openssl", arguments, os.environ, reactor=reactor, stdinBytes=b"Q\n"
                )
                self.assertEqual(code, 0, errors)
                told = output.partition(b"Acceptable client certificate CA names\n")[2]
                self.assertEqual(sorted(re.findall(rb"(?m)^CN = .*$", told.partition(b"Requested")[0])), expected)
                self.assertEqual(b"No client certificate CA names sent" in output, not expected)


class Talk(ProcessProtocol):
    """A program whose words are answered."""

    def __init__(self) -> None:
        self.said = b""
        self.over: Deferred[None] = Deferred()

    def say(self, words: bytes) -> None:
        """Write to it."""
        assert self.transport is not None
        self.transport.write(words)

    async def end(self) -> None:
        """Let it end."""
        if not self.over.called:
            assert self.transport is not None
            self.transport.signalProcess("KILL")
            await self.over

    def outReceived(self, data: bytes) -> None:
        self.said += data

    def errReceived(self, data: bytes) -> None:
        self.said += data

    def processEnded(self, reason: object) -> None:
        self.over.callback(None)


def in_records(record: bytes, size: int) -> Iterator[bytes]:
    """Cut one TLS record into several."""
    content = record[5:]
    for at in range(0, len(content), size):
        piece = content[at : at + size]
        yield record[:3] + len(piece).to_bytes(2, "big") + piece

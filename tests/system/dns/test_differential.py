"""The same zone in Knot, NSD, BIND and our server: what the three agree on is what we say."""

import random
import socket
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
from twisted.internet.threads import deferToThread

from tests.case import AsyncTestCase, reactor, until_said
from tests.system.dns.peers import KINDS, Peer
from warp_dns import DnsServer, ServedZone, ZoneSettings

QUESTIONS = 2500
TYPES = ["A", "AAAA", "NS", "SOA", "MX", "TXT", "CNAME", "DNAME", "SRV", "HTTPS", "CAA", "DS", "TYPE65280", "PTR"]
ZONE_FILE = """$TTL 300
@ SOA ns1 hostmaster 7 3600 600 86400 60
@ NS ns1
@ NS ns2.other.example.
@ MX 10 mail
@ TXT "apex"
ns1 A 192.0.2.53
ns1 AAAA 2001:db8::53
mail A 192.0.2.25
www CNAME app
app A 192.0.2.1
app A 192.0.2.2
app AAAA 2001:db8::1
app TXT "a" "b"
chain1 CNAME chain2
chain2 CNAME chain3
chain3 CNAME app
out CNAME www.example.com.
dangling CNAME nowhere
loop1 CNAME loop2
loop2 CNAME loop1
a.b.c A 192.0.2.3
*.wild A 192.0.2.4
*.wild TXT "w"
*.wild MX 10 mail
x.y.wild A 192.0.2.5
*.cw CNAME app
*.cwx CNAME x.cwx
sub NS ns.sub
sub NS ns.example.net.
ns.sub A 192.0.2.6
deep.sub A 192.0.2.7
sub DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000
nods NS ns1
old DNAME new
new A 192.0.2.8
x.new A 192.0.2.9
old TXT "beside"
dout DNAME example.com.
cn2sub CNAME z.sub
cn2wild CNAME q.wild
cn2old CNAME x.old
loopa DNAME loopb
loopb DNAME loopa
twice DNAME old
back.new CNAME x.old
end.new CNAME old
_http._tcp SRV 0 1 80 app
_http._tcp SRV 0 1 80 mail
_x._tcp SRV 0 1 80 nowhere
h HTTPS 1 . alpn=h2
h A 192.0.2.10
h2 HTTPS 0 app
caa CAA 0 issue "ca.example"
unk TYPE65280 \\# 3 010203
nsx NS ns.wild
_under.*.star A 192.0.2.11
star.*.x2 TXT "lit"
MiXeD A 192.0.2.12
"""
LABELS = (
    *("www", "app", "a", "b", "c", "wild", "x", "y", "q", "z", "cw", "cwx", "sub", "ns", "deep", "old", "new", "dout"),
    *("cn2sub", "cn2wild", "cn2old", "_http", "_tcp", "_x", "h", "h2", "caa", "unk", "nsx", "*", "star", "_under"),
    *("loopa", "loopb", "twice", "back", "end"),
    *("x2", "chain1", "out", "dangling", "loop1", "mail", "ns1", "nods", "mixed", "MIXED", "nothing"),
)

Said = tuple[str, bool, tuple[str, ...]]


def ask(name: str, rdtype: str, port: int) -> Said:
    """Return code, AA and answer section of a server's reply."""
    query = dns.message.make_query(name, rdtype, use_edns=0, payload=1232)
    query.flags = 0
    reply = dns.query.udp(query, "127.0.0.1", timeout=1, port=port, one_rr_per_rrset=True)  # keeps what comes twice
    answer = sorted(
        f"{rrset.name} {rrset.ttl} {rrset.rdtype} {rdata}".lower() for rrset in reply.answer for rdata in rrset
    )
    return dns.rcode.to_text(reply.rcode()), bool(reply.flags & dns.flags.AA), tuple(answer)


class DifferentialTests(AsyncTestCase):
    """One zone, four servers."""

    timeout = 90

    async def prepare(self) -> None:
        """Start all four."""
        self.peers = [Peer(kind) for kind in KINDS]
        directory = Path(self.mktemp())
        directory.mkdir()
        zone_file = directory / "example.zone"
        zone_file.write_text(ZONE_FILE)
        for peer in self.peers:
            self.addCleanup(peer.stop)
            peer.serve(reactor, "example.org", zone_file)
        zone = ZoneSettings(name="example.org", master_file=str(zone_file))
        self.server = DnsServer(reactor, [ServedZone(zone)])
        self.addCleanup(self.server.stop)
        [(_, self.port)] = self.server.start(["127.0.0.1:0"])
        for peer in self.peers:
            await self.until_answering(peer)

    async def until_answering(self, peer: Peer) -> None:
        """Wait for a server."""

        async def answers() -> bool:
            try:
                return (await deferToThread(ask, "example.org", "SOA", peer.port))[0] == "NOERROR"
            except (dns.exception.DNSException, OSError):
                return False

        try:
            await until_said(answers)
        except AssertionError:
            self.fail(f"{peer.kind} does not answer: {peer.output.decode(errors='replace')}")

    async def test_what_all_agree_on_is_what_we_say(self) -> None:
        """Code, AA and answers of thousands of questions: unanimous ones are ours, others are one of theirs."""
        draw = random.Random(1)
        questions = {
            (".".join([*draw.choices(LABELS, k=draw.choice((1, 1, 2, 2, 3))), "example.org"]), draw.choice(TYPES))
            for _ in range(QUESTIONS)
        }

        def compare() -> tuple[int, list[str]]:
            unanimous = 0
            wrong = []
            for name, rdtype in sorted(questions):
                theirs = [ask(name, rdtype, peer.port) for peer in self.peers]
                ours = ask(name, rdtype, self.port)
                unanimous += len(set(theirs)) == 1
                if ours not in theirs:
                    wrong.append(f"{name} {rdtype}: {ours} is none of {theirs}")
            return unanimous, wrong

        unanimous, wrong = await deferToThread(compare)
        self.assertEqual(wrong, [])
        self.assertGreater(unanimous, len(questions) * 0.9)

    async def test_other_opcodes_echo_no_bits_of_queries(self) -> None:
        """A kind of message that is not known is NOTIMP; CD and AD, which are of queries, are not set in the reply."""

        def fourth_octet(opcode: int, port: int) -> int | None:
            query = bytearray(dns.message.make_query("example.org", "SOA").to_wire())
            query[2], query[3] = opcode << 3, 0x30
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(1)
                sock.connect(("127.0.0.1", port))
                sock.send(query)
                try:
                    return sock.recv(512)[3]
                except TimeoutError:
                    return None

        for opcode in (2, 6, 15):
            theirs = [await deferToThread(fourth_octet, opcode, peer.port) for peer in self.peers]
            ours = await deferToThread(fourth_octet, opcode, self.port)
            self.assertEqual(ours, dns.rcode.NOTIMP)
            self.assertIn(ours, theirs, opcode)

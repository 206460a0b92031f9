"""Tests of `warp_dns.serve.responder`: whole replies, read by dnspython."""

import base64

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import edns_option, question, responder_for, show, wire, zone_of
from warp_dns.message import records
from warp_dns.message.cookies import CookieJar
from warp_dns.message.records import RRset
from warp_dns.message.tsig import KeyRing, Signature
from warp_dns.serve.limits import ResponseRateLimit
from warp_dns.settings import EdgeSettings, IdentitySettings, PlacesSettings, RegionSettings
from warp_dns.zone.places import Places
from warp_dns.zone.transfer import Transfer, Transferable, TransferRule

HOST = "192.0.2.9"
ZONE = zone_of(
    """
    app   30 A    192.0.2.1
    app   30 TXT  "hello"
    *.w   30 A    192.0.2.2
    sub   30 NS   ns.sub
    ns.sub 30 A   192.0.2.5
    mail  30 MX   10 app
    """
    + "".join(f'big 30 TXT "{n:03}{"x" * 97}"\n' for n in range(20))
)
SECRET = bytes(range(32))


class ResponderCase(SynchronousTestCase):
    """Asks a responder that serves the test zone."""

    def setUp(self) -> None:
        """Serve."""
        self.responder = responder_for(ZONE)

    def reply(self, data: bytes, host: str = HOST) -> dns.message.Message:
        """Send bytes and read the reply, whose id must be the query's."""
        made = self.responder.respond(data, host)
        assert made is not None
        self.assertEqual(made[:2], data[:2])
        return dns.message.from_wire(made)

    def ask(self, name: str, rdtype: str, **options: object) -> dns.message.Message:
        """Ask for a name beneath the apex."""
        return self.reply(question(f"{name}.example.org", rdtype, **options))


class HeaderTests(ResponderCase):
    """What the header of a reply says."""

    def test_bits_are_the_rfcs(self) -> None:
        """QR and AA are set, RD and CD are copied, RA, AD and Z are not set."""
        data = bytearray(question("app.example.org", "A"))
        data[2], data[3] = 0x01, 0x70
        made = self.responder.respond(bytes(data), HOST)
        assert made is not None
        self.assertEqual(made[2:4], b"\x85\x10")

    def test_the_question_comes_back_as_sent(self) -> None:
        """Case is kept in question and owner (0x20)."""
        made = self.responder.respond(question("aPP.Example.ORG", "A"), HOST)
        assert made is not None
        self.assertIn(b"\x03aPP\x07Example\x03ORG\0", made)
        self.assertEqual(str(dns.message.from_wire(made).answer[0].name), "aPP.Example.ORG.")

    def test_codes_for_what_is_not_served(self) -> None:
        """REFUSED outside our zones and for other classes; NOTIMP for other opcodes and for mail agents' types."""
        self.assertEqual(self.reply(question("www.example.com", "A")).rcode(), dns.rcode.REFUSED)
        self.assertEqual(self.reply(question("app.example.org", "A", rdclass="HS")).rcode(), dns.rcode.REFUSED)
        self.assertEqual(self.reply(question("app.example.org", "MAILB")).rcode(), dns.rcode.NOTIMP)
        for opcode in (1, 2, 4, 5, 6, 15):
            data = bytearray(question("app.example.org", "A"))
            data[2], data[3] = opcode << 3, 0x70  # Z, AD and CD are of queries
            made = self.responder.respond(bytes(data), HOST)
            assert made is not None
            self.assertEqual(made[2:], bytes([0x80 | opcode << 3, dns.rcode.NOTIMP]) + bytes(8))

    def test_codes_for_what_is_wrong(self) -> None:
        """FORMERR for what cannot be read, for pseudo types, and for AXFR over UDP; the question is echoed if read."""
        data = question("app.example.org", "A")
        made = self.responder.respond(data + b"?", HOST)
        assert made is not None
        self.assertEqual((made[3], made[12:]), (dns.rcode.FORMERR, data[12:]))
        made = self.responder.respond(data[:20], HOST)
        assert made is not None
        self.assertEqual((made[3], len(made)), (dns.rcode.FORMERR, 12))
        for rdtype in ("OPT", "TSIG", "TKEY", "AXFR"):
            self.assertIn(self.ask("app", rdtype).rcode(), (dns.rcode.FORMERR, dns.rcode.NOTAUTH))
        self.assertEqual(self.reply(question("example.org", "AXFR")).rcode(), dns.rcode.FORMERR)

    def test_replies_are_not_answered(self) -> None:
        """A message with QR set, whatever else it says, gets nothing, so that no two servers talk forever."""
        for opcode in range(16):
            data = bytearray(question("app.example.org", "A"))
            data[2] = 0x80 | opcode << 3
            self.assertIsNone(self.responder.respond(bytes(data), HOST))


class SizeTests(ResponderCase):
    """Truncation (RFC 2181 §9, RFC 6891 §6.2)."""

    def test_without_edns_the_limit_is_512(self) -> None:
        """What does not fit is left out whole, and TC says so."""
        reply = self.ask("big", "TXT")
        self.assertTrue(reply.flags & dns.flags.TC)
        self.assertEqual(len(reply.answer), 0)

    def test_with_edns_the_limit_is_ours_or_theirs(self) -> None:
        """The smaller of 1,232 and what the client takes, which is at least 512."""
        for payload in (0, 512, 1232, 4096, 65535):
            data = question("big.example.org", "TXT", use_edns=0, payload=payload)
            made = self.responder.respond(data, HOST)
            assert made is not None
            self.assertLessEqual(len(made), max(512, min(payload, 1232)))
        responder = responder_for(ZONE, udp_bytes=4096)
        made = responder.respond(question("big.example.org", "TXT", use_edns=0, payload=4096), HOST)
        assert made is not None
        self.assertFalse(made[2] & 2)

    def test_additional_data_goes_first(self) -> None:
        """Addresses that only save a query are left out without TC."""
        names = "".join(f"m 5 MX 1 {'x' * 20}{n}\n{'x' * 20}{n} 5 AAAA 2001:db8::1\n" for n in range(9))
        self.responder = responder_for(zone_of(names))
        reply = self.ask("m", "MX")
        self.assertFalse(reply.flags & dns.flags.TC)
        self.assertEqual((len(reply.answer[0]), reply.additional), (9, []))

    def test_glue_is_never_left_out(self) -> None:
        """A referral whose glue does not fit gets TC (RFC 9471 §3)."""
        names = "".join(f"s 5 NS n{n}.s\nn{n}.s 5 AAAA 2001:db8::{n + 1}\nn{n}.s 5 A 192.0.2.1\n" for n in range(9))
        self.responder = responder_for(zone_of(names))
        self.assertTrue(self.ask("x.s", "A").flags & dns.flags.TC)

    def test_over_tcp_all_of_it_comes(self) -> None:
        """A stream has room for 65,535 octets; what is larger still gets TC there too."""
        made = self.responder.respond_stream(question("big.example.org", "TXT"), HOST)
        assert isinstance(made, bytes)
        self.assertEqual(len(dns.message.from_wire(made).answer[0]), 20)
        huge = zone_of("".join(f'h 5 TXT "{n:03}{"x" * 250}"\n' for n in range(300)))
        made = responder_for(huge).respond_stream(question("h.example.org", "TXT"), HOST)
        assert isinstance(made, bytes)
        self.assertTrue(made[2] & 2)


class EdnsTests(ResponderCase):
    """RFC 6891 and the options."""

    def test_opt_answers_opt(self) -> None:
        """A reply has an OPT record if the query had one: our size, version 0, the DO bit as it was."""
        self.assertEqual(self.ask("app", "A").edns, -1)
        reply = self.ask("app", "A", use_edns=0, want_dnssec=True)
        self.assertEqual((reply.edns, reply.payload, reply.ednsflags), (0, 1232, dns.flags.DO))
        self.assertEqual(self.reply(question("x.example.com", "A", use_edns=0)).edns, 0)

    def test_other_versions_are_badvers(self) -> None:
        """Version 1 gets BADVERS and nothing else, options unread."""
        reply = self.ask("app", "A", use_edns=1)
        self.assertEqual((reply.rcode(), reply.edns, reply.answer), (dns.rcode.BADVERS, 0, []))

    def test_nsid_tells_who_answers(self) -> None:
        """NSID comes back if the server has a name (RFC 5001), and not otherwise."""
        options = [edns_option(3, b"")]
        self.assertEqual(self.ask("app", "A", use_edns=0, options=options).options, ())
        self.responder = responder_for(ZONE, identity=IdentitySettings(id="ns1.fra"))
        [option] = self.ask("app", "A", use_edns=0, options=options).options
        self.assertEqual(option.to_wire(), b"ns1.fra")

    def test_keepalive_is_for_streams(self) -> None:
        """The time-out is told over TCP, in tenths of a second, and never over UDP (RFC 7828 §3.2.1)."""
        data = question("app.example.org", "A", use_edns=0, options=[edns_option(11, b"")])
        self.assertEqual(self.reply(data).options, ())
        made = self.responder.respond_stream(data, HOST)
        assert isinstance(made, bytes)
        [option] = dns.message.from_wire(made).options
        self.assertEqual(option.to_wire(), (100).to_bytes(2, "big"))


class CookieReplyTests(ResponderCase):
    """Cookies in replies (RFC 7873 §5.2)."""

    def setUp(self) -> None:
        """Serve with cookies and a rate of 2."""
        jar = CookieJar([bytes(16)])
        self.responder = responder_for(ZONE, cookies=jar, limit=ResponseRateLimit(rate=2, slip=1))

    def cookie(self, sent: bytes, name: str = "app") -> tuple[int, bytes]:
        """Ask with a cookie; return the code and the cookie that comes back."""
        reply = self.ask(name, "A", use_edns=0, options=[dns.edns.CookieOption(sent[:8], sent[8:])])
        [option] = reply.options
        return int(reply.rcode()), option.to_wire()

    def test_a_client_gets_a_server_cookie_and_keeps_it(self) -> None:
        """The first reply has 16 octets more, and a good cookie comes back as it is."""
        rcode, cookie = self.cookie(b"12345678")
        self.assertEqual((rcode, cookie[:8], len(cookie)), (0, b"12345678", 24))
        self.assertEqual(self.cookie(cookie), (0, cookie))

    def test_a_good_cookie_is_not_limited(self) -> None:
        """Who has shown its address is answered at any rate; who has not is told to come again with the cookie."""
        _, cookie = self.cookie(b"12345678")
        self.assertEqual({self.cookie(cookie)[0] for _ in range(20)}, {0})
        self.cookie(b"12345678")
        rcode, fresh = self.cookie(b"12345678")
        self.assertEqual((rcode, fresh), (dns.rcode.BADCOOKIE, cookie))

    def test_a_cookie_alone_can_be_asked_for(self) -> None:
        """A query without a question gets just its cookie (RFC 7873 §5.4)."""
        data = b"\0\1\0\0\0\0\0\0\0\0\0\1\0\0\x29\x04\xd0\0\0\0\0\0\x0c\0\x0a\0\x08" + b"12345678"
        reply = self.reply(data)
        self.assertEqual((reply.rcode(), len(reply.question), len(reply.options)), (0, 0, 1))


class RateTests(ResponderCase):
    """Response rate limiting in replies."""

    def setUp(self) -> None:
        """Serve at a rate of 3."""
        self.responder = responder_for(ZONE, limit=ResponseRateLimit(rate=3, exempt=["203.0.113.0/24"]))

    def test_past_the_rate_there_is_silence_or_tc(self) -> None:
        """Names that do not exist count together; every second query past the rate gets TC and no records."""
        made = [self.responder.respond(question(f"n{n}.example.org", "A"), HOST) for n in range(7)]
        self.assertEqual([reply is None for reply in made], [False, False, False, True, False, True, False])
        assert made[4] is not None
        reply = dns.message.from_wire(made[4])
        self.assertTrue(reply.flags & dns.flags.TC)
        self.assertEqual((reply.answer, reply.authority), ([], []))

    def test_each_name_has_its_own_rate(self) -> None:
        """A resolver that asks for many names gets them all; each of them is held to the rate, whatever the type."""
        made = [self.ask(name, "A") for name in ("app", "ns1", "www", "app", "ns1", "www")]
        self.assertEqual([bool(reply.flags & dns.flags.TC) for reply in made], [False] * 6)
        self.ask("app", "AAAA")
        made_again = [self.responder.respond(question("app.example.org", "A"), HOST) for _ in range(3)]
        self.assertEqual(sum(reply is not None and not reply[2] & 2 for reply in made_again), 1)

    def test_all_names_together_have_a_rate(self) -> None:
        """A forger with a list of names gets no more than the second rate, over all names."""
        self.responder = responder_for(ZONE, limit=ResponseRateLimit(rate=3, all_rate=5, slip=0))
        queries = [question(f"{name}.example.org", rtype) for name in ("app", "ns1", "www") for rtype in ("A", "MX")]
        made = [self.responder.respond(query, HOST) for query in queries * 2]
        self.assertEqual([reply is not None for reply in made], [True] * 5 + [False] * 7)

    def test_a_signature_is_counted_before_it_is_checked(self) -> None:
        """Forged signatures cost a digest each up to the rate, and nothing beyond."""
        checked = []

        class Keys(KeyRing):
            def verify(self, data: bytes, tsig_at: int, now: int) -> Signature:
                checked.append(now)
                return super().verify(data, tsig_at, now)

        keys = Keys([("k", "hmac-sha256", bytes(32))])
        self.responder = responder_for(ZONE, keys=keys, limit=ResponseRateLimit(rate=3, slip=0))
        message = dns.message.make_query("app.example.org", "A")
        message.use_tsig(dns.tsig.Key("k.", bytes(range(32)), "hmac-sha256."))
        data = message.to_wire()
        assert isinstance(data, bytes)
        made = [self.responder.respond(data, HOST) for _ in range(9)]
        self.assertEqual((len(checked), sum(reply is not None for reply in made)), (3, 3))

    def test_errors_count_as_well(self) -> None:
        """FORMERR and NOTIMP are no way around the limit."""
        made = [self.responder.respond(question("a.example.org", "A")[:14], HOST) for _ in range(6)]
        self.assertEqual(sum(reply is not None for reply in made), 3)

    def test_others_are_not_touched(self) -> None:
        """Another network, an exempt one, and TCP are answered."""
        data = question("app.example.org", "A")
        for _ in range(10):
            self.responder.respond(data, HOST)
        self.assertEqual(len(self.reply(data, "198.51.100.1").answer), 1)
        for _ in range(10):
            self.assertEqual(len(self.reply(data, "203.0.113.1").answer), 1)
        self.assertIsInstance(self.responder.respond_stream(data, HOST), bytes)


class PlaceTests(ResponderCase):
    """Nearest edges and client subnets (RFC 7871)."""

    def setUp(self) -> None:
        """Serve two edges, one near each of two networks."""
        self.places = Places(
            PlacesSettings(
                regions={
                    "here": RegionSettings(coordinates=(0, 0), networks=["192.0.2.0/24", "2001:db8::/40"]),
                    "there": RegionSettings(coordinates=(0, 90), networks=["198.51.100.0/25"]),
                },
                edges={"e1": EdgeSettings(region="here"), "e2": EdgeSettings(region="there")},
            )
        )
        app = wire("app.example.org")
        rrset = RRset(app, records.A, 5, (bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])), ("e1", "e2"))
        self.zone = ZONE.changed({app: {records.A: rrset}}, 8).zone
        self.responder = responder_for(self.zone, places=self.places)

    def first(self, host: str, *, subnet: tuple[str, int] | None = None) -> tuple[str, int | None]:
        """Ask from an address; return the first address of the answer and the scope told, if any."""
        options = [dns.edns.ECSOption(*subnet)] if subnet else []
        reply = self.reply(question("app.example.org", "A", use_edns=0, options=options), host)
        scope = reply.options[0].scopelen if reply.options else None
        return str(reply.answer[0][0]), scope

    def test_the_resolver_is_the_client(self) -> None:
        """Without a client subnet the resolver's own address decides, again and again."""
        for _ in range(3):
            self.assertEqual(self.first("192.0.2.7"), ("10.0.0.1", None))
            self.assertEqual(self.first("198.51.100.7"), ("10.0.0.2", None))
            self.assertEqual(self.first("2001:db8::7"), ("10.0.0.1", None))

    def test_the_client_subnet_decides(self) -> None:
        """With one it decides, and the scope is as long as what decided."""
        self.assertEqual(self.first("192.0.2.7", subnet=("198.51.100.0", 24)), ("10.0.0.2", 25))
        self.assertEqual(self.first("198.51.100.7", subnet=("2001:db8::", 56)), ("10.0.0.1", 40))

    def test_an_empty_subnet_is_no_place(self) -> None:
        """A source prefix of 0 asks not to be placed; the resolver is, and the scope is 0."""
        self.assertEqual(self.first("198.51.100.7", subnet=("0.0.0.0", 0))[0], "10.0.0.2")

    def test_answers_for_everyone_have_scope_zero(self) -> None:
        """What does not depend on the client says so, and echoes family, source and address."""
        options = [dns.edns.ECSOption("198.51.100.0", 24)]
        [option] = self.ask("app", "TXT", use_edns=0, options=options).options
        self.assertEqual(option.to_wire(), b"\0\1\x18\0\xc6\x33\x64")

    def test_drain_and_load_count_at_once(self) -> None:
        """An edge that drains is not named from the next query on, and is again if nobody else is left."""
        self.assertEqual(self.first("192.0.2.7")[0], "10.0.0.1")
        self.responder.set_edges({"e1": EdgeSettings(region="here", draining=True), "e2": EdgeSettings(region="there")})
        self.assertEqual(self.first("192.0.2.7")[0], "10.0.0.2")
        self.assertEqual(len(self.ask("app", "A").answer[0]), 1)

    def test_placed_replies_count_against_the_rate(self) -> None:
        """A reply kept for one order of edges is limited like any other."""
        self.responder = responder_for(self.zone, places=self.places, limit=ResponseRateLimit(rate=3, slip=0))
        data = question("app.example.org", "A")
        self.assertEqual(sum(self.responder.respond(data, HOST) is not None for _ in range(9)), 3)


class KeptReplyTests(ResponderCase):
    """Whole replies, kept for the hot path."""

    def test_a_reply_is_kept_under_the_querys_bytes(self) -> None:
        """What comes again is found by the bytes after the id, and is what would be made anew."""
        data = question("app.example.org", "A")
        made = self.responder.respond(data, HOST)
        assert made is not None
        self.assertEqual(self.responder.replies.by_query[data[2:]].whole, made[2:])

    def test_what_does_not_come_again_is_not_kept(self) -> None:
        """Names that do not exist, mixed case, cookies, subnets, and anything over TCP are not."""
        self.responder.respond(question("nothing.example.org", "A"), HOST)
        self.responder.respond(question("APP.example.org", "A"), HOST)
        for asked in (dns.edns.CookieOption(b"12345678", b""), dns.edns.ECSOption("192.0.2.0", 24)):
            self.ask("app", "A", use_edns=0, options=[asked])
        self.responder.respond_stream(question("app.example.org", "A"), HOST)
        self.assertEqual(self.responder.replies.by_query, {})

    def test_a_change_drops_what_it_touches(self) -> None:
        """After a change of a name its reply is gone, and others are still there."""
        self.ask("app", "A")
        self.ask("ns1", "A")
        owner = wire("app.example.org")
        text = RRset(owner, records.TXT, 5, (b"\1x",))
        self.responder.advance(ZONE.changed({owner: {records.TXT: text}}, 8))
        true = {key[10:14] for key, kept in self.responder.replies.by_query.items() if kept.validity.holds}
        self.assertEqual(true, {b"\x03ns1"})
        self.assertEqual(len(self.ask("app", "A").answer), 0)

    def test_their_number_is_bounded(self) -> None:
        """At the limit they are dropped and begin anew."""
        self.responder = responder_for(ZONE, max_replies=10)
        for number in range(25):
            self.ask("app", f"TYPE{1000 + number}")
        self.assertEqual(len(self.responder.replies.by_query), 5)


class ZoneTests(ResponderCase):
    """Several zones, and zones that come and go."""

    def test_the_nearest_zone_answers_and_ds_is_the_parents(self) -> None:
        """A child zone served here answers for its names, its parent for the DS record."""
        child = zone_of("www 5 A 192.0.2.77", "sub.example.org")
        self.responder.serve(child)
        self.assertIn("192.0.2.77", show(self.ask("www.sub", "A").answer)[0])
        reply = self.ask("sub", "DS")
        self.assertEqual(str(reply.authority[0].name), "example.org.")

    def test_a_zone_can_be_withdrawn(self) -> None:
        """A zone that is no longer served is refused, kept replies included."""
        self.ask("app", "A")
        self.responder.withdraw(wire("example.org"))
        self.assertEqual(self.ask("app", "A").rcode(), dns.rcode.REFUSED)
        self.assertEqual(self.responder.replies.by_query, {})

    def test_a_suspended_zone_is_servfail(self) -> None:
        """A zone that is not known to be true is answered with SERVFAIL until it is."""
        self.ask("app", "A")
        self.responder.set_suspended(frozenset([wire("example.org")]))
        self.assertEqual(self.ask("app", "A").rcode(), dns.rcode.SERVFAIL)
        made = self.responder.respond_stream(question("example.org", "AXFR"), HOST)
        assert isinstance(made, bytes)
        self.assertEqual(made[3], dns.rcode.SERVFAIL)
        self.responder.set_suspended(frozenset())
        self.assertEqual(self.ask("app", "A").rcode(), dns.rcode.NOERROR)

    def test_an_incomplete_zone_says_nothing_of_what_it_lacks(self) -> None:
        """What is there is answered; NXDOMAIN, NODATA, what a wildcard gives, and transfers are SERVFAIL."""
        zone = zone_of(
            "app A 192.0.2.1\nwww CNAME app\nlost CNAME nowhere\n*.w A 192.0.2.2\nsub NS ns.sub\ntree DNAME sub"
        )
        self.responder = responder_for(zone)
        for name, rdtype in (("nothing", "A"), ("app", "MX"), ("q.w", "A"), ("app", "A")):
            self.ask(name, rdtype)  # so that replies are kept
        self.responder.set_suspended(frozenset(), frozenset([wire("example.org")]))
        for name, rdtype, rcode in (
            ("app", "A", dns.rcode.NOERROR),
            ("www", "A", dns.rcode.NOERROR),
            ("www.sub", "A", dns.rcode.NOERROR),
            ("x.tree", "A", dns.rcode.NOERROR),
            ("app", "MX", dns.rcode.SERVFAIL),
            ("www", "MX", dns.rcode.SERVFAIL),
            ("nothing", "A", dns.rcode.SERVFAIL),
            ("q.w", "A", dns.rcode.SERVFAIL),
            ("lost", "A", dns.rcode.SERVFAIL),
        ):
            reply = self.ask(name, rdtype)
            self.assertEqual(reply.rcode(), rcode, name)
            self.assertEqual(bool(reply.answer or reply.authority), rcode == dns.rcode.NOERROR, name)
        for rdtype in ("SOA", "NS"):
            self.assertTrue(self.reply(question("example.org", rdtype)).answer)
        made = self.responder.respond_stream(question("example.org", "AXFR"), HOST)
        assert isinstance(made, bytes)
        self.assertEqual(made[3], dns.rcode.SERVFAIL)
        self.responder.set_suspended(frozenset())
        self.assertEqual(self.ask("nothing", "A").rcode(), dns.rcode.NXDOMAIN)
        self.assertEqual(self.ask("q.w", "A").rcode(), dns.rcode.NOERROR)

    def test_chaos_names_are_the_operators(self) -> None:
        """`version.bind` and `id.server` say what is configured, and REFUSED otherwise."""
        data = question("version.bind", "TXT", rdclass="CH")
        self.assertEqual(self.reply(data).rcode(), dns.rcode.REFUSED)
        self.responder = responder_for(ZONE, identity=IdentitySettings(version="warp", id="ns1"))
        self.assertEqual(show(self.reply(data).answer), ['version.bind. 0 CH TXT "warp"'])
        reply = self.reply(question("ID.server", "TXT", rdclass="CH", use_edns=0))
        self.assertEqual((show(reply.answer), reply.edns), (['ID.server. 0 CH TXT "ns1"'], 0))


class SignedTests(ResponderCase):
    """TSIG around queries (RFC 8945 §5.2) and transfers."""

    def setUp(self) -> None:
        """Serve a zone whose transfers need a key."""
        self.keyring = {dns.name.from_text("k."): dns.tsig.Key("k.", SECRET, "hmac-sha256.")}
        self.responder = responder_for(keys=KeyRing([("k", "hmac-sha256", SECRET)]))
        self.responder.serve(ZONE, Transferable(TransferRule(keys=["k"])))

    def signed(self, name: str, rdtype: str, *, secret: bytes = SECRET, key: str = "k.", at: int = 1_000_000) -> bytes:
        """Return a signed query, and remember its signature for the reply."""
        message = dns.message.make_query(name, rdtype)
        message.use_tsig(dns.tsig.Key(key, secret, "hmac-sha256."))
        self.patch(dns.message.time, "time", lambda: at)  # type: ignore[attr-defined]
        data = message.to_wire()
        assert isinstance(data, bytes)
        self.mac = message.mac
        return data

    def test_a_signed_query_gets_a_signed_reply(self) -> None:
        """The reply verifies with the query's signature, and still fits."""
        for name, payload in (("app", 512), ("big", 512)):
            made = self.responder.respond(self.signed(f"{name}.example.org", "TXT"), HOST)
            assert made is not None
            self.assertLessEqual(len(made), payload)
            reply = dns.message.from_wire(made, keyring=self.keyring, request_mac=self.mac or b"")
            self.assertTrue(reply.had_tsig)

    def test_bad_signatures_are_notauth(self) -> None:
        """A wrong secret is BADSIG, an unknown key BADKEY, a wrong clock BADTIME; none of them is answered."""
        for data, error in (
            (self.signed("app.example.org", "A", secret=bytes(32)), dns.rcode.BADSIG),
            (self.signed("app.example.org", "A", key="other."), dns.rcode.BADKEY),
            (self.signed("app.example.org", "A", at=2_000_000), dns.rcode.BADTIME),
        ):
            made = self.responder.respond(data, HOST)
            assert made is not None
            self.assertEqual(made[3] & 15, dns.rcode.NOTAUTH)
            self.assertEqual(made[6:8], b"\0\0")
            self.assertIn(int(error).to_bytes(2, "big"), made[-10:])

    def test_transfers_need_the_key(self) -> None:
        """AXFR is REFUSED without the signature and begun with it; NOTAUTH for what is no zone of ours."""
        made = self.responder.respond_stream(question("example.org", "AXFR"), HOST)
        assert isinstance(made, bytes)
        self.assertEqual(made[3], dns.rcode.REFUSED)
        self.assertIsInstance(self.responder.respond_stream(self.signed("example.org", "AXFR"), HOST), Transfer)
        made = self.responder.respond_stream(self.signed("app.example.org", "AXFR"), HOST)
        assert isinstance(made, bytes)
        self.assertEqual(made[3], dns.rcode.NOTAUTH)

    def test_ixfr_over_udp_says_our_serial(self) -> None:
        """The SOA comes back, and the client goes on over TCP (RFC 1995 §2)."""
        reply = self.reply(question("example.org", "IXFR"))
        self.assertEqual(reply.answer[0].rdtype, dns.rdatatype.SOA)


class AnyBytesTests(SynchronousTestCase):
    """Whatever arrives, the rules hold."""

    def setUp(self) -> None:
        """Serve with everything switched on."""
        self.responder = responder_for(
            ZONE,
            cookies=CookieJar([bytes(16)]),
            keys=KeyRing([("k", "hmac-sha256", SECRET)]),
            places=Places(PlacesSettings(edges={"e1": EdgeSettings()})),
            identity=IdentitySettings(version="warp", id="ns1"),
        )
        message = dns.message.make_query("app.example.org", "A", use_edns=0)
        message.use_tsig(dns.tsig.Key("k.", SECRET, "hmac-sha256."))
        self.seeds = [
            message.to_wire(),
            question("app.example.org", "ANY"),
            question("x.w.example.org", "A", use_edns=0, options=[dns.edns.CookieOption(b"12345678", b"")]),
            question("big.example.org", "TXT", use_edns=0, options=[dns.edns.ECSOption("192.0.2.0", 24)]),
            question("version.bind", "TXT", rdclass="CH"),
            question("example.org", "IXFR"),
            base64.b64decode("AAEAAAABAAAAAAABB2V4YW1wbGUDb3JnAAACAAEAACkQAAAAgAAAAA=="),
        ]

    def check(self, data: bytes) -> None:
        """Answer, and hold the reply against the rules."""
        for made, limit in (
            (self.responder.respond(data, HOST), 1232),
            (self.responder.respond_stream(data, HOST), 65535),
        ):
            if made is None or isinstance(made, Transfer):
                continue
            self.assertFalse(data[2] & 0x80)
            self.assertTrue(made[2] & 0x80)
            self.assertEqual(made[:2], data[:2])
            self.assertLessEqual(len(made), limit)
            has_edns = b"\0\0\x29" in data
            if limit == 1232 and not has_edns:
                self.assertLessEqual(len(made), 512)
            dns.message.from_wire(made, keyring=False, ignore_trailing=False)

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=100))
    def test_any_bytes(self, data: bytes) -> None:
        """Random bytes, as they are and behind a plausible header."""
        self.check(data)
        self.check(b"\0\1\0\0\0\1\0\0\0\0\0\0" + data)
        self.check(b"\0\1\0\0\0\1\0\0\0\0\0\1" + data)

    @settings(max_examples=400, deadline=None)
    @given(st.data())
    def test_any_mutation_of_queries(self, draw: st.DataObject) -> None:
        """Real queries with octets changed, cut or added."""
        data = bytearray(draw.draw(st.sampled_from(self.seeds)))
        for _ in range(draw.draw(st.integers(1, 5))):
            at = draw.draw(st.integers(2, len(data)))
            data[at : at + draw.draw(st.integers(0, 3))] = draw.draw(st.binary(max_size=4))
        self.check(bytes(data))

    def test_every_octet_changed(self) -> None:
        """Each octet of each seed set to a few telling values."""
        for seed in self.seeds:
            for at in range(2, len(seed)):
                for value in (0, 1, 0x3F, 0x40, 0x80, 0xC0, 0xFF, seed[at] ^ 1):
                    self.check(seed[:at] + bytes([value]) + seed[at + 1 :])
                self.check(seed[:at])

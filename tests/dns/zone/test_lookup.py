"""
Tests of `warp_dns.zone.lookup`: the examples of the RFCs, and the corners between them.

Each case is a zone, a question, and the sections that must come back; names are beneath the zone's apex.
"""

from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import wire, zone_of
from warp_dns.message import names, records
from warp_dns.message.answer import Answer, Order
from warp_dns.message.codes import NOERROR, NXDOMAIN, YXDOMAIN
from warp_dns.message.records import RRset
from warp_dns.zone.data import Zone
from warp_dns.zone.lookup import arrange, lookup, names_edges

# RFC 4592 §2.2.1, with absolute names made relative.
WILDCARDS = """
*        3600 TXT "this is a wildcard"
*        3600 MX  10 host1
sub.*    3600 TXT "this is not a wildcard"
host1    3600 A   192.0.2.1
_ssh._tcp.host1 3600 SRV 0 0 22 host1
_ssh._tcp.host2 3600 SRV 0 0 22 host1
subdel   3600 NS  ns.example.com.
subdel   3600 NS  ns.example.net.
"""


def lines(rrsets: list[RRset]) -> list[str]:
    """Return records as `owner type data` with names beneath the apex shortened."""
    return [
        f"{names.to_text(rrset.owner)} {records.type_text(rrset.type)} {records.show_rdata(rrset.type, rdata)}".replace(
            ".example.org.", ""
        ).replace(".example.org", "")
        for rrset in rrsets
        for rdata in rrset.rdatas
    ]


class LookupCase(SynchronousTestCase):
    """Asks a zone and compares sections."""

    zone: Zone

    def ask(self, name: str, rdtype: str) -> Answer:
        """Return the answer for a name beneath the apex."""
        qname = wire("example.org" if name == "@" else f"{name}.example.org")
        qtype = 255 if rdtype == "ANY" else records.type_number(rdtype)
        return lookup(self.zone, qname, qtype)

    def check(self, name: str, rdtype: str, *expected: str, rcode: int = NOERROR, aa: bool = True) -> Answer:
        """Ask, and expect an answer section, a code and the AA bit."""
        answer = self.ask(name, rdtype)
        self.assertEqual((answer.rcode, answer.is_authoritative), (rcode, aa))
        self.assertEqual(sorted(lines(answer.answer)), sorted(expected))
        return answer

    def check_negative(self, name: str, rdtype: str, rcode: int) -> None:
        """Expect no answer, and the SOA with the negative TTL."""
        answer = self.check(name, rdtype, rcode=rcode)
        self.assertEqual(answer.authority, [self.zone.negative_soa])
        self.assertTrue(answer.tells_serial)


class DataTests(LookupCase):
    """What is there, and what is not (RFC 1034 §4.3.2, RFC 2308)."""

    zone = zone_of("""
        app     30 A    192.0.2.1
        app     30 A    192.0.2.2
        app     30 AAAA 2001:db8::1
        app     30 TXT  "release=stable" "track"
        mail    30 MX   10 app
        mail    30 MX   20 elsewhere.example.com.
        app     30 HTTPS 1 . alpn="http/1.1"
        _http._tcp.app 30 SRV 0 10 80 app
        odd     30 TYPE65280 \\# 2 beef
        odd     30 CAA  0 issue "ca.example"
        """)

    def test_data_is_answered(self) -> None:
        """All records of the type asked for are the answer."""
        self.check("app", "A", "app A 192.0.2.1", "app A 192.0.2.2")
        self.check("app", "TXT", 'app TXT "release=stable" "track"')
        self.check("odd", "TYPE65280", "odd TYPE65280 \\# 2 beef")
        self.check("odd", "CAA", 'odd CAA 0 issue "ca.example"')

    def test_apex_data_is_answered(self) -> None:
        """The apex answers for its SOA, which is stale at the next serial, and its NS with their addresses."""
        self.assertTrue(self.check("@", "SOA", "example.org SOA ns1 hostmaster 7 3600 600 86400 60").tells_serial)
        answer = self.check("@", "NS", "example.org NS ns1")
        self.assertEqual(lines(answer.additional), ["ns1 A 192.0.2.53"])

    def test_no_data_gets_the_soa(self) -> None:
        """A name without the type asked for is NODATA, empty non-terminals included."""
        self.check_negative("mail", "A", NOERROR)
        self.check_negative("_tcp.app", "A", NOERROR)

    def test_no_name_gets_nxdomain(self) -> None:
        """A name that does not exist is NXDOMAIN, also below one that does (RFC 8020)."""
        self.check_negative("nothing", "A", NXDOMAIN)
        self.check_negative("below.app", "A", NXDOMAIN)

    def test_addresses_of_targets_are_added(self) -> None:
        """MX, SRV and HTTPS bring the addresses of their targets that this zone has, each once."""
        addresses = ["app A 192.0.2.1", "app A 192.0.2.2", "app AAAA 2001:db8::1"]
        self.assertEqual(lines(self.ask("mail", "MX").additional), addresses)
        self.assertEqual(lines(self.ask("_http._tcp.app", "SRV").additional), addresses)
        self.assertEqual(lines(self.ask("app", "HTTPS").additional), addresses)

    def test_any_gets_one_rrset(self) -> None:
        """ANY is answered with the smallest RRset alone (RFC 8482 §4.1); without records it is NODATA."""
        self.check("app", "ANY", "app A 192.0.2.1", "app A 192.0.2.2")
        self.check_negative("_tcp.app", "ANY", NOERROR)

    def test_additional_data_has_a_limit(self) -> None:
        """An RRset with absurdly many targets brings at most 64 RRsets of addresses."""
        lines_of_zone = "".join(f"many 5 MX 1 m{n}\nm{n} 5 A 192.0.2.1\n" for n in range(100))
        answer = lookup(zone_of(lines_of_zone), wire("many.example.org"), records.MX)
        self.assertEqual(len(answer.additional), 64)


class AliasTests(LookupCase):
    """CNAME (RFC 1034 §3.6.2, RFC 6604) and DNAME (RFC 6672)."""

    zone = zone_of(f"""
        www     30 CNAME app
        app     30 A 192.0.2.1
        far     30 CNAME www
        away    30 CNAME www.example.com.
        broken  30 CNAME nothing
        nodata  30 CNAME mail
        mail    30 MX 10 app
        loop1   30 CNAME loop2
        loop2   30 CNAME loop1
        itself  30 CNAME itself
        sub     30 NS ns.example.com.
        into    30 CNAME x.sub
        old     30 DNAME new
        x.new   30 A 192.0.2.7
        out     30 DNAME example.com.
        old     30 TXT "beside"
        long    30 DNAME {"a" * 63}.{"b" * 63}
        {"".join(f"c{n} 30 CNAME c{n + 1}{chr(10)}" for n in range(40))}
        """)

    def test_aliases_are_followed(self) -> None:
        """A chain within the zone is answered with every step and the data at its end."""
        self.check("www", "A", "www CNAME app", "app A 192.0.2.1")
        self.check("far", "A", "far CNAME www", "www CNAME app", "app A 192.0.2.1")

    def test_the_alias_itself_can_be_asked_for(self) -> None:
        """CNAME and ANY questions get the alias and nothing behind it."""
        self.check("www", "CNAME", "www CNAME app")
        self.check("www", "ANY", "www CNAME app")

    def test_a_chain_that_leaves_ends_there(self) -> None:
        """Outside the zone nothing is looked up."""
        self.check("away", "A", "away CNAME www.example.com.")

    def test_the_end_of_the_chain_decides_the_code(self) -> None:
        """An alias of nothing is NXDOMAIN, an alias without data is NODATA, both with the SOA (RFC 6604 §3)."""
        answer = self.check("broken", "A", "broken CNAME nothing", rcode=NXDOMAIN)
        self.assertEqual(answer.authority, [self.zone.negative_soa])
        answer = self.check("nodata", "A", "nodata CNAME mail")
        self.assertEqual(answer.authority, [self.zone.negative_soa])

    def test_loops_end(self) -> None:
        """A loop is answered with each of its aliases once, without error."""
        self.check("loop1", "A", "loop1 CNAME loop2", "loop2 CNAME loop1")
        self.check("itself", "A", "itself CNAME itself")

    def test_long_chains_end(self) -> None:
        """After 16 steps the chain is the asker's to follow."""
        self.assertEqual(len(self.ask("c0", "A").answer), 16)

    def test_an_alias_into_a_delegation_is_answered_with_it(self) -> None:
        """The alias is authoritative, and the delegation stands in the authority section."""
        answer = self.check("into", "A", "into CNAME x.sub")
        self.assertEqual(lines(answer.authority), ["sub NS ns.example.com."])
        self.assertFalse(answer.is_referral)

    def test_dname_substitutes(self) -> None:
        """A name below a DNAME gets it, the CNAME that it makes with the same TTL, and the target's data."""
        answer = self.check("x.old", "A", "old DNAME new", "x.old CNAME x.new", "x.new A 192.0.2.7")
        self.assertTrue(answer.is_for_one_name)
        self.assertEqual({rrset.ttl for rrset in answer.answer}, {30})
        self.check("a.b.out", "A", "out DNAME example.com.", "a.b.out CNAME a.b.example.com.")

    def test_each_record_is_named_once(self) -> None:
        """A chain that comes through one DNAME again, or ends at it, and one that goes on for ever, repeat nothing."""
        self.zone = zone_of(
            """
            one 30 DNAME two
            two 30 DNAME one
            deep 30 DNAME x.deep
            more 30 DNAME less
            back.less 30 CNAME y.more
            y.less 30 A 192.0.2.9
            end.less 30 CNAME more
            """
        )
        both = ("one DNAME two", "two DNAME one")
        self.check("x.one", "A", *both, "x.one CNAME x.two", "x.two CNAME x.one")
        self.check("end.more", "DNAME", "more DNAME less", "end.more CNAME end.less", "end.less CNAME more")
        self.check(
            "back.more", "A", "more DNAME less", "back.more CNAME back.less", "back.less CNAME y.more",
            "y.more CNAME y.less", "y.less A 192.0.2.9",
        )  # fmt: skip
        answer = self.ask("y.deep", "A")
        said = lines(answer.answer)
        self.assertEqual((len(said), len(set(said)), said[0]), (17, 17, "deep DNAME x.deep"))

    def test_dname_answers_cname_questions(self) -> None:
        """The CNAME that a DNAME makes is the answer to a question for one, wherever it leads."""
        self.check("x.old", "CNAME", "old DNAME new", "x.old CNAME x.new")
        self.check("nothing.old", "CNAME", "old DNAME new", "nothing.old CNAME nothing.new")

    def test_dname_does_not_cover_its_owner(self) -> None:
        """The owner of a DNAME answers for its own data (RFC 6672 §2.3)."""
        self.check("old", "TXT", 'old TXT "beside"')
        self.check("old", "DNAME", "old DNAME new")
        self.check_negative("old", "A", NOERROR)

    def test_a_name_grown_too_long_is_yxdomain(self) -> None:
        """A substitution over 255 octets is answered with the DNAME and YXDOMAIN (RFC 6672 §2.2)."""
        name = ".".join(["c" * 60, "d" * 60, "e" * 12, "long"])
        answer = self.check(name, "A", f"long DNAME {'a' * 63}.{'b' * 63}", rcode=YXDOMAIN)
        self.assertEqual(answer.authority, [])


class WildcardTests(LookupCase):
    """RFC 4592 §2.2.1: its zone and its answers."""

    zone = zone_of(WILDCARDS)

    def test_what_is_synthesized(self) -> None:
        """A name without a closer encloser gets the wildcard's records under its own name."""
        self.check("host3", "MX", "host3 MX 10 host1")
        self.check("foo.bar", "TXT", 'foo.bar TXT "this is a wildcard"')
        self.check_negative("host3", "A", NOERROR)

    def test_what_is_not_synthesized(self) -> None:
        """A name that exists, also as an empty one, keeps the wildcard away from itself and from what is below."""
        self.check_negative("host1", "MX", NOERROR)
        self.check_negative("sub.*", "MX", NOERROR)
        self.check_negative("_telnet._tcp.host1", "SRV", NXDOMAIN)
        self.check_negative("ghost.*", "MX", NXDOMAIN)
        self.assertFalse(self.ask("host.subdel", "A").is_authoritative)

    def test_the_asterisk_itself_is_a_name(self) -> None:
        """The wildcard's own name is answered like any other."""
        self.check("*", "TXT", '* TXT "this is a wildcard"')

    def test_an_empty_wildcard_is_no_data(self) -> None:
        """A wildcard that exists only because of a name below it denies the type, not the name."""
        self.zone = zone_of("x.*.e 5 A 192.0.2.1")
        self.check_negative("y.e", "A", NOERROR)

    def test_wildcard_aliases_are_followed(self) -> None:
        """A CNAME at a wildcard is synthesized and followed; one that leads to itself ends."""
        self.zone = zone_of("*.a 5 CNAME app\napp 5 A 192.0.2.1\n*.l 5 CNAME x.l")
        self.check("w.a", "A", "w.a CNAME app", "app A 192.0.2.1")
        self.check("x.l", "A", "x.l CNAME x.l")
        self.check("y.l", "A", "y.l CNAME x.l", "x.l CNAME x.l")


class DelegationTests(LookupCase):
    """Referrals (RFC 1034 §4.3.2 step 3b, RFC 9471)."""

    zone = zone_of("""
        sub      30 NS ns.sub
        sub      30 NS ns.other
        sub      30 NS ns.example.com.
        ns.sub   30 A  192.0.2.5
        ns.other 30 AAAA 2001:db8::5
        deep.sub 30 A  192.0.2.6
        sub      30 DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000
        """)

    def test_names_at_and_below_are_referred(self) -> None:
        """The delegation and all of its glue come back without AA, whatever is asked."""
        for name, rdtype in (("sub", "A"), ("sub", "NS"), ("x.y.sub", "A"), ("deep.sub", "A"), ("sub", "ANY")):
            answer = self.check(name, rdtype, aa=False)
            self.assertTrue(answer.is_referral)
            self.assertEqual(len(answer.authority[0].rdatas), 3)
            self.assertEqual(sorted(lines(answer.additional)), ["ns.other AAAA 2001:db8::5", "ns.sub A 192.0.2.5"])

    def test_ds_is_the_parents(self) -> None:
        """DS at the delegation is answered with authority (RFC 4035 §3.1.4.1); below it is referred."""
        self.assertEqual(len(self.ask("sub", "DS").answer), 1)
        self.assertTrue(self.ask("sub", "DS").is_authoritative)
        self.assertTrue(self.ask("x.sub", "DS").is_referral)


class SharingTests(LookupCase):
    """What an answer says of its own lifetime and of who may share it."""

    zone = zone_of("www 5 CNAME a.b\nx.b 5 A 192.0.2.1\n*.w 5 A 192.0.2.1")

    def test_names_that_decided_are_told(self) -> None:
        """Every name whose change would change the answer is named, those that are missing included."""
        answer = self.ask("www", "A")
        wanted = {wire(f"{name}.example.org") for name in ("www", "b", "a.b", "*.b")}
        self.assertEqual(answer.looked_at, wanted | {wire("example.org")})

    def test_a_missing_name_is_not_told(self) -> None:
        """A negative answer is that of its closest encloser, and does not depend on the name asked for."""
        answer = self.ask("x.y.w2", "A")
        self.assertEqual(answer.encloser, wire("example.org"))
        self.assertEqual(answer.looked_at, {wire("example.org"), wire("*.example.org")})
        self.assertEqual(self.ask("q.w", "A").encloser, wire("w.example.org"))


class ArrangeTests(SynchronousTestCase):
    """Putting edges in order."""

    def setUp(self) -> None:
        """Make an answer that names three edges."""
        self.rrset = RRset(
            wire("app.example.org"), records.A, 5, (b"\1\1\1\1", b"\2\2\2\2", b"\3\3\3\3"), ("e1", "e2", "e3")
        )

    def arranged(self, *order: str, last_resort: tuple[str, ...] = (), most: int = 0) -> list[int]:
        """Return the first octets of the addresses in an order."""
        edges = Order(order)
        edges.last_resort = frozenset(last_resort)
        [rrset] = arrange(Answer(answer=[self.rrset]), edges, most).answer
        return [rdata[0] for rdata in rrset.rdatas]

    def test_nearest_comes_first(self) -> None:
        """Records follow the order; an edge that nobody knows comes last."""
        self.assertEqual(self.arranged("e3", "e1"), [3, 1, 2])

    def test_a_draining_edge_is_left_out(self) -> None:
        """A draining edge is not named, unless nobody else is left."""
        self.assertEqual(self.arranged("e1", "e2", "e3", last_resort=("e1",)), [2, 3])
        self.assertEqual(self.arranged("e3", "e2", "e1", last_resort=("e1", "e2", "e3")), [3, 2, 1])

    def test_only_so_many_are_named(self) -> None:
        """A limit keeps the best."""
        self.assertEqual(self.arranged("e2", "e3", "e1", most=1), [2])

    def test_one_edge_is_no_choice(self) -> None:
        """Records of one edge, or of none, are left alone."""
        self.assertTrue(names_edges(self.rrset))
        self.assertFalse(names_edges(RRset(b"\0", records.A, 5, (b"a", b"b"), ("e1", ""))))
        self.assertFalse(names_edges(RRset(b"\0", records.TXT, 5, (b"a", b"b"), ("e1", "e2"))))

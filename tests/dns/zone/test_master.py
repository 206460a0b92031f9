"""Tests of `warp_dns.zone.master`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import APEX, static, wire
from warp_dns.errors import InvalidZone
from warp_dns.message import records
from warp_dns.settings import ZoneSettings
from warp_dns.zone.master import static_records

NAMED = ZoneSettings(
    name="Example.Org.",
    nameservers={"ns1.example.org": ["192.0.2.53", "2001:db8::53"], "ns.example.net": []},
    master_file="test.zone",
)


class SettingsTests(SynchronousTestCase):
    """Zones of a few settings."""

    def test_settings_make_an_apex(self) -> None:
        """SOA, NS and addresses come from the settings; the first server is the primary."""
        zone = static_records(NAMED)
        at_apex = zone.get(wire("example.org"))
        self.assertEqual(
            records.show_rdata(records.SOA, at_apex[records.SOA].rdatas[0]),
            "ns1.example.org. hostmaster.Example.Org. 0 3600 600 1209600 10",
        )
        self.assertEqual(len(at_apex[records.NS].rdatas), 2)
        self.assertEqual(set(zone.get(wire("ns1.example.org"))), {records.A, records.AAAA})
        self.assertNotIn(wire("ns.example.net"), zone.zone)

    def test_a_zone_without_servers_is_refused(self) -> None:
        """Without name servers in settings or file there is no zone, and the sentence says where to write them."""
        with self.assertRaisesRegex(
            InvalidZone, "nameservers: expected the name servers of example.org, or a master_file"
        ):
            static_records(ZoneSettings(name="example.org"))
        with self.assertRaisesRegex(InvalidZone, "test.zone: no NS record at the apex of example.org"):
            static("www 5 A 192.0.2.1", head="@ 5 SOA a b 1 1 1 1 1\n")

    def test_soa_in_both_is_a_clash(self) -> None:
        """An SOA in the settings and in the file is refused with both places."""
        with self.assertRaisesRegex(InvalidZone, "test.zone:2: example.org has more than one SOA; compare .*primary"):
            static_records(NAMED, APEX.encode())

    def test_bad_settings_are_named(self) -> None:
        """A name that is none, an address that is none, and a server's address outside the zone are refused."""
        for settings_, problem in (
            (ZoneSettings(name="a..b"), "^name: 'a..b'"),
            (
                ZoneSettings(name="example.org", nameservers={"ns.example.org": ["192.0.2"]}),
                r"nameservers.ns.example.org.0.: expected an IPv4 or IPv6 address, got '192.0.2'",
            ),
            (
                ZoneSettings(name="example.org", nameservers={"ns.x.net": ["192.0.2.1"]}),
                "nameservers.ns.x.net: .*outside",
            ),
        ):
            with self.assertRaisesRegex(InvalidZone, problem):
                static_records(settings_)


class MasterFileTests(SynchronousTestCase):
    """Master files (RFC 1035 §5)."""

    def test_what_files_may_say(self) -> None:
        """Directives, relative names, repeated owners, classes, times and continuation lines are read."""
        zone = static_records(
            ZoneSettings(name="example.org", master_file="test.zone"),
            b"""$TTL 1h
@ IN SOA ns hostmaster ( 7 ; serial
      1h 10m 2w 60 )
  NS ns
ns 5m IN A 192.0.2.53
   AAAA 2001:db8::53
$ORIGIN deep.example.org.
www TXT "one" "two"
""",
        )
        self.assertEqual(zone.get(wire("www.deep.example.org"))[records.TXT].ttl, 3600)
        self.assertEqual(zone.get(wire("ns.example.org"))[records.A].ttl, 300)
        self.assertEqual(zone.location(wire("www.deep.example.org"), records.TXT), "test.zone:8")

    def test_a_file_beside_settings_needs_no_ttl(self) -> None:
        """The zone's own TTL counts until the file says another."""
        zone = static_records(NAMED, b"www A 192.0.2.1\n")
        self.assertEqual(zone.get(wire("www.example.org"))[records.A].ttl, 300)

    def refused(self, text: str, problem: str) -> None:
        """Expect a file to be refused."""
        with self.assertRaisesRegex(InvalidZone, problem):
            static(text)

    def test_mistakes_are_named_with_their_line(self) -> None:
        """The line stands before every problem."""
        self.refused("www 5 A 192.0.2.256", "^test.zone:5: ")
        self.refused("www 5 A 192.0.2.1\nwww 5 BANANA 1", "^test.zone:6: ")
        self.refused(
            "\n\nwww.example.com. 5 A 192.0.2.1", "^test.zone:7: www.example.com is outside the zone example.org"
        )
        self.refused("www 99999999999 A 192.0.2.1", "^test.zone:5: ")
        self.refused("www 5 ANY 1", "^test.zone:5: ")
        self.refused("$INCLUDE /etc/passwd", r"^test.zone:5: .*\$INCLUDE")
        self.refused("$GENERATE 1-9999999 n$ A 192.0.2.1", "^test.zone:5: ")

    def test_cname_beside_other_data_names_both_lines(self) -> None:
        """Whichever comes first."""
        self.refused(
            "x 5 A 192.0.2.1\nx 5 CNAME y", r"test.zone:6: x.* CNAME beside other data \(A\); compare test.zone:5"
        )
        self.refused(
            "x 5 CNAME y\nx 5 A 192.0.2.1", r"test.zone:6: x.* CNAME beside other data \(A\); compare test.zone:5"
        )
        self.refused("x 5 DNAME y\nx 5 DNAME z", "test.zone:6: .*more than one DNAME; compare test.zone:5")

    def test_bytes_that_are_no_text_are_refused(self) -> None:
        """The line of the first such byte is named."""
        with self.assertRaisesRegex(InvalidZone, "test.zone:2: not UTF-8"):
            static_records(NAMED, b"www A 192.0.2.1\n\xff\n")

    def test_comments_may_be_in_any_encoding(self) -> None:
        """Latin-1 after a semicolon is a comment, on any kind of line; data, quoted semicolons included, is UTF-8."""
        lines = (
            b'; \xfcber\nwww A 192.0.2.1 ; \xfc\ntxt TXT "a;b" "c\\"" ; \xe9 "\n'
            b"h HTTPS 1 . ( ; \xe4\n alpn=h2 ; \xdf\n )\nlast A 192.0.2.2 ; \xc3\xbc\n"
        )
        static = static_records(NAMED, lines)
        self.assertEqual(static.get(wire("txt.example.org"))[records.TXT].rdatas, (b'\3a;b\2c"',))
        for name in ("www", "h", "last"):
            self.assertTrue(static.get(wire(f"{name}.example.org")), name)
        for line in (b'x TXT "\xfc"', b'x TXT "; \xfc" ; \xfc', b"x TXT \\; \xfc", b"\xfc A 192.0.2.1 ; \xfc"):
            with self.assertRaisesRegex(InvalidZone, "test.zone:1: not UTF-8 text; only a comment"):
                static_records(NAMED, line + b"\n")

    def test_repeats_are_no_mistake(self) -> None:
        """The same record twice is one record (RFC 2181 §5); its lower TTL counts."""
        rrset = static("w 9 A 192.0.2.1\nw 5 A 192.0.2.2\nw 7 A 192.0.2.1").get(wire("w.example.org"))[records.A]
        self.assertEqual((rrset.ttl, len(rrset.rdatas)), (5, 2))

    def test_cuts_are_told(self) -> None:
        """Delegations and DNAMEs beneath the apex are told with their places."""
        cuts = static("sub 5 NS ns1\nold 5 DNAME new").cuts()
        self.assertEqual(cuts, {wire("sub.example.org"): "test.zone:5", wire("old.example.org"): "test.zone:6"})

    @settings(max_examples=200, deadline=None)
    @given(st.text(alphabet='abw.@*$()";\\ \n\t0123456789AMXTINS', max_size=60))
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        """Nothing but the refusal ever comes out, and it names the file."""
        try:
            static_records(NAMED, text.encode())
        except InvalidZone as error:
            self.assertIn("test.zone", str(error))

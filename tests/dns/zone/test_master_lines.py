"""Tests of `warp_dns.zone.master_lines`: what is read without dnspython is read as dnspython reads it."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import static, wire
from warp_dns.errors import InvalidZone
from warp_dns.message.records import RRset
from warp_dns.zone import master
from warp_dns.zone.master_lines import Names, is_nothing, match_plain, match_text

COMMON = (
    "www 300 IN A 192.0.2.1",
    "www A 192.0.2.1 ; with a comment",
    "  300 AAAA 2001:db8::1",
    "@ MX 10 mail",
    "_http._tcp.app 60 SRV 0 10 443 edge1.example.net.",
    'app TXT "label=x y" plain',
    "alias CNAME @",
    "*.w A 192.0.2.2",
    "absolute.example.org. NS ns1",
    "\tPTR  a.b.c \t",
)
OTHER = (
    "www A 192.0.2.256",
    "www A 192.0.2.01",
    "www 1h A 192.0.2.1",
    "www A ( 192.0.2.1 )",
    "w\\119w A 192.0.2.1",
    'app TXT "a\\"b"',
    "www IN 300 A 192.0.2.1",
    "www CAA 0 issue x",
    "a..b A 192.0.2.1",
    "$TTL 300",
    f"{'x' * 64} A 192.0.2.1",
    "www MX 70000 mail",
    "www MX mail",
    "www SRV 0 10 mail",
    'app TXT "open',
    "wüw A 192.0.2.1",
)


def read(text: str) -> dict[bytes, dict[int, RRset]] | str:
    """Return what a file of a few lines holds, or why it is refused."""
    try:
        zone = static(text).zone
    except InvalidZone as error:
        return str(error)
    owners: dict[bytes, dict[int, RRset]] = {}
    for rrset in zone:
        owners.setdefault(rrset.owner, {})[rrset.type] = rrset
    return owners


class LinesTests(SynchronousTestCase):
    """Single lines."""

    def test_common_lines_are_recognised(self) -> None:
        """Each of the usual ways to write a record is read here."""
        for line in COMMON:
            match = match_plain(line.encode()) or match_text(line.encode())
            assert match is not None, line
            names = Names(wire("example.org"))
            owner, _, mnemonic, data = match.groups()
            self.assertIsNotNone(names.data(mnemonic, data), line)
            self.assertTrue(owner is None or names.owner(owner), line)

    def test_others_are_left_to_dnspython(self) -> None:
        """What is unusual, or may be wrong, is not decided here."""
        for line in OTHER:
            match = match_plain(line.encode()) or match_text(line.encode())
            names = Names(wire("example.org"))
            is_read = match is not None and all(
                (names.data(match[3], match[4]), match[1] is None or names.owner(match[1]))
            )
            self.assertFalse(is_read, line)

    def test_lines_without_a_record(self) -> None:
        """Empty lines and comments, in any encoding, are passed over."""
        for line in (b"\n", b"", b"  \t\r\n", b"; a comment\n", b"   ; another\n", b"; \xff\x00\r\n"):
            self.assertIsNotNone(is_nothing(line), line)
        for line in (b"x\n", b"\xff\n", b"; a\nx\n", b"$ORIGIN a.\n"):
            self.assertIsNone(is_nothing(line), line)

    def test_long_names_are_left_alone(self) -> None:
        """A name that would be longer than 255 octets is none, and one that may be is left to dnspython."""
        names = Names(wire(".".join(["x" * 60] * 4)))
        self.assertIsNone(names.owner(b"y" * 30))
        self.assertIsNone(names.owner(b"y.y.y.y.y.y.y"))
        self.assertIsNotNone(names.owner(b"y.y"))

    def test_remembered_names_are_bounded(self) -> None:
        """A file of ever new targets does not grow the memory of targets."""
        names = Names(wire("example.org"))
        for number in range(10_000):
            names.data(b"CNAME", b"target%d" % number)
        self.assertLessEqual(len(names._known[b"CNAME"]), 4096)


class DifferentialTests(SynchronousTestCase):
    """The same file read with and without this module."""

    def check(self, text: str) -> None:
        """Assert that a file says the same, or is refused in the same words."""
        fast = read(text)
        self.patch(master, "match_plain", lambda line: None)
        self.patch(master, "match_text", lambda line: None)
        try:
            self.assertEqual(fast, read(text), text)
        finally:
            self.patch(master, "match_plain", match_plain)
            self.patch(master, "match_text", match_text)

    def test_each_line(self) -> None:
        """Every line of either kind, by itself and after another."""
        for line in (*COMMON, *OTHER):
            self.check(line)
            self.check(f"first 60 A 192.0.2.9\n{line}\nlast A 192.0.2.10")

    def test_ttl_rules(self) -> None:
        """`$TTL`, a TTL stated earlier and the SOA's minimum count in the same order, in either reader."""
        for text in (
            "a A 192.0.2.1\nb 77 A 192.0.2.2\nc A 192.0.2.3",
            "$TTL 600\na A 192.0.2.1\nb 77 A 192.0.2.2\nc A 192.0.2.3\n$TTL 5\nd A 192.0.2.4",
            "a 1h A 192.0.2.1\nb A 192.0.2.2\nc CAA 0 issue x\nd A 192.0.2.4",
        ):
            self.check(text)

    def test_origins(self) -> None:
        """`$ORIGIN` holds for owners and targets, and a line without an owner is of the one before."""
        self.check(
            "$ORIGIN deep.example.org.\nwww 5 A 192.0.2.1\n 5 TXT x\n$ORIGIN b\nwww 5 MX 1 mail\n"
            "$ORIGIN Example.Org.\nWWW 5 CNAME www.b.deep"
        )

    @settings(max_examples=400, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["www", "", "a.b", "@", "A", "x.example.org.", "WwW", "*", "_s._tcp.a", "1", "a..b"]),
                st.sampled_from(["", "60", "IN", "60 IN", "IN 60", "1h", "99999999999"]),
                st.sampled_from(["A", "AAAA", "TXT", "CNAME", "MX", "SRV", "NS", "PTR", "a", "CAA"]),
                st.text(alphabet='ab.@0127:"; \\()x', max_size=14)
                | st.sampled_from(["192.0.2.1", "::1", "a", "10 a", "0 0 1 a", '"a b"', "::ffff:192.0.2.1", "1.2.3"]),
            ),
            max_size=4,
        )
    )
    def test_any_lines(self, lines: list[tuple[str, str, str, str]]) -> None:
        """Whatever is put together, both readers agree on what it means or what is wrong."""
        self.check("\n".join(" ".join(parts) for parts in lines))

"""Tests of `policy.facts`."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.http1.forwarding import Forwarding
from warp_twisted.http1.limits import HeadLimits
from warp_twisted.http1.request import RequestReader
from warp_twisted.policy.facts import (
    MAX_PARAMETERS,
    MAX_SEARCHES,
    MAX_SPELT,
    NO_VALUES,
    Facts,
    Values,
    read_fields,
    read_query,
)
from warp_twisted.policy.visitor import Visitor


class FieldTests(SynchronousTestCase):
    """How fields are read."""

    def test_values(self) -> None:
        """Names are folded; one value under the usual name is plain."""
        fields = read_fields(b"Host: a\r\nX-A: 1 \r\nx-b: 1\r\nX-B: 2\r\nX_C: 3\r\nno field\r\n")
        self.assertEqual(fields[b"x-a"], Values((b"1",), True))
        self.assertEqual(fields[b"x-b"], Values((b"1", b"2"), False))
        self.assertEqual(fields[b"x-c"], Values((b"3",), False))
        self.assertEqual(len(fields), 4)
        for name in (b"X.A", b"x~a", b"X'a"):  # CGI of some servers takes them for X-A
            self.assertEqual(read_fields(name + b": 1\r\n"), {b"x-a": Values((b"1",), False)})

    def test_facts(self) -> None:
        """A request reads its fields and parameters when they are asked for."""
        visitor = Visitor("192.0.2.1", "192.0.2.1")
        facts = Facts("a.example", b"GET", b"/a?b=c", "https", visitor, b"X-A: 1\r\n")
        self.assertEqual((facts.path(), facts.field(b"x-a").all, facts.parameter(b"b").all), (b"/a", (b"1",), (b"c",)))
        self.assertEqual((facts.field(b"x-z"), facts.parameter(b"z")), (NO_VALUES, NO_VALUES))

    @given(
        st.lists(
            st.one_of(
                st.sampled_from([b"X-A: 1", b"x_a:2 ", b"X-AB: 3", b"A: X-A: 4", b"no field", b"", b":5", b"x-a:"]),
                # No field line of a head that was read has a CR or LF in it.
                st.binary(max_size=6).filter(lambda line: not {10, 13} & {*line}),
            ),
            max_size=6,
        )
    )
    def test_a_search_finds_what_is_read(self, lines: list[bytes]) -> None:
        """A search for one name finds what reading all fields does, and so does the first beyond so many searches."""
        section = b"".join(line + b"\r\n" for line in lines)
        read = read_fields(section)
        for names in ([b"x-a"], [b"a", b"", b"x-ab", *read, *(b"n%d" % n for n in range(MAX_SEARCHES)), b"x-a"]):
            facts = Facts("a.example", b"GET", b"/", "https", Visitor("192.0.2.1", "192.0.2.1"), section)
            for name in names:
                self.assertEqual(facts.field(name), read.get(name, NO_VALUES), name)

    @given(
        st.lists(
            st.lists(
                st.sampled_from(
                    [b"X-A: 1", b"X-A:2", b"x-a: 3", b"X_A: 4", b"X-A: ", b"X-B: X-A: 5", b"A: b", b"Authorization: c",
                     b"AUTHORIZATION: d", b"Cookie: e", b"Accept: f", b"X-Forwarded-For: g", b"X_Forwarded_For: h"]
                ),
                max_size=4,
            ),
            max_size=6,
        )
    )  # fmt: skip
    def test_spelling_is_remembered(self, heads: list[list[bytes]]) -> None:
        """Whatever one visitor sends in turn: what is remembered of its fields finds what a search finds."""
        visitor = Visitor("192.0.2.1", "192.0.2.1")
        reader = RequestReader(HeadLimits(), Forwarding("192.0.2.1", "https"))
        for lines in heads:
            for changed in (lines, [line + b"0" for line in lines], lines):
                head = reader.read(b"\r\n".join([b"GET / HTTP/1.1", b"Host: a.example", *changed, b"", b""]))
                assert head is not None
                facts = Facts("a.example", b"GET", b"/", "https", visitor, head.lines, spelt=head.fields.spelt)
                read = read_fields(head.lines)
                for name in (b"x-a", b"authorization", b"x-forwarded-for", b"host", b"x-b"):
                    self.assertEqual(facts.field(name), read.get(name, NO_VALUES), (name, head.lines))

    def test_spelling_is_found_again(self) -> None:
        """The second of two requests with the same fields is not searched, and so many names are remembered at most."""
        spelt: dict[bytes, bytes] = {}
        visitor = Visitor("192.0.2.1", "192.0.2.1")
        names = [b"x-%d" % number for number in range(MAX_SPELT + 1)]
        for value in (b"a", b"b"):
            lines = b"Host: a\r\n" + b"".join(b"X-%d: %b\r\n" % (at, value) for at, _ in enumerate(names))
            for name in names:
                facts = Facts("a.example", b"GET", b"/", "https", visitor, lines, spelt=spelt)
                self.assertEqual(facts.field(name), Values((value,), True))
        self.assertEqual(spelt, {name: b"\r\n%b:" % name.upper() for name in names[:MAX_SPELT]})


class QueryTests(SynchronousTestCase):
    """How parameters are read."""

    def test_values(self) -> None:
        """Names and values are decoded; one that is given twice is not plain."""
        query = read_query(b"a=1&b=x+y%21&c&a=2&%64=4&&e=")
        self.assertEqual(query[b"a"], Values((b"1", b"2"), False))
        self.assertEqual(query[b"b"], Values((b"x y!",), True))
        self.assertEqual((query[b"c"].all, query[b"d"].all, query[b"e"].all), ((b"",), (b"4",), (b"",)))

    def test_semicolons(self) -> None:
        """Where `;` may part parameters both readings count, and none is plain."""
        query = read_query(b"a=1;b=2&c=3")
        self.assertEqual((query[b"a"].all, query[b"b"].all), ((b"1;b=2", b"1"), (b"2",)))
        self.assertFalse(query[b"c"].is_plain)

    def test_many(self) -> None:
        """Above so many parameters servers stop reading: no value is plain."""
        query = read_query(b"&".join(b"a%d=1" % number for number in range(MAX_PARAMETERS + 5)))
        self.assertFalse(query[b"a0"].is_plain)
        self.assertIn(b"a%d" % (MAX_PARAMETERS + 4), query)

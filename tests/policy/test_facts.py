"""Tests of `policy.facts`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.facts import MAX_PARAMETERS, NO_VALUES, Facts, Values, read_fields, read_query
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

"""Tests of what readers remember: heads read from memory mean exactly what they mean when they are read in full."""

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.http1.samples import RULES, request, request_reader
from warp_twisted.http1.forwarding import Forwarding
from warp_twisted.http1.refusals import MessageRefused
from warp_twisted.http1.request import RequestHead
from warp_twisted.http1.response import ResponseHead, ResponseReader
from warp_twisted.http1.template import MAX_TEMPLATES, Template, covers, differing


def make(lines: Sequence[bytes], places: Sequence[int], kept: Sequence[int] | None = None) -> Template:
    """Make a template of some lines, of which those with the indices `kept` (or all) are passed on."""
    passed = [lines[at] for at in (range(len(lines)) if kept is None else kept)]
    return Template(b"X\r\n", lines, passed, places, (b"before\r\n", b"after\r\n"))


def section(*lines: bytes) -> bytes:
    """Return the head that a template of such lines fits."""
    return b"\r\n".join([b"X", *lines, b"", b""])


class TemplateTests(SynchronousTestCase):
    """`Template`."""

    def test_values(self) -> None:
        """Values are found where they may differ, and written where they stood."""
        template = make([b"A: 1", b"B: 2", b"C: 3"], [0, 2])
        data = b"..." + section(b"A: x", b"B: 2", b"C:") + b"rest"
        self.assertEqual(template.match(data, 3), (len(data) - 4, [b" x", b""]))
        self.assertEqual(template.write([b" x", b""]), b"before\r\nA: x\r\nB: 2\r\nC:\r\nafter\r\n")

    def test_neighbours(self) -> None:
        """Two lines in a row, the first and the last may differ."""
        template = make([b"A:1", b"B:2"], [0, 1])
        self.assertEqual(template.match(section(b"A:x", b"B:y"), 0), (len(section(b"A:x", b"B:y")), [b"x", b"y"]))
        self.assertEqual(template.write([b"x", b"y"]), b"before\r\nA:x\r\nB:y\r\nafter\r\n")

    def test_lines_that_are_not_passed_on(self) -> None:
        """A value may be read and not passed on; a constant line may be left out, too."""
        template = make([b"A: 1", b"B: 2", b"C: 3", b"D: 4"], [0, 2], kept=[1, 2])
        self.assertEqual(template.match(section(b"A: x", b"B: 2", b"C: y", b"D: 4"), 0), (29, [b" x", b" y"]))
        self.assertEqual(template.write([b" x", b" y"]), b"before\r\nB: 2\r\nC: y\r\nafter\r\n")

    def test_equal_lines(self) -> None:
        """Of equal lines the one whose value differs is meant."""
        lines = [bytes(bytearray(b"A: 1")) for _ in range(2)]
        template = make(lines, [1])
        self.assertIsNotNone(template.match(section(b"A: 1", b"A: 2"), 0))
        self.assertIsNone(template.match(section(b"A: 2", b"A: 1"), 0))
        self.assertEqual(template.write([b" 2"]), b"before\r\nA: 1\r\nA: 2\r\nafter\r\n")

    def test_nothing_differs(self) -> None:
        """Without values it is a comparison of bytes."""
        template = make([b"A: 1"], [])
        self.assertEqual(template.match(section(b"A: 1"), 0), (11, []))
        self.assertEqual(template.write([]), b"before\r\nA: 1\r\nafter\r\n")

    def test_what_does_not_fit(self) -> None:
        """Another name, another constant, a line more or less, bad bytes in a value, half a head: read in full."""
        template = make([b"A: 1", b"B: 2"], [0])
        for data in (
            section(b"a: 1", b"B: 2"),
            section(b"A: 1", b"B: 3"),
            section(b"A: 1"),
            section(b"A: 1", b"B: 2", b"C: 3"),
            section(b"A: 1\x00", b"B: 2"),
            section(b"A: 1\n", b"B: 2"),
            section(b"A: 1\rC: 3", b"B: 2"),
            section(b"A: 1", b"C: 3", b"B: 2"),
            section(b"A: 1", b"B: 2")[:-1],
            b"X\r\nA: ",
        ):
            self.assertIsNone(template.match(data, 0), data)

    def test_differing(self) -> None:
        """Only values of fields that may differ may differ."""

        def may(name: bytes) -> bool:
            return name != b"host"

        self.assertEqual(differing([b"A: 1", b"B: 2"], [b"A: 1", b"B: 3"], may), [1])
        self.assertEqual(differing([b"A: 1"], [b"A: 1"], may), [])
        self.assertIsNone(differing([b"Host: a"], [b"Host: b"], may))
        self.assertIsNone(differing([b"A: 1"], [b"B: 1"], may))
        self.assertIsNone(differing([b"AB: 1"], [b"A: 1"], may))
        self.assertIsNone(differing([b"A: 1"], [b"A: 1", b"B: 1"], may))

    def test_covers(self) -> None:
        """A template that lets more differ makes one that lets less differ needless."""
        self.assertTrue(covers([1, 2], [2]))
        self.assertFalse(covers([1], [1, 2]))


LOOP = b" 1.1 warp, 1.1 warp, 1.1 warp, 1.1 warp"
NAMES = (
    *(b"Accept", b"accept", b"Cookie", b"Referer", b"X-A", b"x-forwarded-for", b"Via", b"TE", b"Connection"),
    *(b"Content-Length", b"Transfer-Encoding", b"Host", b"User-Agent", b"Expect", b"Max-Forwards", b"Upgrade"),
    *(b"X_A", b"Content_Length", b"Proxy", b"Keep-Alive", b"X-Request-Id", b"Date", b"ETag", b"Set-Cookie"),
)
VALUES = (
    *(b" 1", b"", b" 5", b" +5", b" close", b" keep-alive, cookie", b" chunked", b" app.example", b" b.example"),
    *(b" trailers", b" websocket", b" 100-continue", b" a\tb\xff", b" \x00", b" a\rb", b" a\nb", b" text/html"),
    LOOP,
)
VALUE = st.sampled_from(VALUES)
LINES = st.lists(st.tuples(st.sampled_from(NAMES), VALUE), max_size=6)
# What a peer changes from one head to the next: values at some places, seldom more.
CHANGES = st.lists(st.lists(st.tuples(st.integers(0, 5), VALUE), max_size=3), min_size=2, max_size=6)


def variants(lines: list[tuple[bytes, bytes]], changes: list[list[tuple[int, bytes]]]) -> list[list[bytes]]:
    """Return the lines of one head after another: each has some other values than the first."""
    sections = []
    for change in changes:
        values = dict(enumerate(value for _, value in lines)) | dict(change)
        sections.append([name + b":" + values[at] for at, (name, _) in enumerate(lines)])
    return sections


class EquivalenceTests(SynchronousTestCase):
    """A reader that remembers, beside one that was made for this head alone."""

    def outcome(self, reader: object, data: bytes) -> object:
        """Return what a reader makes of a head: what it means, or why it is refused."""
        try:
            head = reader.read(data)  # type: ignore[attr-defined]  # either kind of reader
        except MessageRefused as error:
            return error.refusal
        if isinstance(head, RequestHead):
            return (head, head.for_origin(b"id"))
        return head

    def check_requests(self, sections: list[list[bytes]]) -> None:
        """Assert that one visitor's requests mean what each of them means alone."""
        visitor = Forwarding("192.0.2.7", "http")
        remembering = request_reader(forwarding=visitor)
        for number, sent in enumerate(sections):
            host = b"" if any(line.startswith(b"Host:") for line in sent) else b"Host: app.example"
            data = request(*sent, line=b"POST /%d HTTP/1.1" % number, host=host) + b"GET "
            expected = self.outcome(request_reader(forwarding=visitor), data)
            found = self.outcome(remembering, data)
            self.assertEqual(found, expected)
            if not isinstance(found, tuple):
                remembering = request_reader(forwarding=visitor)  # the edge closes such a connection

    def check_responses(self, sections: list[list[bytes]], status: bytes) -> None:
        """Assert the same of one origin's answers."""
        remembering = ResponseReader(RULES)
        for sent in sections:
            data = b"\r\n".join([b"HTTP/1.1 %b OK" % status, *sent, b"", b""]) + b"body"
            expected = self.outcome(ResponseReader(RULES), data)
            found = self.outcome(remembering, data)
            self.assertEqual(found, expected)
            if not isinstance(found, ResponseHead):
                remembering = ResponseReader(RULES)

    @given(LINES, CHANGES)
    @example([(b"Accept", b" 1"), (b"Accept", b" 2")], [[], [(0, b" 3")], []])
    def test_requests(self, lines: list[tuple[bytes, bytes]], changes: list[list[tuple[int, bytes]]]) -> None:
        """Whatever a visitor sends in turn, memory changes neither the meaning nor the refusal."""
        self.check_requests(variants(lines, changes))

    @given(LINES, CHANGES, st.sampled_from([b"200", b"204", b"304", b"101", b"103"]))
    def test_responses(
        self, lines: list[tuple[bytes, bytes]], changes: list[list[tuple[int, bytes]]], status: bytes
    ) -> None:
        """Whatever an origin answers in turn, memory changes neither the meaning nor the refusal."""
        self.check_responses(variants(lines, changes), status)

    def test_each_field(self) -> None:
        """Each field that has a meaning, with each pair of values in turn, beside one whose value is always another."""
        for name in NAMES:
            for first in VALUES:
                for second in VALUES:
                    values = (first, second, b" 1", b" 5", first, second)
                    sections = [[name + b":" + value, b"Cookie: %d" % at] for at, value in enumerate(values)]
                    self.check_requests(sections)
                    self.check_responses(sections, b"200")

    def test_memory_is_used(self) -> None:
        """From the third head on a visitor's changing Cookie and Accept are read from memory, and so are lengths."""
        reader = request_reader()
        heads = [reader.read(request(b"Cookie: %d" % at, b"Accept: text/%d" % at)) for at in range(4)]
        third, fourth = heads[2:]
        assert third is not None
        assert fourth is not None
        self.assertIs(third.fields, fourth.fields)
        self.assertEqual((third.accept, fourth.accept), (b"text/2", b"text/3"))
        answers = ResponseReader(RULES)
        bodies = [
            answers.read(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: %d\r\n\r\n" % (at, at)) for at in range(4)
        ]
        self.assertEqual([body.length for body in bodies if body is not None], [0, 1, 2, 3])
        self.assertEqual(bodies[3] and bodies[3].framing, b"Content-Length: 3\r\n")
        self.assertEqual(len(answers._known), 1)

    def test_memory_is_bounded(self) -> None:
        """However many shapes of heads come, a reader keeps few."""
        reader = request_reader()
        for number in range(20):
            names = [b"X-%d: " % at for at in range(number)]
            for value in (b"1", b"2", b"3"):
                reader.read(request(*(name + value for name in names)))
        self.assertLessEqual(len(reader._known), MAX_TEMPLATES)

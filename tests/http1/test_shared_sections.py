"""Tests of what new connections share: what is kept, for how long, and that it changes no meaning."""

from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from tests.http1.samples import LIMITS, request
from tests.http1.test_template import CHANGES, LINES, variants
from warp_twisted.http1.forwarding import Forwarding
from warp_twisted.http1.refusals import MessageRefused
from warp_twisted.http1.request import FirstSection, RequestReader
from warp_twisted.http1.shared_sections import MAX_BYTES, MAX_SECTIONS, SharedSections


class SharedSectionsTests(SynchronousTestCase):
    """`SharedSections`."""

    def setUp(self) -> None:
        self.shared = SharedSections[int]()

    def test_same_bytes(self) -> None:
        """Only exactly the same bytes are found."""
        self.shared.add(b"A: 1", ["a"], 1)
        self.assertEqual([self.shared.get(raw) for raw in (b"A: 1", b"a: 1", b"A: 1 ")], [1, None, None])

    def test_bound(self) -> None:
        """There are never more than two generations, and what is asked for stays."""
        self.shared.add(b"asked for", [], -1)
        for number in range(10 * MAX_SECTIONS):
            self.shared.add(b"%d" % number, [], number)
            self.assertEqual(self.shared.get(b"asked for"), -1)
            self.assertLessEqual(len(self.shared), 2 * MAX_SECTIONS)
        self.assertIsNone(self.shared.get(b"0"))

    def test_personal(self) -> None:
        """What identifies somebody is not kept, nor what is long."""
        for names in (["cookie"], ["a", "authorization"], ["proxy-authorization"], ["warp-client-secret"]):
            self.shared.add(b"raw", names, 1)
        self.shared.add(bytes(MAX_BYTES + 1), ["a"], 1)
        self.assertEqual(len(self.shared), 0)


class EquivalenceTests(SynchronousTestCase):
    """Connections that share, beside one that reads alone."""

    @staticmethod
    def outcome(reader: RequestReader, data: bytes) -> object:
        """Return what the origin gets and what the edge knows, or why there is nothing."""
        try:
            head = reader.read(data)
        except MessageRefused as error:
            return error.refusal
        return head and (head, head.for_origin(b"id"))

    @given(LINES, CHANGES)
    def test_requests(self, lines: list[tuple[bytes, bytes]], changes: list[list[tuple[int, bytes]]]) -> None:
        """Each visitor's first two requests mean what they mean alone, and name this visitor."""
        shared = SharedSections[FirstSection]()
        for number, sent in enumerate(2 * variants(lines, changes)):
            visitor = Forwarding(f"192.0.2.{number}", "https" if number % 2 else "http")
            host = b"" if any(line.startswith(b"Host:") for line in sent) else b"Host: app.example"
            data = request(*sent, line=b"POST /%d HTTP/1.1" % number, host=host)
            alone = self.outcome(RequestReader(LIMITS, visitor), data)
            sharing = RequestReader(LIMITS, visitor, first=shared)
            self.assertEqual(self.outcome(sharing, data), alone)
            if isinstance(alone, tuple):
                self.assertEqual(self.outcome(sharing, data), alone)

    def test_it_is_shared(self) -> None:
        """The second connection's section is not read again, and its visitor is told of as ever."""
        shared = SharedSections[FirstSection]()
        data = request(b"User-Agent: check")
        for address in ("192.0.2.1", "192.0.2.2"):
            head = RequestReader(LIMITS, Forwarding(address, "http"), first=shared).read(data)
            assert head is not None
            self.assertIn(f"X-Forwarded-For: {address}\r\n".encode(), head.for_origin(b"id"))
            self.assertEqual(len(shared), 1)

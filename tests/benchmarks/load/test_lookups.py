"""`benchmarks.load.lookups`: the bytes of a question and of an answer."""

import dnslib
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.load.lookups import answered, question


class MessageTests(SynchronousTestCase):
    """Judged by dnslib."""

    def test_question(self) -> None:
        """The query asks for one name's IPv4 address and carries its number."""
        query = dnslib.DNSRecord.parse(question(777, "app7.bench.example"))
        self.assertEqual((query.header.id, query.header.get_opcode(), query.header.qr), (777, 0, 0))
        self.assertEqual((str(query.q.qname), dnslib.QTYPE[query.q.qtype]), ("app7.bench.example.", "A"))

    def test_answered(self) -> None:
        """A response with an address counts."""
        reply = dnslib.DNSRecord.parse(question(777, "app7.bench.example")).reply()
        reply.add_answer(dnslib.RR("app7.bench.example", dnslib.QTYPE.A, rdata=dnslib.A("127.0.0.1")))
        self.assertEqual(answered(reply.pack()), 777)

    def test_not_answered(self) -> None:
        """A query, an empty response, an error and a fragment do not."""
        query = dnslib.DNSRecord.parse(question(777, "app7.bench.example"))
        missing = query.reply()
        missing.header.rcode = 3
        for message in (query.pack(), query.reply().pack(), missing.pack(), query.pack()[:11], b""):
            self.assertIsNone(answered(message))

"""Tests for `warp_twisted.registry.etcd.messages`; the samples are what etcd 3.4.23 answered."""

import base64
import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.registry.errors import StoreBroken
from warp_twisted.registry.etcd.messages import (
    PAGE,
    Change,
    Heard,
    Outcome,
    Page,
    error_of,
    range_request,
    read_outcome,
    read_page,
    read_watch_line,
    transaction_request,
    watch_request,
)

HEADER = b'"header":{"cluster_id":"1587","member_id":"7383","revision":"7","raft_term":"2"}'
READERS = (read_page, read_outcome, read_watch_line)


def in_base64(text: str) -> str:
    """Return what stands for a key in JSON."""
    return base64.b64encode(text.encode()).decode()


KEY = in_base64("/warp/a/1")


class RequestTests(SynchronousTestCase):
    """What is asked."""

    def test_range(self) -> None:
        """The first page begins with the root, the next after a key, at the same revision."""
        begin = {"key": in_base64("/warp/"), "range_end": in_base64("/warp0"), "limit": PAGE}
        self.assertEqual(json.loads(range_request()), begin)
        after = begin | {"key": in_base64("/warp/a/1\0"), "revision": "7"}
        self.assertEqual(json.loads(range_request("a/1", 7)), after)

    def test_transaction(self) -> None:
        """Revisions are compared as text; puts and deletes stand in order."""
        wish = json.loads(transaction_request({"a/1": 7, "a/2": 0}, {"a/1": b"x", "a/2": None}))
        self.assertEqual([each["mod_revision"] for each in wish["compare"]], ["7", "0"])
        self.assertEqual(
            wish["success"],
            [
                {"request_put": {"key": KEY, "value": in_base64("x")}},
                {"request_delete_range": {"key": in_base64("/warp/a/2")}},
            ],
        )

    def test_watch(self) -> None:
        """A watch begins with the revision after the one that is known."""
        self.assertEqual(json.loads(watch_request(7))["create_request"]["start_revision"], "8")


class AnswerTests(SynchronousTestCase):
    """What is answered."""

    def test_page(self) -> None:
        """Keys with their revisions; an empty value, and an empty page, are left out of JSON."""
        keys = f'"kvs":[{{"key":"{KEY}","create_revision":"2","mod_revision":"5","version":"1","value":"MQ=="}}'
        both = f'{keys},{{"key":"{in_base64("/warp/b")}","mod_revision":"6"}}],"more":true,"count":"9"'
        page = read_page(b"{" + HEADER + b"," + both.encode() + b"}")
        self.assertEqual(page, Page((Change("a/1", b"1", 5), Change("b", b"", 6)), 7, True))
        self.assertEqual(read_page(b"{" + HEADER + b"}"), Page((), 7, False))

    def test_outcome(self) -> None:
        """A put is a change, a delete is one if something was there, and a refusal has no `succeeded`."""
        put = b'"succeeded":true,"responses":[{"response_put":{"header":{"revision":"7"}}}]'
        gone = b'"succeeded":true,"responses":[{"response_delete_range":{"header":{"revision":"7"},"deleted":"1"}}]'
        nothing = b'"succeeded":true,"responses":[{"response_delete_range":{"header":{"revision":"7"}}}]'
        for text, expected in ((put, Outcome(True, 7, True)), (gone, Outcome(True, 7, True))):
            self.assertEqual(read_outcome(b"{" + HEADER + b"," + text + b"}"), expected)
        self.assertEqual(read_outcome(b"{" + HEADER + b"," + nothing + b"}"), Outcome(True, 7, False))
        self.assertEqual(read_outcome(b"{" + HEADER + b"}"), Outcome(False, 7, False))

    def test_watch(self) -> None:
        """Events are told up to their revision, progress up to the header's, and `created` tells nothing yet."""
        event = f'"events":[{{"kv":{{"key":"{KEY}","mod_revision":"5","value":"MQ=="}}}},'
        event += f'{{"type":"DELETE","kv":{{"key":"{KEY}","mod_revision":"6"}}}}]'
        line = b'{"result":{' + HEADER + b"," + event.encode() + b"}}"
        self.assertEqual(read_watch_line(line), Heard((Change("a/1", b"1", 5), Change("a/1", None, 6)), 6))
        self.assertEqual(read_watch_line(b'{"result":{' + HEADER + b"}}"), Heard((), 7))
        self.assertEqual(read_watch_line(b'{"result":{' + HEADER + b',"created":true}}'), Heard())

    def test_watch_ends(self) -> None:
        """Compaction comes as `canceled` with the status 200; other ends say why."""
        compacted = b'{"result":{' + HEADER + b',"canceled":true,"compact_revision":"6"}}'
        self.assertEqual(read_watch_line(compacted), Heard((), 7, True, "etcd ended the watch"))
        refused = b'{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}}'
        self.assertEqual(read_watch_line(refused), Heard(ended="etcdserver: no leader"))

    def test_error(self) -> None:
        """Errors of calls are JSON, or a proxy's text."""
        self.assertEqual(error_of(b'{"error":"etcdserver: x","message":"etcdserver: x","code":11}'), "etcdserver: x")
        self.assertEqual(error_of(b"<h1>Bad gateway</h1>"), "<h1>Bad gateway</h1>")

    def test_foreign(self) -> None:
        """Keys of others, revisions that are no numbers and text that is no JSON are refused."""
        other = f'"kvs":[{{"key":"{in_base64("/other/a")}","mod_revision":"5"}}]'.encode()
        binary = b'"kvs":[{"key":"/w==","mod_revision":"5"}]'
        for answer in (b"", b"[]", b"{" + HEADER + b"," + other + b"}", b"{" + HEADER + b"," + binary + b"}"):
            self.assertRaises(StoreBroken, read_page, answer)
        for revision in ("-1", "1e3", "9" * 20, "\u0663"):
            answer = json.dumps({"header": {"revision": revision}}).encode()
            self.assertRaises(StoreBroken, read_page, answer)

    @given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: json.dumps(text).encode())))
    def test_anything(self, answer: bytes) -> None:
        """Whatever comes is read, or refused as one kind of error."""
        for read in READERS:
            try:
                read(answer)
            except StoreBroken:
                continue
        error_of(answer)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "header",
                            "revision",
                            "kvs",
                            "key",
                            "value",
                            "result",
                            "events",
                            "kv",
                            "responses",
                            "response_put",
                            "succeeded",
                            "mod_revision",
                            "type",
                        ]
                    ),
                    inner,
                    max_size=5,
                )
            ),
        )
    )
    def test_any_json(self, answer: object) -> None:
        """So is JSON of their words in any shape."""
        for read in READERS:
            try:
                read(json.dumps(answer).encode())
            except StoreBroken:
                continue

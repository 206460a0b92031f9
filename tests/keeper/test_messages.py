"""Tests of the words between a keeper and those who talk to it."""

import json
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.keeper.messages import (
    ASKED_OF_KEEPER,
    ASKED_OF_SERVING,
    KEEPER_SAYS,
    MAX_BYTES,
    MAX_TEXT,
    SERVING_SAYS,
    InvalidMessage,
    Kind,
    Message,
    Value,
    decode,
    encode,
)

VALUES = st.recursive(st.none() | st.integers() | st.text() | st.booleans(), st.lists)
FIELDS = VALUES.map(lambda value: json.dumps({"is": "released", "tunnels": value}).encode())


class MessageTests(SynchronousTestCase):
    """Encoding and decoding."""

    def test_each_word_comes_back(self) -> None:
        """What is encoded is decoded as it was, with every field of every word."""
        samples: dict[type, Value] = {int: 7, float: 0.5, str: "a sentence", tuple: ("a", "b")}
        vocabularies: list[tuple[Kind, Mapping[str, Mapping[str, type]]]] = [
            ("is", SERVING_SAYS),
            ("is", KEEPER_SAYS),
            ("do", ASKED_OF_SERVING),
            ("do", ASKED_OF_KEEPER),
        ]
        for kind, words in vocabularies:
            for word, fields in words.items():
                message = Message(kind, word, {name: samples[of] for name, of in fields.items()})
                self.assertEqual(decode(encode(message), kind, words), message)

    def test_missing_fields(self) -> None:
        """A field that is not there is 0, empty or no text; one that nobody knows is ignored."""
        read = decode(b'{"is": "released", "more": 1}', "is", SERVING_SAYS)
        self.assertEqual((read.number("tunnels"), read.number("hostnames"), "more" in read.fields), (0, 0, False))
        self.assertEqual(decode(b'{"is": "reloaded"}', "is", SERVING_SAYS).words("later"), ())
        self.assertEqual(decode(b'{"is": "failed"}', "is", SERVING_SAYS).text("why"), "")

    def test_refused(self) -> None:
        """What is no message says what is wrong with it."""
        for packet, reason in (
            (b"", "a message that is no JSON"),
            (b"\xff", "a message that is no JSON"),
            (b"[" * 60000, "a message that is no JSON"),
            (b"[]", "a message without 'is'"),
            (b'{"is": 3}', "a message without 'is'"),
            (b'{"do": "take"}', "a message without 'is'"),
            (b'{"is": "take"}', "an unknown word: 'take'"),
            (b'{"is": "released", "tunnels": -1}', "released: tunnels is not what it should be"),
            (b'{"is": "released", "tunnels": true}', "released: tunnels is not what it should be"),
            (b'{"is": "failed", "why": 1}', "failed: why is not what it should be"),
            (b'{"is": "reloaded", "later": "ab"}', "reloaded: later is not what it should be"),
            (b'{"is": "reloaded", "later": [1]}', "reloaded: later is not what it should be"),
            (json.dumps({"is": "reloaded", "later": ["a"] * 65}).encode(), "reloaded: later is not what it should be"),
            (b" " * (MAX_BYTES + 1), f"a message of {MAX_BYTES + 1} bytes, {MAX_BYTES} at most"),
        ):
            error = self.assertRaises(InvalidMessage, decode, packet, "is", SERVING_SAYS)
            self.assertEqual(str(error), reason)

    def test_long_sentences_are_cut(self) -> None:
        """Why something failed may be long; it is cut, and so never refused."""
        read = decode(encode(Message("is", "failed", {"why": "x" * 5000})), "is", SERVING_SAYS)
        self.assertEqual(len(read.text("why")), MAX_TEXT)

    @given(st.binary(max_size=300) | FIELDS)
    def test_any_bytes(self, packet: bytes) -> None:
        """Whatever is sent is a message or refused."""
        try:
            read = decode(packet, "is", SERVING_SAYS)
        except InvalidMessage as error:
            self.assertTrue(str(error))
        else:
            self.assertIn(read.word, SERVING_SAYS)

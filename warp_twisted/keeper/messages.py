"""
What a keeper and those who talk to it say: serving processes on their line, operators on the control socket.

One message is one packet of a SOCK_SEQPACKET socket: a JSON object with one key for the kind of message (`is`:
something happened; `do`: a request) and the fields of that word. Unknown words are refused, unknown fields ignored, so
that a later release may add fields.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from warp_twisted.errors import WarpError

MAX_BYTES = 64 * 1024
MAX_TEXT = 1000  # characters of one sentence
MAX_LIST = 64

Value: TypeAlias = int | float | str | tuple[str, ...]
Kind: TypeAlias = Literal["is", "do"]

# Word → the type of each of its fields.
# Said by a serving process.
SERVING_SAYS: Mapping[str, Mapping[str, type]] = {
    "prepared": {},
    "released": {"tunnels": int, "hostnames": int},
    "serving": {},
    "failed": {"why": str},
    "reloaded": {"later": tuple},
    "refused": {"why": str},
    "resumed": {},
}
# Asked of a serving process.
ASKED_OF_SERVING: Mapping[str, Mapping[str, type]] = {
    "take": {"tunnels": int, "hostnames": int},
    "release": {},
    "move": {},
    "drain": {},
    "resume": {},
}
# Asked of the keeper by an operator: `python` and `command` are empty where what runs is to stay.
ASKED_OF_KEEPER: Mapping[str, Mapping[str, type]] = {
    "reload": {"python": str, "command": tuple, "mark": str},
    "restart": {"python": str, "command": tuple, "mark": str},
    "status": {},
}
# Answered to an operator.
KEEPER_SAYS: Mapping[str, Mapping[str, type]] = {
    "step": {"what": str},
    "done": {"what": str, "old": int, "new": int, "seconds": float},
    "failed": {"what": str},
    "status": {"phase": str, "serving": int, "draining": tuple, "command": tuple},
}


class InvalidMessage(WarpError):
    """A process on the keeper's line says something that is no message of it."""


@dataclass(frozen=True, slots=True)
class Message:
    """
    One message.

    :ivar kind: `is` or `do`.
    :ivar word: one of the tables above.
    :ivar fields: all that the word has; what the sender left out is 0, empty or no text.
    """

    kind: Kind
    word: str
    fields: Mapping[str, Value] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Return a field that is a sentence."""
        return str(self.fields.get(name, ""))

    def number(self, name: str) -> int:
        """Return a field that is a count."""
        value = self.fields.get(name, 0)
        return int(value) if isinstance(value, int | float) else 0

    def words(self, name: str) -> tuple[str, ...]:
        """Return a field that is a list."""
        value = self.fields.get(name, ())
        return value if isinstance(value, tuple) else ()


def encode(message: Message) -> bytes:
    """Return the packet of a message; sentences that are too long are cut."""
    fields = {name: value[:MAX_TEXT] if isinstance(value, str) else value for name, value in message.fields.items()}
    return json.dumps({message.kind: message.word, **fields}).encode()


def decode(packet: bytes, kind: Kind, vocabulary: Mapping[str, Mapping[str, type]]) -> Message:
    """
    Read one packet.

    :param kind: which is expected.
    :param vocabulary: the words that the other side may say, one of the tables above.
    :raises InvalidMessage: saying what is wrong.
    """
    if len(packet) > MAX_BYTES:
        raise InvalidMessage(f"a message of {len(packet)} bytes, {MAX_BYTES} at most")
    try:
        content = json.loads(packet)
    except (ValueError, RecursionError) as error:
        raise InvalidMessage("a message that is no JSON") from error
    if not isinstance(content, dict) or not isinstance(content.get(kind), str):
        raise InvalidMessage(f"a message without {kind!r}")
    word = content[kind]
    if word not in vocabulary:
        raise InvalidMessage(f"an unknown word: {word[:40]!r}")
    return Message(kind, word, {name: _value(word, name, of, content) for name, of in vocabulary[word].items()})


def _value(word: str, name: str, of: type, content: Mapping[str, object]) -> Value:
    value = content.get(name)
    if value is None:
        return of()  # type: ignore[no-any-return]  # 0, "", () or 0.0
    if of is str and isinstance(value, str) and len(value) <= MAX_TEXT:
        return value
    if of is float and isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if of is int and isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 32:
        return value
    if (
        of is tuple
        and isinstance(value, list)
        and len(value) <= MAX_LIST
        and all(isinstance(each, str) and len(each) <= MAX_TEXT for each in value)
    ):
        return tuple(value)
    raise InvalidMessage(f"{word}: {name} is not what it should be")

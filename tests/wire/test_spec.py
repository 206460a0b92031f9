"""The samples and tables of spec.md against the code."""

import re
from pathlib import Path
from typing import get_args

from twisted.trial.unittest import SynchronousTestCase

import warp_twisted.wire
from tests.wire.pair import ACK, DATA, FIN, GO_AWAY, PING, RST, SYN, WINDOW_UPDATE, End, frame
from warp_twisted.wire.control import ControlMessage, Hello, MessageReader, encode_message
from warp_twisted.wire.frames import GoAwayCode, Role
from warp_twisted.wire.preamble import OpeningCode, encode_opening, encode_preamble
from warp_twisted.wire.relayed import RelayPreamble, encode_relay_preamble
from warp_twisted.wire.states import STREAM_TRANSITIONS, StreamEvent, StreamState

SPEC = (Path(warp_twisted.wire.__file__).parent / "spec.md").read_text()
SAMPLES = {
    name: bytes.fromhex(text)
    for name, text in re.findall(r"^```sample (\S+)\n(.*?)^```$", SPEC, re.MULTILINE | re.DOTALL)
}
HELLO = Hello(version=1, software="w/1", agent_id="a1", session="s", slot=0, time=1.8e9)
EXPECTED = {
    "data": frame(DATA, 0, 2, b"hello"),
    "open-by-window-update": frame(WINDOW_UPDATE, SYN, 1),
    "acknowledge": frame(WINDOW_UPDATE, ACK, 1),
    "open-by-data": frame(DATA, SYN, 2, b"hi"),
    "end": frame(DATA, FIN, 2),
    "reset": frame(WINDOW_UPDATE, RST, 2),
    "window-update": frame(WINDOW_UPDATE, 0, 2, 128 * 1024),
    "ping": frame(PING, SYN, 0, 42),
    "pong": frame(PING, ACK, 0, 42),
    "go-away-flow-control": frame(GO_AWAY, 0, 0, GoAwayCode.FLOW_CONTROL_ERROR),
    "hello": encode_message(HELLO),
    "preamble": encode_preamble(7),
    "relay-preamble": encode_relay_preamble(RelayPreamble("app.warp.example", "a1", "^/v1/")),
    "opened": encode_opening(OpeningCode.OPENED),
    "refused": encode_opening(OpeningCode.ORIGIN_REFUSED, "conn. refused"),
}


def table(heading: str) -> list[list[str]]:
    """Return the rows of the table whose first header cell is given."""
    rows = re.search(rf"^\| {heading} \|.*?\n\|[-|]+\n((?:\|.*\n)+)", SPEC, re.MULTILINE)
    assert rows is not None, heading
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1].splitlines()]


class SpecTests(SynchronousTestCase):
    """What spec.md shows is what the code does."""

    def test_every_sample_is_what_the_code_writes(self) -> None:
        """Each sample block is byte for byte what the encoders make."""
        self.assertEqual(SAMPLES, EXPECTED)

    def test_opening_sent(self) -> None:
        """The frames that open, fill, end and cut a stream are sent as the samples say."""
        agent, edge = End(Role.CLIENT), End(Role.SERVER)
        agent.open()
        self.assertEqual(agent.connection.data_to_send(), SAMPLES["open-by-window-update"])
        edge.receive(SAMPLES["open-by-window-update"])
        self.assertEqual(edge.connection.data_to_send(), SAMPLES["acknowledge"])
        stream, _ = edge.open(b"hi")
        self.assertEqual(edge.connection.data_to_send(), SAMPLES["open-by-data"])
        stream.write(b"hello")
        self.assertEqual(edge.connection.data_to_send(), SAMPLES["data"])
        stream.end()
        self.assertEqual(edge.connection.data_to_send(), SAMPLES["end"])
        stream.reset()
        self.assertEqual(edge.connection.data_to_send(), SAMPLES["reset"])

    def test_message_is_read(self) -> None:
        """The sample of a control message decodes to what it shows."""
        self.assertEqual(list(MessageReader().receive_data(SAMPLES["hello"])), [HELLO])

    def test_codes(self) -> None:
        """The tables of go-away codes and opening codes are the enumerations."""
        rows = re.findall(r"^\| (0x[0-9a-f]{2}) \| (\w+) \|", SPEC, re.MULTILINE)
        self.assertEqual({name: int(code, 16) for code, name in rows}, {code.name: code.value for code in GoAwayCode})
        rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", SPEC, re.MULTILINE)
        self.assertEqual({name: int(code) for code, name in rows}, {code.name: code.value for code in OpeningCode})

    def test_states(self) -> None:
        """The table of states is the transition table, but for an end that waits here and is not on the wire yet."""
        seen = {StreamState.OPEN, StreamState.LOCAL_ENDED, StreamState.REMOTE_ENDED}
        events = [event for event in StreamEvent if event is not StreamEvent.LOCAL_END_QUEUED]
        written = {}
        for state, *cells in table("state"):
            for event, cell in zip(events, cells, strict=True):
                if cell:
                    written[state, event] = cell
        coded = {
            (state.value, event): after.value
            for (state, event), after in STREAM_TRANSITIONS.items()
            if state in seen and event in events
        }
        self.assertEqual(written, coded)

    def test_messages(self) -> None:
        """The tables of messages name every field of every message, and no other."""
        written = {}
        for cells in re.findall(r"^\| `(\w+)` \| (?:edge|agent|both) \| (.*) \|$", SPEC, re.MULTILINE):
            written[cells[0]] = set(re.findall(r"`(\w+)`", cells[1]))
        coded = {kind.__struct_config__.tag: set(kind.__struct_encode_fields__) for kind in get_args(ControlMessage)}
        self.assertEqual(written, coded)

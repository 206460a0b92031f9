"""`wire.frames`: the header's layout, and whose stream ids are whose."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.wire.frames import (
    ACK,
    ALL_FLAGS,
    DATA_WORD,
    FIN,
    GO_AWAY_WORD,
    HEADER,
    HEADER_BYTES,
    PING_WORD,
    RST,
    SYN,
    WINDOW_UPDATE_WORD,
    FrameType,
    Role,
    encode_header,
)


class HeaderTests(SynchronousTestCase):
    """Twelve bytes, big endian."""

    def test_layout(self) -> None:
        """Version, type, flags, stream id and length follow each other."""
        header = encode_header(FrameType.WINDOW_UPDATE, SYN | FIN, 0x01020304, 0x0A0B0C0D)
        self.assertEqual(header.hex(" ", 4), "00010005 01020304 0a0b0c0d")
        self.assertEqual(len(header), HEADER_BYTES)

    def test_words(self) -> None:
        """The first four bytes, read as one word, are the type's word with the flags added."""
        words = {
            FrameType.DATA: DATA_WORD,
            FrameType.WINDOW_UPDATE: WINDOW_UPDATE_WORD,
            FrameType.PING: PING_WORD,
            FrameType.GO_AWAY: GO_AWAY_WORD,
        }
        self.assertEqual(set(words), set(FrameType))
        for kind, word in words.items():
            for flags in (0, SYN, ACK, FIN, RST, ALL_FLAGS):
                self.assertEqual(HEADER.unpack(encode_header(kind, flags, 1, 2)), (word | flags, 1, 2))

    def test_flags(self) -> None:
        """The flags are four bits of their own."""
        self.assertEqual(SYN | ACK | FIN | RST, ALL_FLAGS)
        self.assertEqual(SYN + ACK + FIN + RST, ALL_FLAGS)

    def test_roles(self) -> None:
        """The agent's ids are odd, the edge's even, and 0 is nobody's."""
        self.assertEqual((Role.CLIENT.first_stream_id, Role.SERVER.first_stream_id), (1, 2))
        self.assertEqual([role.first_stream_id & 1 for role in (Role.CLIENT, Role.SERVER)], [1, 0])

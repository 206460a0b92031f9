"""`wire.errors`: whose fault each is, and which code it ends the tunnel with."""

import inspect

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.errors import TunnelLost
from warp_twisted.wire import errors
from warp_twisted.wire.errors import ConnectionLost, LocalProtocolError, RemoteProtocolError, StreamError, WireError
from warp_twisted.wire.frames import GoAwayCode

FAMILIES = (LocalProtocolError, RemoteProtocolError, StreamError, ConnectionLost)
LEAVES = [
    error
    for _, error in inspect.getmembers(errors, inspect.isclass)
    if issubclass(error, WireError) and error not in (WireError, *FAMILIES)
]


class ErrorTests(SynchronousTestCase):
    """Families, codes, sentences."""

    def test_families(self) -> None:
        """Each error is of one family, so whoever catches it knows whose fault it is."""
        for error in LEAVES:
            self.assertEqual(sum(issubclass(error, family) for family in FAMILIES), 1, error)

    def test_codes(self) -> None:
        """A breach by the peer ends the tunnel with the code of spec.md §5; no breach is a normal end."""
        codes = {error.__name__: error.go_away_code for error in LEAVES if issubclass(error, RemoteProtocolError)}
        self.assertNotIn(GoAwayCode.NORMAL, codes.values())
        self.assertEqual(
            {name: code for name, code in codes.items() if code is not GoAwayCode.PROTOCOL_ERROR},
            {
                "WindowExceeded": GoAwayCode.FLOW_CONTROL_ERROR,
                "WindowOverflow": GoAwayCode.FLOW_CONTROL_ERROR,
                "FrameTooLarge": GoAwayCode.FRAME_TOO_LARGE,
                "TooManyStreams": GoAwayCode.TOO_MANY_STREAMS,
                "Flood": GoAwayCode.FLOOD,
                "BadControlMessage": GoAwayCode.CONTROL_ERROR,
                "ControlMessageTooLarge": GoAwayCode.CONTROL_ERROR,
            },
        )

    def test_lost_tunnels(self) -> None:
        """What ends a tunnel without a breach is what other rooms know as a lost tunnel."""
        for error in LEAVES:
            self.assertEqual(issubclass(error, TunnelLost), issubclass(error, ConnectionLost), error)

    def test_sentences(self) -> None:
        """Each says in its docstring what an operator reads."""
        for error in LEAVES:
            self.assertRegex(error.__doc__ or "", r"^[A-Z].*\.$")

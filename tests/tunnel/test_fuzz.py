"""Whatever a proven peer sends, a tunnel ends in order or goes on; nothing is raised and nothing is left behind."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from tests.wire.test_fuzz import CHUNKS, STREAMS, pieces
from warp_twisted.testing import MemoryTransport, RecordingDelegate
from warp_twisted.tunnel.enrollment import Asker, EnrollmentClient, EnrollmentServer
from warp_twisted.tunnel.errors import EnrollmentFailed
from warp_twisted.tunnel.invariants import check_tunnel
from warp_twisted.tunnel.protocol import TunnelProtocol
from warp_twisted.tunnel.states import TunnelState
from warp_twisted.tunnel.turns import Turn
from warp_twisted.wire.control import Enrolled, EnrollRefused, EnrollRequest, Renewed, ReturnRequest, encode_message
from warp_twisted.wire.frames import FrameType, Role, encode_header

FUZZ = settings(deadline=None, derandomize=True, max_examples=200)
ADDRESS = IPv4Address("TCP", "192.0.2.1", 1)
OPEN_CONTROL = encode_header(FrameType.WINDOW_UPDATE, 1, 1, 0)
MESSAGES = st.lists(
    st.sampled_from(
        [
            encode_message(EnrollRequest(token_id="t", secret="s", csr_pem="c")),
            encode_message(ReturnRequest(chain_pem="c", signature="00")),
            encode_message(Renewed(chain_pem="x")),
            b"\0\0\0\x02{}",
            b"\0\1\0\1",
        ]
    )
    | st.binary(max_size=20),
    max_size=5,
).map(b"".join)


async def refuse(request: EnrollRequest | ReturnRequest, asker: Asker) -> Enrolled | EnrollRefused:
    """Refuse everybody."""
    return EnrollRefused(code="no", reason="no")


class FuzzTests(SynchronousTestCase):
    """Arbitrary and nearly valid bytes."""

    @FUZZ
    @given(role=st.sampled_from(Role), data=STREAMS, chunks=CHUNKS)
    def test_tunnel(self, role: Role, data: bytes, chunks: list[int]) -> None:
        """A tunnel takes anything, tells its delegate at most once that it is lost, and leaves no timer."""
        clock, delegate = Clock(), RecordingDelegate()
        tunnel = TunnelProtocol(role, delegate, clock=clock, turn=Turn(clock))
        transport = MemoryTransport(tunnel, ADDRESS, ADDRESS, 1000, None)
        tunnel.makeConnection(transport)
        for piece in pieces((OPEN_CONTROL if role is Role.SERVER else b"") + data, chunks):
            tunnel.dataReceived(piece)
            clock.advance(0)
            check_tunnel(tunnel)
        transport.lose()
        clock.advance(0)
        check_tunnel(tunnel)
        assert tunnel.outcome is not None
        self.assertEqual((len(delegate.opened), delegate.losses), (1, [tunnel.outcome.error]))
        self.assertEqual(tunnel.state, TunnelState.DISCONNECTED)
        self.assertEqual(clock.getDelayedCalls(), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    @FUZZ
    @given(data=MESSAGES, chunks=CHUNKS)
    def test_enrollment_server(self, data: bytes, chunks: list[int]) -> None:
        """An edge that is asked to enroll takes anything, and forgets the connection afterwards."""
        clock, ended = Clock(), []
        server = EnrollmentServer("ROOT", refuse, clock=clock, wall=SettableWallClock(), ended=lambda: ended.append(1))
        transport = MemoryTransport(server, ADDRESS, ADDRESS, 1000, None)
        server.makeConnection(transport)
        for piece in pieces(data, chunks):
            server.dataReceived(piece)
        transport.lose()
        self.assertEqual((ended, clock.getDelayedCalls()), ([1], []))
        self.assertLess(len(transport.in_flight), 2000)

    @FUZZ
    @given(data=MESSAGES, chunks=CHUNKS)
    def test_enrollment_client(self, data: bytes, chunks: list[int]) -> None:
        """An agent that enrolls takes anything an edge answers, and fails with its own error only."""
        client = EnrollmentClient()
        transport = MemoryTransport(client, ADDRESS, ADDRESS, 1000, None)
        client.makeConnection(transport)
        waiting = [client.next_message() for _ in range(2)]
        for piece in pieces(data, chunks):
            client.dataReceived(piece)
        transport.lose()
        for deferred in waiting:
            deferred.addErrback(lambda failure: failure.trap(EnrollmentFailed))
        self.assertLess(len(client._heard), 3)

"""`tunnel.enrollment`: the exchange of messages, its limits, and what goes wrong in it."""

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from warp_twisted.testing import MemoryTransport
from warp_twisted.tunnel.enrollment import NONCE_BYTES, SILENCE_SECONDS, Asker, EnrollmentClient, EnrollmentServer
from warp_twisted.tunnel.errors import EnrollmentFailed
from warp_twisted.wire.control import (
    Authority,
    ControlMessage,
    Enrolled,
    EnrollRefused,
    EnrollRequest,
    MessageReader,
    ReturnRequest,
    encode_message,
)

ADDRESS = IPv4Address("TCP", "192.0.2.1", 1)
REQUEST = EnrollRequest(token_id="t1", secret="s", csr_pem="CSR")
ENROLLED = Enrolled(agent_id="a1", chain_pem="CHAIN", root_pem="ROOT")


class ServerTests(SynchronousTestCase):
    """The edge's end."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.requests: list[EnrollRequest | ReturnRequest] = []
        self.askers: list[Asker] = []
        self.answer: Deferred[Enrolled | EnrollRefused] = Deferred()
        self.ends = 0
        self.server = EnrollmentServer(
            "ROOT", self.enroll, clock=self.clock, wall=SettableWallClock(1e9), ended=self.ended
        )
        self.transport = MemoryTransport(self.server, ADDRESS, ADDRESS, 10**6, None)
        self.server.makeConnection(self.transport)

    async def enroll(self, request: EnrollRequest | ReturnRequest, asker: Asker) -> Enrolled | EnrollRefused:
        self.requests.append(request)
        self.askers.append(asker)
        return await self.answer

    def ended(self) -> None:
        self.ends += 1

    def sent(self) -> list[ControlMessage]:
        return list(MessageReader().receive_data(bytes(self.transport.in_flight)))

    def test_exchange(self) -> None:
        """The edge sends its root, hears one request, answers it, and hangs up."""
        authority = self.sent()[0]
        assert isinstance(authority, Authority)
        self.assertEqual((authority.root_pem, len(authority.nonce)), ("ROOT", 2 * NONCE_BYTES))
        self.assertEqual(authority.time, 1e9)
        data = encode_message(REQUEST)
        for at in range(len(data)):
            self.server.dataReceived(data[at : at + 1])
        self.assertFalse(self.transport.disconnecting)
        self.answer.callback(ENROLLED)
        self.assertEqual((self.requests, self.sent()[1:]), ([REQUEST], [ENROLLED]))
        self.assertEqual(self.askers, [Asker(nonce=authority.nonce, address="192.0.2.1")])
        self.assertTrue(self.transport.disconnecting)
        self.transport.lose()
        self.assertEqual((self.ends, self.clock.getDelayedCalls()), (1, []))

    def test_nonce(self) -> None:
        """Each connection has a nonce of its own, and an agent that returns may ask as well."""
        second = EnrollmentServer("ROOT", self.enroll, clock=self.clock, wall=SettableWallClock(1e9), ended=self.ended)
        second.makeConnection(MemoryTransport(second, ADDRESS, ADDRESS, 10**6, None))
        request = ReturnRequest(chain_pem="CHAIN", signature="00")
        for server in (self.server, second):
            server.dataReceived(encode_message(request))
        self.assertEqual((self.requests, len({asker.nonce for asker in self.askers})), ([request] * 2, 2))

    def test_one_request_only(self) -> None:
        """A second request on the connection is not looked at."""
        self.server.dataReceived(encode_message(REQUEST) * 2)
        self.server.dataReceived(encode_message(REQUEST))
        self.assertEqual(self.requests, [REQUEST])

    def test_failure(self) -> None:
        """If the answer cannot be made, the agent hears so and the log says why."""
        self.server.dataReceived(encode_message(REQUEST))
        self.answer.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        answer = self.sent()[1]
        self.assertEqual(answer.code if isinstance(answer, EnrollRefused) else "", "internal_error")

    def test_time(self) -> None:
        """A peer that takes too long for its request is hung up on."""
        self.server.dataReceived(encode_message(REQUEST)[:1])
        self.clock.advance(19.9)
        self.assertFalse(self.transport.disconnecting)
        self.clock.advance(0.2)
        self.assertTrue(self.transport.disconnecting)

    def test_silence(self) -> None:
        """A peer that says nothing is hung up on sooner."""
        self.clock.advance(SILENCE_SECONDS - 0.1)
        self.assertFalse(self.transport.disconnecting)
        self.clock.advance(0.2)
        self.assertTrue(self.transport.disconnecting)

    def test_room_for_others(self) -> None:
        """A peer that has not asked yet can be made to give way; one that has asked is known to have."""
        asked: list[int] = []
        server = EnrollmentServer(
            "ROOT",
            self.enroll,
            clock=self.clock,
            wall=SettableWallClock(1e9),
            ended=self.ended,
            asked=lambda: asked.append(len(self.requests)),
        )
        transport = MemoryTransport(server, ADDRESS, ADDRESS, 10**6, None)
        server.makeConnection(transport)
        server.dataReceived(encode_message(REQUEST)[:-1])
        self.assertEqual(asked, [])
        server.dataReceived(encode_message(REQUEST)[-1:])
        self.assertEqual(asked, [0])
        server.give_way()
        self.assertEqual((transport.in_flight, transport.disconnecting), (b"", True))

    def test_size(self) -> None:
        """A request above the limit is refused from its length."""
        self.server.dataReceived((64 * 1024 + 1).to_bytes(4, "big"))
        self.assertIsInstance(self.sent()[1], EnrollRefused)
        self.assertTrue(self.transport.disconnecting)

    def test_lost_meanwhile(self) -> None:
        """If the agent goes while the answer is made, making it is cancelled and nothing is logged."""
        cancelled: list[object] = []
        self.answer = Deferred(cancelled.append)
        self.server.dataReceived(encode_message(REQUEST))
        self.transport.lose()
        self.assertEqual(len(cancelled), 1)
        self.assertEqual(self.flushLoggedErrors(), [])


class ClientTests(SynchronousTestCase):
    """The new agent's end."""

    def setUp(self) -> None:
        self.client = EnrollmentClient()
        self.transport = MemoryTransport(self.client, ADDRESS, ADDRESS, 10**6, None)
        self.client.makeConnection(self.transport)

    def test_messages_in_order(self) -> None:
        """Messages that came before they were asked for wait; later ones are waited for."""
        self.client.dataReceived(encode_message(Authority(root_pem="ROOT", time=1e9)))
        self.assertEqual(self.successResultOf(self.client.next_message()), Authority(root_pem="ROOT", time=1e9))
        waiting = self.client.next_message()
        self.assertNoResult(waiting)
        self.client.dataReceived(encode_message(ENROLLED))
        self.assertEqual(self.successResultOf(waiting), ENROLLED)

    def test_hang_up(self) -> None:
        """An edge that hangs up fails who waits, and who asks later."""
        waiting = self.client.next_message()
        self.transport.lose()
        self.failureResultOf(waiting, EnrollmentFailed)
        self.failureResultOf(self.client.next_message(), EnrollmentFailed)

    def test_noise(self) -> None:
        """An answer that cannot be read fails who waits."""
        waiting = self.client.next_message()
        self.client.dataReceived(b"\0\0\0\x01{")
        self.failureResultOf(waiting, EnrollmentFailed)

    def test_close(self) -> None:
        """Hanging up is done when the connection is gone."""
        gone = self.client.close()
        self.assertNoResult(gone)
        self.transport.lose()
        self.successResultOf(gone)

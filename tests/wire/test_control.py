"""`wire.control`: messages and how they are cut out of a stream."""

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.wire.control import (
    MAX_MESSAGE_BYTES,
    Accepted,
    Authority,
    ControlMessage,
    Drain,
    Enrolled,
    EnrollRefused,
    EnrollRequest,
    Hello,
    MessageReader,
    OriginHealth,
    Refused,
    Renewed,
    RenewRefused,
    RenewRequest,
    RouteOffer,
    RoutesChanged,
    encode_message,
)
from warp_twisted.wire.errors import BadControlMessage, ControlMessageTooLarge, MessageTooLarge
from warp_twisted.wire.frames import GoAwayCode

ROUTE = RouteOffer(id=2**32 - 1, hostname="app.example.org", path="^/", service="http://localhost:4000")
MESSAGES: list[ControlMessage] = [
    Hello(
        version=1,
        software="warp/1",
        agent_id="a1",
        session="s",
        slot=3,
        labels={"release": "stable"},
        routes=[ROUTE],
        time=1.8e9 + 0.125,
    ),
    Accepted(edge="edge1", tunnel_id="t1", hostnames={7: "app.example.org"}, urls={7: "https://app.example.org"}),
    Refused(code="not_allowed", reason="no", retry=False),
    RoutesChanged(routes=[ROUTE]),
    OriginHealth(route_id=7, healthy=False, detail="refused"),
    OriginHealth(route_id=7, healthy=False, detail="answers 500", probed=True),
    Drain(reason="stopping", deadline_seconds=12.5),
    RenewRequest(csr_pem="CSR"),
    RenewRequest(csr_pem="CSR", time=-1.0),
    Renewed(chain_pem="CHAIN"),
    RenewRefused(code="revoked", reason="no"),
    Authority(root_pem="ROOT"),
    EnrollRequest(token_id="t", secret="hunter2", csr_pem="CSR"),
    Enrolled(agent_id="a1", chain_pem="CHAIN", root_pem="ROOT", hostnames=["*.example.org"]),
    EnrollRefused(code="expired", reason="too late"),
]


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


class MessageTests(SynchronousTestCase):
    """`encode_message` and `MessageReader`."""

    def test_every_message(self) -> None:
        """Each message comes out as it went in, whole, byte by byte and with others around it."""
        data = b"".join(map(encode_message, MESSAGES))
        for chunk in (len(data), 1, 7, 1000):
            reader = MessageReader()
            read: list[ControlMessage] = []
            for at in range(0, len(data), chunk):
                read += reader.receive_data(data[at : at + chunk])
            self.assertEqual(read, MESSAGES)
            self.assertTrue(reader.is_between_messages)

    def test_trailing_bytes_wait(self) -> None:
        """The beginning of a message is kept for the rest of it."""
        reader = MessageReader()
        data = encode_message(MESSAGES[0])
        self.assertEqual(list(reader.receive_data(data + data[:9])), [MESSAGES[0]])
        self.assertFalse(reader.is_between_messages)
        self.assertEqual(list(reader.receive_data(data[9:])), [MESSAGES[0]])

    def test_refused(self) -> None:
        """What is no message, or breaks its schema, is refused as the peer's fault."""
        for body in (
            b"",
            b"{}",
            b"[]",
            b"nonsense",
            b"\xff\xff",
            b'{"type":"unknown"}',
            b'{"type":"renewed"}',
            b'{"type":"renewed","chain_pem":7}',
            b'{"type":"origin_health","route_id":-1,"healthy":true}',
            b'{"type":"drain","deadline_seconds":-1}',
            b'{"type":"accepted","edge":"e","tunnel_id":"t","ping_seconds":0.001,"silence_seconds":30}',
            b'{"type":"accepted","edge":"e","tunnel_id":"t","ping_seconds":20,"silence_seconds":20}',
            b'{"type":"authority","root_pem":"","time":1e12}',
            b'{"type":"renewed","chain_pem":"' + b"x" * 70_000 + b'"}',
            b"[" * 100_000,
        ):
            error = self.assertRaises(BadControlMessage, list, MessageReader().receive_data(framed(body)))
            self.assertEqual(error.go_away_code, GoAwayCode.CONTROL_ERROR)

    def test_fields_of_a_later_release(self) -> None:
        """A field that is not known here is passed over, also within a route."""
        route = b'{"id":1,"hostname":"a.example","weight":{"of":[3]}}'
        body = b'{"type":"routes_changed","more":null,"routes":[' + route + b"]}"
        expected = RoutesChanged(routes=[RouteOffer(id=1, hostname="a.example")])
        self.assertEqual(list(MessageReader().receive_data(framed(body))), [expected])

    def test_too_many_routes(self) -> None:
        """An offer of more routes than the limit is refused."""
        routes = msgspec.json.encode([ROUTE] * 5000)
        body = b'{"type":"routes_changed","routes":' + routes + b"}"
        self.assertRaises(BadControlMessage, list, MessageReader().receive_data(framed(body)))

    def test_too_large(self) -> None:
        """A length above the limit is refused before anything of the message is kept."""
        reader = MessageReader(1000)
        error = self.assertRaises(ControlMessageTooLarge, list, reader.receive_data((1001).to_bytes(4, "big")))
        self.assertEqual(error.go_away_code, GoAwayCode.CONTROL_ERROR)

    def test_too_large_to_send(self) -> None:
        """A message of ours above the limit is not sent."""
        routes = [RouteOffer(id=n, hostname="x" * 255) for n in range(MAX_MESSAGE_BYTES // 255)]
        self.assertRaises(MessageTooLarge, encode_message, RoutesChanged(routes=routes))

    def test_secret_is_masked(self) -> None:
        """A join token's secret is in no repr, not even rich's."""
        request = EnrollRequest(token_id="t", secret="hunter2", csr_pem="CSR")
        self.assertNotIn("hunter2", repr(request))
        self.assertNotIn("hunter2", str(request.__rich_repr__()))

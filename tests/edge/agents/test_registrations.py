"""Tests of the table of registered tunnels: what there is room for, and what replaces what."""

from collections.abc import Sequence
from typing import cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.agents.case import ControlTestCase
from warp_twisted.edge.agents.offers import Offer
from warp_twisted.edge.agents.registrations import EdgeTunnel, Registrations
from warp_twisted.edge.errors import OfferRefused
from warp_twisted.edge.settings import Limits
from warp_twisted.registry.store import Expect, Operation
from warp_twisted.tunnel import TunnelProtocol
from warp_twisted.wire.control import Accepted, Hello, RouteOffer


class OpenStreams:
    """The one thing that the table asks of a tunnel's protocol."""

    stream_count = 3


def make_tunnel(number: int, agent: str = "a-1", slot: int = 0, session: str = "s") -> EdgeTunnel:
    """Return a tunnel that serves one hostname."""
    return EdgeTunnel(
        id=f"t-{number}",
        agent=agent,
        slot=slot,
        session=session,
        software="test",
        address="192.0.2.2",
        protocol=cast(TunnelProtocol, OpenStreams()),
        offer=Offer((RouteOffer(id=0, hostname="app.warp.example"),), {"release": "stable"}),
        registered_at=1.0,
        ends_at=2.0,
    )


class RegistrationsTests(SynchronousTestCase):
    """The table by itself."""

    def setUp(self) -> None:
        """Begin with an empty table."""
        self.table = Registrations()

    def test_wrong_clocks(self) -> None:
        """Tunnels of agents with a wrong clock are counted, until it is right or they are gone."""
        tunnels = [make_tunnel(number, slot=number) for number in range(3)]
        for tunnel, seconds in zip(tunnels, (-7200.0, 7200.0, None), strict=True):
            self.table.add(tunnel)
            self.table.note_clock(tunnel, seconds)
        self.assertEqual((self.table.wrong_clocks, tunnels[0].clock_difference), (2, -7200.0))
        self.table.note_clock(tunnels[0], 0.5)
        self.assertEqual(self.table.wrong_clocks, 1)
        self.table.remove(tunnels[1])
        self.assertEqual(self.table.wrong_clocks, 0)

    def test_slots_of_one_run(self) -> None:
        """Tunnels in different slots stay side by side; the newest in a slot replaces the other."""
        first, second, third = make_tunnel(1), make_tunnel(2, slot=1), make_tunnel(3)
        self.assertEqual([self.table.add(each) for each in (first, second, third)], [[], [], [first]])
        self.assertEqual(self.table.of_agent("a-1"), [third, second])
        self.assertEqual((self.table.counts.registered, self.table.counts.replaced), (3, 1))

    def test_later_run(self) -> None:
        """The first tunnel of a later run replaces every tunnel of the earlier one, whatever its slot."""
        old = [make_tunnel(number, slot=number) for number in range(3)]
        for each in old:
            self.table.add(each)
        self.assertEqual(self.table.replaced_by("a-1", 0, "later"), old)
        self.assertEqual(self.table.replaced_by("a-1", 0, "s"), old[:1])
        self.assertEqual(self.table.add(make_tunnel(9, session="later")), old)

    def test_replaced_tunnel_that_goes(self) -> None:
        """The end of a replaced tunnel leaves its successor in the slot, and the last end forgets the agent."""
        first, second = make_tunnel(1), make_tunnel(2)
        self.table.add(first)
        self.table.add(second)
        self.table.remove(first)
        self.assertEqual((self.table.of_agent("a-1"), list(self.table.by_id)), ([second], ["t-2"]))
        self.table.remove(second)
        self.assertEqual((self.table.of_agent("a-1"), self.table.by_id, self.table.counts.lost), ([], {}, 2))

    def test_room(self) -> None:
        """Limits hold for one agent and for all; what would be replaced does not count."""
        limits = Limits(tunnels=2, tunnels_per_agent=1)
        self.table.add(make_tunnel(1))
        self.table.check_room("a-1", 0, "s", limits)
        self.table.check_room("a-2", 0, "s", limits)
        error = self.assertRaises(OfferRefused, self.table.check_room, "a-1", 1, "s", limits)
        self.assertEqual((error.code, error.retry), ("overloaded", True))
        self.table.add(make_tunnel(2, agent="a-2"))
        self.assertRaises(OfferRefused, self.table.check_room, "a-3", 0, "s", limits)

    def test_value(self) -> None:
        """The registry hears of a tunnel's edge, agent, slot, hostnames and labels."""
        value = make_tunnel(1).value("edge1")
        self.assertEqual((value.key, value.agent, value.slot), ("warp/tunnels/edge1/t-1", "a-1", 0))
        self.assertEqual((value.hostnames, value.labels), (("app.warp.example",), {"release": "stable"}))

    def test_agents_that_serve(self) -> None:
        """The agents of a hostname are those with a tunnel that serves it now, and takes new streams."""
        first, second = make_tunnel(1), make_tunnel(2, agent="a-2")
        for tunnel in (first, second):
            self.table.add(tunnel)
        self.assertEqual(self.table.agents_serving("app.warp.example"), {"a-1", "a-2"})
        self.assertEqual(self.table.others_of(first), {"app.warp.example": 1})
        self.assertEqual(self.table.say_hostnames(first), "app.warp.example (shared with a-2)")
        self.table.change_offer(second, Offer((RouteOffer(id=0, hostname="*.warp.example"),), {}))
        first.is_draining = True
        found = [self.table.agents_serving(name) for name in ("app.warp.example", "*.warp.example", "x.warp.example")]
        self.assertEqual(found, [set(), {"a-2"}, set()])
        self.assertEqual((self.table.others_of(second), self.table.say_hostnames(second)), ({}, "*.warp.example"))
        for tunnel in (first, second):
            self.table.remove(tunnel)
        self.assertEqual(self.table.agents_serving("*.warp.example"), set())

    def test_streams(self) -> None:
        """Streams are counted over all tunnels."""
        self.table.add(make_tunnel(1))
        self.table.add(make_tunnel(2, slot=1))
        self.assertEqual(self.table.stream_count, 6)


class LimitTests(ControlTestCase):
    """The limits, as an agent meets them."""

    sections = {"limits": {"tunnels": 3, "tunnels_per_agent": 2, "routes_per_tunnel": 2}}

    def test_too_many_tunnels_of_an_agent(self) -> None:
        """A third tunnel of one agent is refused, to be tried again; a replacement is not."""
        for slot in range(2):
            self.control.connect().hello("app.warp.example", slot=slot)
        answer = self.refused("app.warp.example", slot=2)
        self.assertEqual((answer.code, answer.retry), ("overloaded", True))
        again = self.control.connect()
        again.hello("app.warp.example", slot=1)
        self.control.bury(again)
        again.answer(Accepted)

    def test_too_many_tunnels_at_once(self) -> None:
        """Tunnels that wait for the same answer of the registry do not get past the limit together."""
        ends = [self.control.connect() for _ in range(4)]
        for slot, end in enumerate(ends):  # all hellos are under way before the first is answered
            routes = [RouteOffer(id=0, hostname="")]
            end.pair.agent.send_control(
                Hello(version=1, software="", agent_id="a-1", session="s", slot=slot, routes=routes)
            )
        waiting: list[Deferred[bool]] = []
        transact = self.control.store.transact

        async def slowly(expectations: Sequence[Expect], operations: Sequence[Operation]) -> bool:
            if expectations:  # a name is given; what is claimed expects nothing
                waiting.append(Deferred())
                await waiting[-1]
            return await transact(expectations, operations)

        self.patch(self.control.store, "transact", slowly)
        for end in ends:
            end.pair.pump()
        while waiting:
            waiting.pop(0).callback(True)
        for end in ends:
            end.pair.pump()
        self.assertEqual(len(self.control.tunnels.registrations.by_id), 2)

    async def test_too_many_tunnels(self) -> None:
        """A tunnel over the edge's limit is refused, to be tried again; a replacement is not."""
        await self.control.enrolled("a-9")
        for number in range(3):
            await self.control.enrolled(f"a-{number}")
            self.control.connect(f"a-{number}").hello("app.warp.example")
        self.assertEqual(self.refused("app.warp.example", agent="a-9").code, "overloaded")
        again = self.control.connect("a-1")
        again.hello("app.warp.example", session="later")
        self.control.bury(again)
        again.answer(Accepted)

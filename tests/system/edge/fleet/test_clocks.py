"""An edge of two whose clock is an hour off: what visitors, agents and the other edge notice."""

import time

from tests.case import reactor, until_said
from tests.system.clocks.faketime import HOUR, WrongClock
from tests.system.edge.fleet.processes import STARTED_SECONDS, Edge, FleetCase
from tests.system.edge.live import ZONE


class ClockTests(FleetCase):
    """The clock of the first edge, which dials the other one."""

    def made(self) -> None:
        """Give it a clock of its own."""
        self.clock = WrongClock(self.directory / "clock")
        self.edge1.environment = self.clock.environment

    async def shows(self, ahead: float) -> None:
        """See that the first edge's clock is as wrong as it should be."""
        status, token = await self.edge1.call("POST", "/v1/tokens", {"hostnames": [f"*.{ZONE}"], "ttl_seconds": 60})
        self.assertEqual(status, 200, token)
        self.assertLess(abs(token["expires_at"] - time.time() - 60 - ahead), 30)

    async def joins(self, name: str, issuer: Edge, edge: Edge) -> float:
        """Let an agent join at an edge with a token of another; return after how many seconds both know its tunnels."""
        began_at = reactor.seconds()
        await self.agent(name, self.origin_port, [f"{edge.address}:{edge.tunnel_port}"], issuer)
        for each in self.edges():

            async def is_known(each: Edge = each) -> bool:
                status = await each.get("/v1/status")
                return any(f"{name}.{ZONE}" in tunnel["hostnames"] for tunnel in status["tunnels"])

            await until_said(is_known, STARTED_SECONDS)
        return reactor.seconds() - began_at

    async def test_while_running(self) -> None:
        """Set by an hour, either way, nothing fails, the link stays, and agents join at either edge."""
        began_at = reactor.seconds()
        await self.all_served(began_at, "edge1", "edge2")
        losses = [(await edge.peer())["losses"] for edge in self.edges()]
        for step, ahead in enumerate((HOUR, -HOUR, 0.0)):
            self.clock.set(ahead)
            await self.shows(ahead)
            await self.all_served(reactor.seconds(), "edge1", "edge2")
            for issuer, edge in ((self.edge1, self.edge2), (self.edge2, self.edge1)):
                seconds = await self.joins(f"{edge.name}-{step}", issuer, edge)
                print(f"\n{ahead:+.0f} s, token of {issuer.name}, joins at {edge.name}: after {seconds:.1f} s")
        self.assertEqual(self.visitors.failures(began_at), [])
        self.assertEqual([(await edge.peer())["losses"] for edge in self.edges()], losses)

    async def test_at_the_start(self) -> None:
        """An edge that starts with a clock that is off by an hour links, serves, and is out of nobody's way."""
        began_at = reactor.seconds()
        for ahead in (HOUR, -HOUR):
            self.edge1.program.signal("TERM")
            await self.edge1.program.exited
            self.clock.set(ahead)
            started_at = reactor.seconds()
            self.edge1.start()
            await self.edge1.serves()
            serves_at = reactor.seconds()
            await self.shows(ahead)
            await self.edge1.believes(True, 4)
            await self.all_served(reactor.seconds(), "edge1", "edge2")
            print(
                f"\n{ahead:+.0f} s at its start: serves after {serves_at - started_at:.1f} s, all"
                f" {reactor.seconds() - serves_at:.1f} s later"
            )
            settled_at = reactor.seconds()
            await self.all_served(settled_at, "edge1", "edge2")
            self.assertEqual(self.visitors.failures(settled_at), [])
        self.assertEqual(self.visitors.failures(began_at, "edge2"), [])

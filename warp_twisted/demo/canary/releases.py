"""
Two releases of one application, an agent beside each, and visitors: what `warp demo --canary` runs and is asked.

It looks at the edge and shifts through the doors that operators have.
"""

from warp_base.reactor import Reactor
from warp_twisted.cli.errors import DemoFailed
from warp_twisted.cli.operate.answers import PolicyApplied, ShiftMade, SplitHostname, read
from warp_twisted.demo.canary.application import ReleaseApplication
from warp_twisted.demo.canary.visitors import Visitors
from warp_twisted.demo.fleet import ZONE, DemoFleet

HOSTNAME = f"app.{ZONE}"
STABLE, CANARY = "release=stable", "release=canary"
FIRST_PERCENT = 10
# Without p99: in a demo that shares a machine with everything else it would judge that machine.
POLICY = f"""routing:
  - hostname: {HOSTNAME}
    split:
      - {{selector: {STABLE}, weight: {100 - FIRST_PERCENT}}}
      - {{selector: {CANARY}, weight: {FIRST_PERCENT}}}
    sticky: {{cookie: warp_route, ttl: 1h}}
    guard: {{selector: {CANARY}, error_ratio: 2%, over: 10s, minimum: 20, on_worse: back}}
"""


class Releases:
    """
    The fleet, the two releases in it, and who visits them.

    :param rate: of visitors' requests, a second.
    """

    def __init__(self, reactor: Reactor, rate: float) -> None:
        self.fleet = DemoFleet(reactor)
        self.visitors = Visitors(reactor, rate)
        self._canary = ReleaseApplication(reactor, "canary")
        self._agents = [
            self.fleet.add_agent(f"agent-{release}", application, HOSTNAME, {"release": release})
            for release, application in (("stable", ReleaseApplication(reactor, "stable")), ("canary", self._canary))
        ]

    @property
    def url(self) -> str:
        """Where the application is."""
        return f"http://{HOSTNAME}:{self.fleet.ports.http}/"

    async def start_releases(self) -> None:
        """Start both, and wait until all tunnels of both agents are up."""
        for agent in self._agents:
            await agent.application.start()
            await agent.enroll()
            await agent.connect()

    async def apply_policy(self) -> None:
        """Put the policy in force that splits the requests."""
        made = read(await self.fleet.admin.apply_policy(POLICY), PolicyApplied)
        if not made.in_force:
            raise DemoFailed(f"the policy is not in force: {made.error}")

    async def start_visitors(self) -> None:
        """Have visitors come."""
        self.visitors.start(self.url)

    async def split(self) -> SplitHostname:
        """Look how the requests are split."""
        found = read(await self.fleet.admin.splits(), list[SplitHostname])
        for split in found:
            if split.hostname == HOSTNAME:
                return split
        raise DemoFailed(f"no policy splits {HOSTNAME} any more")

    async def shift(self, percent: float, over_seconds: float) -> ShiftMade:
        """Give the canary another part."""
        return read(await self.fleet.admin.shift(HOSTNAME, CANARY, percent, over_seconds), ShiftMade)

    def worsen(self) -> None:
        """Have the canary fail now and then from now on."""
        self._canary.is_worse = True

    async def stop(self) -> None:
        """Stop everything, and remove every file."""
        await self.visitors.stop()
        await self.fleet.stop()

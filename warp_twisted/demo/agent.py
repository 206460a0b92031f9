"""
An agent of the demo, and the application beside it: enrolled with a join token of its own, and connected.

The fleet says where state is kept and which edge to ask; see `demo.fleet`.
"""

from collections.abc import Mapping
from pathlib import Path

from twisted.internet.defer import Deferred

from warp_base.reactor import Reactor
from warp_twisted.agent.events import Event, Published, Refused, TunnelUp
from warp_twisted.agent.identity.enrollment import enroll_agent
from warp_twisted.agent.identity.state import Identity, StateDirectory
from warp_twisted.agent.origins import OriginRequest
from warp_twisted.agent.origins.ingress import compile_ingress
from warp_twisted.agent.service import AgentService
from warp_twisted.agent.settings import AgentSettings
from warp_twisted.ca.tokens import parse_token
from warp_twisted.cli.errors import DemoFailed
from warp_twisted.cli.operate.answers import NewToken, read
from warp_twisted.demo.admin import DemoAdmin
from warp_twisted.demo.loopback_site import LoopbackSite
from warp_twisted.demo.ports import ADDRESS

TUNNELS = 4
DRAIN_SECONDS = 2.0
TOKEN_SECONDS = 600.0


class DemoAgent:
    """
    One agent that serves one hostname.

    :param admin: asks the edge for a join token.
    :param directory: for its state.
    :param share: the word that lets other agents serve the hostname, too.
    :ivar application: what it exposes.
    :ivar service: None while it does not run.
    """

    def __init__(
        self,
        reactor: Reactor,
        admin: DemoAdmin,
        directory: Path,
        application: LoopbackSite,
        *,
        hostname: str,
        labels: Mapping[str, str],
        share: str,
    ) -> None:
        self._reactor = reactor
        self._admin = admin
        self._directory = directory
        self._hostname = hostname
        self._labels = dict(labels)
        self._share = share
        self.application = application
        self.service: AgentService | None = None
        self._enrolled: tuple[StateDirectory, Identity] | None = None
        self._connected: Deferred[None] = Deferred()

    async def enroll(self) -> None:
        """Make a join token, and exchange it for an identity."""
        wish = {
            "hostnames": [self._hostname],
            "labels": self._labels,
            "ttl_seconds": TOKEN_SECONDS,
            "share": self._share,
        }
        made = read(await self._admin.create_token(wish), NewToken)
        state = StateDirectory(self._directory)
        try:
            self._enrolled = state, await enroll_agent(self._reactor, state, parse_token(made.token))
        except BaseException:
            state.close()
            raise

    async def connect(self) -> None:
        """Start, and wait until every tunnel is up and the hostname is served."""
        if self._enrolled is None:
            raise DemoFailed("the agent was not enrolled")
        state, identity = self._enrolled
        origin = f"http://{ADDRESS}:{self.application.port}"
        ingress = compile_ingress(
            [(self._hostname, "", origin, OriginRequest()), ("", "", "http_status:404", OriginRequest())]
        )
        settings = AgentSettings(ingress=ingress, tunnels=TUNNELS, drain_seconds=DRAIN_SECONDS)
        self.service = AgentService(self._reactor, settings, state, identity, observe=self._observe)
        self.service.startService()
        await self._connected

    async def drain(self) -> None:
        """Stop the way SIGTERM stops one."""
        if self.service is not None:
            service, self.service = self.service, None
            await service.stopService()
            self._enrolled = None

    def close(self) -> None:
        """Let go of the state of an agent that was enrolled and never connected."""
        if self._enrolled is not None:
            self._enrolled[0].close()
            self._enrolled = None

    def _observe(self, event: Event) -> None:
        if isinstance(event, Refused) and not self._connected.called:
            self._connected.errback(DemoFailed(f"the edge refuses the agent: {event.reason}"))
        is_complete = self.service is not None and self.service.tunnels_up >= TUNNELS and self.service.urls
        if isinstance(event, TunnelUp | Published) and is_complete and not self._connected.called:
            self._connected.callback(None)

"""
An edge's admin interface, asked from inside the reactor that runs the edge; `cli.operate.admin` is the blocking one.

The demo makes its token and looks at its edge the way operators do, so it needs no other door into the edge.
"""

import json
from collections.abc import Iterator

import treq
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IReactorUNIX, IStreamClientEndpoint
from twisted.web.client import URI, Agent, HTTPConnectionPool, ResponseFailed
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from warp_twisted.cli.errors import EdgeRefused, EdgeUnreachable, sentence

TIMEOUT_SECONDS = 10.0


@implementer(IAgentEndpointFactory)
class _Socket:
    """Leads every URI to one unix socket."""

    def __init__(self, reactor: IReactorUNIX, path: str) -> None:
        self._reactor = reactor
        self._path = path

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return UNIXClientEndpoint(self._reactor, self._path)


class DemoAdmin:
    """
    One edge's admin interface.

    :param path: of its socket.
    """

    def __init__(self, reactor: IReactorUNIX, path: str) -> None:
        pool = HTTPConnectionPool(reactor, persistent=False)
        self._http = HTTPClient(Agent.usingEndpointFactory(reactor, _Socket(reactor, path), pool))

    async def create_token(self, wish: dict[str, object]) -> object:
        """Make a join token."""
        return json.loads(await self._ask("POST", "/v1/tokens", wish))

    async def status(self) -> object:
        """Describe edges, tunnels, routes and agents."""
        return json.loads(await self._ask("GET", "/v1/status"))

    async def metrics(self) -> Iterator[Metric]:
        """Read every metric."""
        return iter(text_string_to_metric_families(await self._ask("GET", "/metrics")))

    async def apply_policy(self, text: str) -> object:
        """Put a policy in force."""
        return json.loads(await self._ask("POST", "/v1/policy", text))

    async def splits(self) -> object:
        """Describe how hostnames are split."""
        return json.loads(await self._ask("GET", "/v1/splits"))

    async def shift(self, hostname: str, selector: str, percent: float, over_seconds: float) -> object:
        """Give a share of a split another part."""
        wish = {"hostname": hostname, "selector": selector, "percent": percent, "over_seconds": over_seconds}
        return json.loads(await self._ask("POST", "/v1/shifts", wish))

    async def _ask(self, method: str, path: str, body: dict[str, object] | str | None = None) -> str:
        """
        Make one call and return the text of the answer.

        :raises EdgeUnreachable: if there is none in time, as when the edge stops.
        :raises EdgeRefused: if it is not what was asked for.
        """
        try:
            text = json.dumps(body) if isinstance(body, dict) else body
            data = None if text is None else text.encode()
            response = await self._http.request(method, f"http://edge{path}", data=data, timeout=TIMEOUT_SECONDS)
            text = await treq.text_content(response)
        except (ResponseFailed, ConnectError, CancelledError) as error:
            raise EdgeUnreachable(f"the edge does not answer: {sentence(error)}") from error
        if response.code != 200:
            raise EdgeRefused(text)
        return text

"""
An origin that cannot be reached yet, as the file of its certificate authorities cannot be read when the agent starts.

The other origins are served; visitors of this one get 502 with the reason. The file is read again when the origin is
probed, which it is as long as it does not answer, so it comes back by itself. The reading is done in a thread.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.threads import deferToThreadPool
from zope.interface import implementer

from warp_base.reactor import Reactor
from warp_twisted.agent.origins.tls import OriginNotVerified
from warp_twisted.errors import InvalidSettings

RETRY_SECONDS = 4.0  # less than a probe's interval, and no more often, however many visitors there are


@implementer(IStreamClientEndpoint)
class LeftOut:
    """
    Connects once the origin's file can be read.

    :param read: reads the file, and returns the endpoint; raises `InvalidSettings`.
    :param reason: why it could not be read.
    """

    def __init__(self, reactor: Reactor, read: Callable[[], IStreamClientEndpoint], reason: str) -> None:
        self._reactor = reactor
        self._read = read
        self._reason = reason
        self._retry_at = reactor.seconds() + RETRY_SECONDS
        self._endpoint: IStreamClientEndpoint | None = None

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect, or fail with `OriginNotVerified`."""
        return Deferred.fromCoroutine(self._connect(factory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        if self._endpoint is None:
            await self._try_again()
        if self._endpoint is None:
            raise OriginNotVerified(self._reason)
        connecting: Deferred[IProtocol] = self._endpoint.connect(factory)
        return await connecting

    async def _try_again(self) -> None:
        if self._reactor.seconds() < self._retry_at:
            return
        self._retry_at = self._reactor.seconds() + RETRY_SECONDS
        try:
            self._endpoint = await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self._read)
        except InvalidSettings as error:
            self._reason = str(error)

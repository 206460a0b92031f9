"""
Coming back after the certificate has ended: the next one, for the same key, from any edge that the agent would dial.

All links of an agent wait for one attempt, which is made at the edge of the first that asks. What the edge answers
decides whether the agent goes on trying; how long it waits in between is the links'.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_base.wall_clock import WallClock
from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.endpoints import tcp_endpoint
from warp_twisted.agent.errors import AgentRefused, NotAdmitted
from warp_twisted.agent.identity.credentials import Credentials
from warp_twisted.agent.identity.edge_time import EdgeTime
from warp_twisted.agent.identity.enrollment import SOFTWARE
from warp_twisted.agent.links.edge_dialer import CONNECT_SECONDS
from warp_twisted.agent.links.link import REVOKED
from warp_twisted.names import one_line
from warp_twisted.tunnel import enroll
from warp_twisted.tunnel.errors import EnrollmentFailed, TunnelError
from warp_twisted.wire.control import MAX_REASON_CHARACTERS, Authority, EnrollRefused, ReturnRequest


class _NoNeed(TunnelError):
    """By the edge's clock the certificate is valid."""


class Returning:
    """
    The way back of one agent.

    :param wall: what it shows is told to the edge.
    :param edge_time: hears what the edge's clock shows.
    :param returned: called after each return, when the new certificate is in use.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        wall: WallClock,
        credentials: Credentials,
        edge_time: EdgeTime,
        returned: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._wall = wall
        self._credentials = credentials
        self._edge_time = edge_time
        self._returned = returned
        self._attempt: Deferred[bool] | None = None
        self._waiting: list[Deferred[None]] = []

    def come_back(self, edge: EdgeAddress) -> Deferred[None]:
        """
        Get a new certificate, unless that is under way already; then wait for it.

        An edge by whose clock ours is valid is asked for nothing: this machine's clock is wrong, not the certificate.

        :param edge: where to ask.
        :returns: fails with `AgentRefused` if the agent was revoked, with `NotAdmitted` if it may not return as things
            are, with what dialing fails with, and with `BadCertificate`, `StateBroken` or `InvalidSettings` if the new
            certificate cannot be used.
        """
        waiting: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        if self._attempt is None:
            self._attempt = Deferred.fromCoroutine(self._come_back(edge))
            self._attempt.addCallbacks(self._succeeded, self._failed)
        return waiting

    def stop(self) -> None:
        """Give up the attempt that is under way."""
        if self._attempt is not None:
            self._attempt.cancel()

    async def _come_back(self, edge: EdgeAddress) -> bool:
        """Return whether there is a new certificate; there is none if the one that we have is good."""
        try:
            answer = await enroll(
                tcp_endpoint(self._reactor, edge.host, edge.port, CONNECT_SECONDS),
                edge.host,
                self._request,
                root_pem=self._credentials.identity.root_pem,
                reactor=self._reactor,
            )
        except _NoNeed:
            return False
        if isinstance(answer, EnrollRefused):
            reason = f"{one_line(answer.reason, MAX_REASON_CHARACTERS)} ({answer.code})"
            raise AgentRefused(reason) if answer.code == REVOKED else NotAdmitted(reason)
        await self._credentials.renew(answer.chain_pem)
        self._log.info("edge {edge} lets this agent return, whose certificate had ended", edge=str(edge))
        return True

    def _request(self, authority: Authority) -> ReturnRequest:
        self._edge_time.heard(authority.time)
        if self._credentials.is_valid_at(self._edge_time.now()):
            raise _NoNeed
        if not authority.nonce:
            raise EnrollmentFailed("the edge is of a release that lets no agent return; upgrade it, or enroll again")
        chain_pem = self._credentials.identity.chain_pem
        return ReturnRequest(
            chain_pem=chain_pem,
            signature=self._credentials.sign_return(authority.nonce),
            software=SOFTWARE,
            time=self._wall.now(),
        )

    def _succeeded(self, has_new: bool) -> None:
        self._attempt = None
        waiting, self._waiting = self._waiting, []
        if has_new:
            self._returned()
        for deferred in waiting:
            deferred.callback(None)

    def _failed(self, failure: Failure) -> None:
        self._attempt = None
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.errback(failure)

"""
Enrolling: a join token becomes an identity in the state directory.

The key is made here and never leaves. An edge's root certificate is believed only if it has the fingerprint that the
token names, and the token's secret is sent only to an edge that this root vouches for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_base.wall_clock import WallClock
from warp_twisted import __version__
from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.endpoints import tcp_endpoint
from warp_twisted.agent.errors import EnrollmentRefused, NoEdge
from warp_twisted.agent.identity.clock_suspicion import suspicion_at
from warp_twisted.agent.identity.state import Identity, StateDirectory, identity_of
from warp_twisted.agent.links.edge_dialer import CONNECT_SECONDS
from warp_twisted.agent.links.edges import read_addresses
from warp_twisted.ca.errors import KeyRevoked
from warp_twisted.ca.issue import new_request
from warp_twisted.ca.tokens import JoinTokenText
from warp_twisted.names import one_line
from warp_twisted.tunnel import enroll, fetch_root
from warp_twisted.tunnel.errors import PeerNotTrusted, PeerNotValidNow, TunnelError
from warp_twisted.wire.control import MAX_ASKED, MAX_REASON_CHARACTERS, EnrollRefused, EnrollRequest

SOFTWARE = f"warp-twisted/{__version__}"

_log = Logger()


async def enroll_agent(
    reactor: IReactorTime,
    state: StateDirectory,
    token: JoinTokenText,
    labels: Mapping[str, str] | None = None,
    hostnames: Iterable[str] = (),
    *,
    wall: WallClock = MACHINE_WALL_CLOCK,
) -> Identity:
    """
    Exchange a join token for an identity, at the first of its edges that answers.

    :param labels: what the agent calls itself by; those of the token win.
    :param hostnames: what it is going to offer, "" for a name of the edge's choice; a token that does not permit all of
        the first hundred is refused without being used up.
    :param wall: what it shows is told to the edge.
    :returns: the identity, already stored.
    :raises EnrollmentRefused: if the fleet does not take the token, or the edge is not the token's.
    :raises NoEdge: if none of the token's edges answers.
    :raises StateBroken: if the identity cannot be stored.
    """
    key = state.enrollment_key()
    offered = list(hostnames)
    request = EnrollRequest(
        token_id=token.id,
        secret=token.secret,
        csr_pem=new_request(key),
        software=SOFTWARE,
        labels=dict(labels or {}),
        hostnames=list(dict.fromkeys(offered))[:MAX_ASKED],
        routes=len(offered),
        time=wall.now(),
    )
    reasons = []
    refusal: EnrollmentRefused | None = None
    for edge in read_addresses(token.edges):
        endpoint = tcp_endpoint(reactor, edge.host, edge.port, CONNECT_SECONDS)
        try:
            root_pem = await fetch_root(endpoint, token.fingerprint.hex(), reactor=reactor)
            answer = await enroll(endpoint, edge.host, lambda _: request, root_pem=root_pem, reactor=reactor)
        except PeerNotValidNow as error:
            why = await _suspicion(reactor, edge, wall) or str(error)
            _log.warn("edge {edge} did not answer the enrollment: {error}", edge=str(edge), error=why)
            reasons.append(f"{edge}: {why}")
            continue
        except PeerNotTrusted as error:
            refusal = EnrollmentRefused(f"{edge} is not of the fleet that the join token is for: {error}")
            continue
        except (TunnelError, ConnectError) as error:
            _log.warn("edge {edge} did not answer the enrollment: {error}", edge=str(edge), error=str(error))
            reasons.append(f"{edge}: {error}")
            continue
        if isinstance(answer, EnrollRefused):
            retry_seconds = answer.retry_seconds
            if answer.code == KeyRevoked.code:
                state.discard_enrollment_key()
                retry_seconds = 1.0
            reason = one_line(answer.reason, MAX_REASON_CHARACTERS)
            raise EnrollmentRefused(f"{reason} ({answer.code})", answer.code, retry_seconds)
        identity = identity_of(answer.chain_pem, root_pem, token.edges, key.public_key())
        identity = replace(identity, token_id=token.id)
        state.store(key, identity)
        return identity
    if refusal is not None:
        raise refusal
    raise NoEdge("no edge of the join token answers: " + "; ".join(reasons))


async def _suspicion(reactor: IReactorTime, edge: EdgeAddress, wall: WallClock) -> str:
    """Say what is suspected of this machine's clock, if anything, when an edge's certificate is not valid now."""
    try:
        return await suspicion_at(reactor, edge, wall)
    except (TunnelError, ConnectError):
        return ""

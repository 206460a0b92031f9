"""
Which agents may have a tunnel here, and under which names.

It puts together what the certificate says, what the registry knows of the agent, and what the zone keeps for itself.
"""

from collections.abc import Callable, Sequence

from warp_twisted.ca.errors import BadCertificate
from warp_twisted.ca.issue import AgentIdentity, agent_identity
from warp_twisted.edge.agents.offers import Offer, check_count, check_size, leave_out, merge_labels, name_routes
from warp_twisted.edge.errors import OfferRefused
from warp_twisted.edge.settings import Limits
from warp_twisted.errors import NotAllowed, WarpError
from warp_twisted.names import Hostname, one_line
from warp_twisted.registry.given_names import NameGiver
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Revocation
from warp_twisted.tunnel import TunnelProtocol
from warp_twisted.wire.control import MAX_REASON_CHARACTERS, Hello, RouteOffer

WAY_OUT = "a new join token lets this machine in again (warp token create)"


class Admission:
    """
    The judgement over agents.

    An agent that the registry has no record of is served for as long as its certificate lasts, but not renewed:
    what its certificate allows was decided when it was issued, and only a revocation takes that back.

    :param identify: reads who the agent is from its verified certificate.
    :param is_reserved: whether a hostname belongs to the zone itself.
    """

    def __init__(
        self,
        mirror: Mirror,
        names: NameGiver,
        identify: Callable[[TunnelProtocol], AgentIdentity],
        is_reserved: Callable[[str], bool],
    ) -> None:
        self._mirror = mirror
        self._names = names
        self._identify = identify
        self._is_reserved = is_reserved

    def identify(self, protocol: TunnelProtocol) -> AgentIdentity:
        """
        Say who an agent is.

        :raises OfferRefused: if its certificate is no agent's, or it was revoked.
        """
        try:
            identity = self._identify(protocol)
        except WarpError as error:
            raise OfferRefused("not_allowed", str(error)) from error
        if identity.id in self._mirror.revocations:
            revocation = self._mirror.revocations[identity.id]
            raise OfferRefused("revoked", f"{revocation_sentence(revocation)}; {WAY_OUT}")
        return identity

    async def judge(self, hello: Hello, identity: AgentIdentity) -> Offer:
        """
        Say what an agent may serve on a new tunnel; hostnames that it may not are left out if others stay.

        :raises OfferRefused: naming what is not allowed.
        """
        agent = self._mirror.agents.get(identity.id)
        if hello.policy and agent is not None and not agent.policy:
            raise OfferRefused(
                "not_allowed",
                "the join token of this agent does not permit a policy of its own (warp token create --no-policy):"
                " leave it out, or enroll with another token",
            )
        labels = merge_labels(hello.labels, agent.labels if agent else {})
        left_out = leave_out(hello.routes, identity.patterns, self._is_reserved)
        routes = [route for route in hello.routes if route.hostname not in left_out]
        return Offer(await self._name(routes, identity), labels, left_out)

    async def judge_routes(
        self, routes: Sequence[RouteOffer], identity: AgentIdentity, limits: Limits
    ) -> Sequence[RouteOffer]:
        """
        Say what an agent may serve from now on.

        :raises OfferRefused: naming what is not allowed.
        """
        check_count(routes, limits)
        return await self._name(routes, identity)

    def forget(self, agent: str) -> None:
        """Drop what is remembered of an agent that is gone for good."""
        self._names.forget(agent)

    async def _name(self, routes: Sequence[RouteOffer], identity: AgentIdentity) -> tuple[RouteOffer, ...]:
        async def give_name() -> Hostname:
            return await self._names.give(identity.id, identity.patterns)

        try:
            named = await name_routes(routes, identity.patterns, self._is_reserved, give_name)
            check_size(named)
            self._check_given(named, identity)
            return named
        except OfferRefused:
            raise
        except NotAllowed as error:
            raise OfferRefused("not_allowed", str(error)) from error
        except WarpError as error:
            raise OfferRefused("overloaded", f"no name can be given now: {error}", retry=True) from error

    def _check_given(self, routes: Sequence[RouteOffer], identity: AgentIdentity) -> None:
        """Refuse the readable name that was made up for another agent: who was given one shares it with nobody."""
        for route in routes:
            given = self._mirror.given_names.get(route.hostname)
            if given is not None and given.agent != identity.id:
                raise OfferRefused("conflict", f"{route.hostname} was given to another agent")


def revocation_sentence(revocation: Revocation) -> str:
    """Say that an agent was revoked, and why, as much as fits a log line; the agent hears it."""
    reason = one_line(revocation.reason, MAX_REASON_CHARACTERS)
    return f"agent {revocation.agent} was revoked" + (f": {reason}" if reason else "")


def identify_peer(protocol: TunnelProtocol) -> AgentIdentity:
    """
    Read who an agent is from the certificate of its connection.

    :raises BadCertificate: if there is none, or it is not an agent's.
    """
    certificate = protocol.peer_certificate
    if certificate is None:
        raise BadCertificate("the agent showed no certificate")
    return agent_identity(certificate)

"""
The tunnels of this edge: from an agent's hello to the tunnel's end.

Decides who may register, what is replaced, and what the registry and the route table hear of it. It is the
`TunnelDelegate` of every tunnel; how bytes move is `tunnel`'s, where requests go is `routing`'s.

The order at registration: `incumbents` makes sure that what is going to be replaced is dead; then the policy that the
agent asks for is put in force, so that no request comes before it; then the route table, then the registry (so that no
visitor comes before there is a route), then what was replaced is closed, and `Accepted` is sent last. When the registry
is away the tunnel serves all the same; its names appear when the registry is back.
"""

import secrets
from collections.abc import Callable, Collection, Sequence
from itertools import filterfalse

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_base.wall_clock import WallClock
from warp_twisted.ca.issue import AgentIdentity
from warp_twisted.edge.agents.admission import Admission, revocation_sentence
from warp_twisted.edge.agents.agent_clocks import note_clock
from warp_twisted.edge.agents.control_rate import ControlRate, names_touched
from warp_twisted.edge.agents.enrollment import issued_until
from warp_twisted.edge.agents.incumbents import Incumbents
from warp_twisted.edge.agents.offers import Offer, check_hello
from warp_twisted.edge.agents.peers import Peer, Peers, close_all, tell_all
from warp_twisted.edge.agents.protected_routes import AskedPolicies, ProtectedRoutes
from warp_twisted.edge.agents.registrations import Authority, EdgeTunnel, Fleet, Registrations, Routes
from warp_twisted.edge.agents.tunnel_expiry import TunnelExpiry
from warp_twisted.edge.errors import EdgeError, OfferRefused, as_refusal
from warp_twisted.edge.health.health import OriginsHealth
from warp_twisted.edge.owners.ownership import Ownership
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.registry.claims import Claims
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Agent, Change, Revocation
from warp_twisted.registry.published.grace import Grace
from warp_twisted.tunnel import TunnelProtocol
from warp_twisted.wire.control import (
    ControlMessage,
    Drain,
    Hello,
    OriginHealth,
    Refused,
    Renewed,
    RenewRequest,
    RouteOffer,
    RoutesChanged,
)
from warp_twisted.wire.errors import WireError
from warp_twisted.wire.frames import GoAwayCode
from warp_twisted.wire.releases import policy_digest, protected

STOPS = "this edge stops; use another"
MAX_WAITING_MESSAGES = 16  # from one agent while its last message is being answered


class EdgeTunnels:
    """
    Every tunnel of this edge.

    :param clock: for time-outs and rates.
    :param wall: for the ends of certificates.
    :param settings: returns the settings as they are now.
    :param grace: keeps the names of tunnels that are lost without a goodbye.
    :param registrations: the table of tunnels, empty.
    :param fleet: what agents are told of edges, URLs and name servers.
    :param asked: what agents ask to be enforced for their hostnames.
    :ivar expiry: closes tunnels whose agent's certificate has ended.
    :ivar closed_because: why no tunnel is taken now, for agents that come all the same; empty: they are.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        wall: WallClock,
        settings: Callable[[], EdgeSettings],
        *,
        routes: Routes,
        mirror: Mirror,
        claims: Claims,
        grace: Grace,
        admission: Admission,
        registrations: Registrations,
        ownership: Ownership,
        authority: Authority,
        fleet: Fleet,
        asked: AskedPolicies,
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._settings = settings
        self._routes = ProtectedRoutes(routes, asked)
        self._mirror = mirror
        self._claims = claims
        self._grace = grace
        self._admission = admission
        self._ownership = ownership
        self._authority = authority
        self._fleet = fleet
        self._peers = Peers()
        self._rate = ControlRate()
        self._unsubscribe: Callable[[], None] | None = None
        self.registrations = registrations
        self.expiry = TunnelExpiry(clock, wall, self.registrations)
        self._incumbents = Incumbents(clock, self.registrations)
        self.closed_because = ""
        self._health = OriginsHealth[EdgeTunnel](
            clock, routes, registrations.of_agent, self._pay_for_failing, self._publish
        )

    # What others ask.

    def start(self) -> None:
        """Follow revocations."""
        self._unsubscribe = self._mirror.subscribe(self._registry_changed)
        self.expiry.start()

    async def stop(self, timeout: float) -> None:
        """Close every tunnel, and wait until the transports are gone, but not for longer than the time-out."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self.expiry.stop()
        self.closed_because = STOPS
        self._health.stop()
        await close_all([peer.protocol for peer in self._peers], "the edge stops", self._clock, timeout)

    def drain(self, deadline_seconds: float) -> None:
        """Take no new tunnels, and tell every agent to move to another edge; requests still pass."""
        self.closed_because = STOPS
        protocols = [tunnel.protocol for tunnel in self.registrations.by_id.values()]
        tell_all(protocols, Drain(reason="the edge stops", deadline_seconds=deadline_seconds), self._clock)

    def cut(self, agent: str, reason: str) -> None:
        """Close all tunnels of an agent at once; its names are withdrawn with them."""
        for peer in self._peers.of_agent(agent):
            self._refuse(peer, OfferRefused("revoked", reason), GoAwayCode.REVOKED)
        self._grace.end(agent)
        self._admission.forget(agent)

    # What tunnels say (`TunnelDelegate`).

    def tunnel_proven(self, protocol: TunnelProtocol, network: str = "") -> None:
        """
        An agent's certificate is good; its hello must follow in time, and sooner if too many have not said theirs.

        :param network: where it is; the oldest of the network that has most makes room.
        """
        peer = self._peers.add(protocol, network)
        if len(self._peers.silent) > self._settings().limits.handshakes:
            self._refuse(
                self._peers.silent.pop(), OfferRefused("overloaded", "too many agents say no hello", retry=True)
            )
        peer.deadline = self._clock.callLater(self._settings().timeouts.hello, self._no_hello, peer)

    def tunnel_opened(self, protocol: TunnelProtocol) -> None:
        """The control stream is there."""
        if self._peers.get(protocol) is None:
            self.tunnel_proven(protocol)

    def control_received(self, protocol: TunnelProtocol, message: ControlMessage) -> None:
        """Answer a message after those before it."""
        peer = self._peers.get(protocol)
        if peer is None:  # it is closed already; these bytes were on their way
            return
        is_flood = peer.identity is not None and not self._rate.allows(peer.identity.id, message, self._clock.seconds())
        if is_flood or len(peer.waiting) >= MAX_WAITING_MESSAGES:
            protocol.close(GoAwayCode.PROTOCOL_ERROR, "too many control messages at once")
            return
        peer.waiting.append(message)
        if not peer.is_answering:
            Deferred.fromCoroutine(self._answer_all(peer)).addErrback(self._not_answered, peer)

    def stream_opened(self, protocol: TunnelProtocol, stream: object, route_id: int) -> None:
        """Agents open no streams; `TunnelProtocol` has refused it already."""

    def drain_received(self, protocol: TunnelProtocol, drain: Drain) -> None:
        """The agent takes nothing new: no new streams, and its names go unless others serve them."""
        peer = self._peers.get(protocol)
        tunnel = peer.tunnel if peer is not None else None
        if peer is None or tunnel is None or tunnel.is_draining:
            return
        self._log.info("tunnel {tunnel} of {agent} drains: {reason}", **tunnel.about, reason=drain.reason)
        tunnel.is_draining = True
        self._routes.drain(tunnel)
        self._publish(tunnel)
        if not self.closed_because and not peer.is_answering:  # else it moves to another process
            peer.deadline = self._clock.callLater(self._settings().timeouts.drain_alone, self._end_if_alone, peer)

    def tunnel_hung_up(self, protocol: TunnelProtocol) -> None:
        """Send nothing more through a tunnel that is going to be lost; all else has time until then."""
        peer = self._peers.get(protocol)
        if peer is not None and peer.tunnel is not None:
            self._routes.hang_up(peer.tunnel)

    def tunnel_lost(self, protocol: TunnelProtocol, error: WireError) -> None:
        """Withdraw what the tunnel stood for, now; without a goodbye names that nobody else serves have a grace."""
        peer = self._peers.remove(protocol)
        tunnel = peer.tunnel if peer is not None else None
        if tunnel is None:
            return
        self.registrations.remove(tunnel)
        self._health.forget(tunnel)
        self._routes.remove(tunnel)
        if not tunnel.was_meant_to_end(error):
            self._grace.begin(tunnel.agent, filterfalse(self._routes.is_served, tunnel.offer.hostnames))
        if tunnel.claim is not None:
            tunnel.claim.release()
        self._log.info("tunnel {tunnel} of {agent} ended: {error}", **tunnel.about, error=error)

    def _end_if_alone(self, peer: Peer) -> None:
        """End a drain that turns visitors away, as an agent that restarts comes back only when it has ended."""
        tunnel = peer.tunnel
        if tunnel and not self.closed_because and not all(map(self._routes.is_served, tunnel.offer.hostnames)):
            self._log.info("tunnel {tunnel} of {agent} drains no longer: no other serves its names", **tunnel.about)
            peer.protocol.close(reason="visitors have nowhere else to go, so this drain is short")

    # Control messages.

    async def _answer_all(self, peer: Peer) -> None:
        peer.is_answering = True
        try:
            while peer.waiting and not peer.is_gone:
                await self._answer(peer, peer.waiting.popleft())
        finally:
            peer.is_answering = False

    def _not_answered(self, failure: Failure, peer: Peer) -> None:
        self._log.failure("a control message was not answered", failure=failure)
        peer.protocol.close(GoAwayCode.INTERNAL_ERROR, "the edge failed to answer")

    async def _answer(self, peer: Peer, message: ControlMessage) -> None:
        try:
            match message:
                case Hello() if peer.tunnel is None:
                    await self._register(peer, message)
                case RoutesChanged() if peer.tunnel is not None:
                    await self._change_routes(peer, peer.tunnel, message)
                case RenewRequest() if peer.tunnel is not None:
                    self._renew(peer.tunnel, message)
                case OriginHealth() if peer.tunnel is not None:
                    self._health.said(peer.tunnel, message)
                case _:
                    self._log.info("{message} is not expected", message=type(message).__name__)
                    peer.protocol.close(GoAwayCode.PROTOCOL_ERROR, f"{type(message).__name__} is not expected here")
        except EdgeError as error:
            self._refuse(peer, as_refusal(error))

    async def _register(self, peer: Peer, hello: Hello) -> None:
        settings = self._settings()
        identity = self._identify(peer.protocol)
        self._peers.identify(peer, identity)
        check_hello(hello, identity, settings.limits)
        offer = await self._admission.judge(hello, identity)
        if peer.is_gone:
            return
        names = self.registrations.names_of_new(identity.id, offer)
        self._rate.charge_hello(identity.id, hello, names, self._clock.seconds())
        asked = await self._routes.read(hello, offer, identity.id)
        address = getattr(peer.protocol.peer, "host", "")
        await self._ownership.take(identity, offer.hostnames)
        await self._incumbents.make_way(identity.id, hello.slot, hello.session, address)
        await self._ownership.take(identity, offer.hostnames)  # it may have lost one meanwhile; else done at once
        if peer.is_gone:
            return
        self._identify(peer.protocol)  # it may have been revoked meanwhile
        self.registrations.check_room(identity.id, hello.slot, hello.session, settings.limits)
        tunnel = EdgeTunnel(
            id=f"t-{secrets.token_hex(8)}",
            agent=identity.id,
            slot=hello.slot,
            session=hello.session,
            software=hello.software,
            address=address,
            protocol=peer.protocol,
            offer=offer,
            registered_at=self._wall.now(),
            ends_at=self.expiry.instant_of(identity.expires_at),
            protects=protected(hello.requires),
            policy=policy_digest(hello.policy),
        )
        self._routes.begin(tunnel, offer.routes, asked)
        self._peers.register(peer, tunnel)
        stale = self.registrations.add(tunnel)
        note_clock(self.registrations, tunnel, hello.time, self._wall.now())
        tunnel.claim, settled = self._claims.put(tunnel.value(settings.edge.name))
        for old in stale:
            old.protocol.close(GoAwayCode.REPLACED, "a newer tunnel of the same agent took its place")
        self.registrations.finish_left(tunnel, self._routes.drain, settings.timeouts.drain)
        self._log.info(
            "tunnel {tunnel} of {agent} from {address} serves {hostnames}{policy}",
            **tunnel.about, address=tunnel.address, hostnames=self.registrations.say_hostnames(tunnel),
            policy=f"; it has a policy for {', '.join(asked)}" if asked else "",
        )  # fmt: skip
        await settled
        if not peer.is_gone:
            self._accept(tunnel)

    async def _change_routes(self, peer: Peer, tunnel: EdgeTunnel, message: RoutesChanged) -> None:
        if peer.identity is None:
            return
        try:
            routes = await self._admission.judge_routes(message.routes, peer.identity, self._settings().limits)
            await self._wait_for_names(peer, tunnel, routes)
            await self._ownership.take(peer.identity, [route.hostname for route in routes])
            if peer.is_gone:
                return
            self._routes.add(tunnel, routes)
        except EdgeError as error:  # the tunnel goes on with the routes it has
            refusal = as_refusal(error)
            self.registrations.counts.count_refusal(refusal.code)
            self._log.warn("new routes of {agent} are refused: {reason}", agent=tunnel.agent, reason=refusal.reason)
            tunnel.protocol.send_control(Refused(code=refusal.code, reason=refusal.reason, retry=refusal.retry))
            return
        self.registrations.change_offer(tunnel, Offer(tuple(routes), tunnel.offer.labels))
        if tunnel.is_draining:
            self._routes.drain(tunnel)
        await self._publish(tunnel)
        if not peer.is_gone:
            self._accept(tunnel)

    async def _wait_for_names(self, peer: Peer, tunnel: EdgeTunnel, routes: Sequence[RouteOffer]) -> None:
        """Let an agent that changes many names wait until it has paid for them; its other messages wait meanwhile."""
        after = [route.hostname for route in routes]
        names = names_touched(tunnel.offer.hostnames, after, len(tunnel.labels))
        while not peer.is_gone:
            wait = self._rate.seconds_until_published(tunnel.agent, names, self._clock.seconds())
            if not wait:
                return
            paid: Deferred[None] = Deferred()
            peer.deadline = self._clock.callLater(wait, paid.callback, None)
            await paid

    def _renew(self, tunnel: EdgeTunnel, message: RenewRequest) -> None:
        answer = self._authority.renew(tunnel.agent, message.csr_pem)
        if isinstance(answer, Renewed):  # until its issuer's end at the latest
            self.expiry.renewed(tunnel.agent, issued_until(answer.chain_pem))
        note_clock(self.registrations, tunnel, message.time, self._wall.now())
        tunnel.protocol.send_control(answer)

    def _pay_for_failing(self, tunnel: EdgeTunnel, hostnames: Collection[str]) -> float:
        names = self.registrations.names_of_failing(tunnel, hostnames)
        return self._rate.seconds_until_published(tunnel.agent, names, self._clock.seconds())

    # Judgement.

    def _identify(self, protocol: TunnelProtocol) -> AgentIdentity:
        if self.closed_because:
            raise OfferRefused("draining", self.closed_because, retry=True)
        return self._admission.identify(protocol)

    # Answers.

    def _accept(self, tunnel: EdgeTunnel) -> None:
        now, group = self._wall.now(), self._ownership.holdings.group_of(tunnel.agent)
        others = self.registrations.others_of(tunnel)
        answer = tunnel.accepted(self._settings(), self._fleet, self._claims.ttl_seconds, now, group, others)
        self.registrations.tell_accepted(tunnel, answer)

    def _refuse(self, peer: Peer, refusal: OfferRefused, code: GoAwayCode = GoAwayCode.NORMAL) -> None:
        self.registrations.counts.count_refusal(refusal.code)
        self._log.info(
            "agent {agent} at {peer} is refused: {reason}",
            agent=peer.identity.id if peer.identity else "?", peer=getattr(peer.protocol.peer, "host", "?"),
            reason=refusal.reason,
        )  # fmt: skip
        peer.protocol.send_control(Refused(code=refusal.code, reason=refusal.reason, retry=refusal.retry))
        peer.protocol.close(code, refusal.reason)

    def _no_hello(self, peer: Peer) -> None:
        peer.deadline = None
        self.registrations.counts.count_refusal("no_hello")
        peer.protocol.close(GoAwayCode.TIMED_OUT, "no hello came in time")

    # The registry.

    def _publish(self, tunnel: EdgeTunnel) -> Deferred[None]:
        if tunnel.claim is None:
            return succeed(None)
        return tunnel.claim.update(tunnel.value(self._settings().edge.name))

    def _registry_changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change.after, Revocation):
                self.cut(change.after.agent, revocation_sentence(change.after))
            elif isinstance(change.after, Agent):  # it may have renewed its certificate through another process
                self.expiry.noted(change.after.id, change.after.expires_at)
            elif isinstance(change.before, Agent) and change.after is None:
                self.cut(change.before.id, f"agent {change.before.id} is no longer enrolled")

"""
The links with all other edges: who dials whom, when again, and which of two connections counts.

Of each pair of edges the one whose name sorts first dials, so that two never dial each other; the other takes what
comes. The newest connection counts, as an edge that hands over to another process, or has noticed a loss first, comes
anew. Who is an edge is in the registry's records; what is told goes through `live`.
"""

import secrets
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random

from cryptography import x509
from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_base.host_port import split_host_port
from warp_base.reactor import Reactor
from warp_base.slices import Slices
from warp_twisted.edge.errors import PeerRefused
from warp_twisted.edge.peers.hearing import Heard, Hearing
from warp_twisted.edge.peers.link import Link
from warp_twisted.edge.peers.live import LiveState
from warp_twisted.edge.peers.messages import PEER_VERSION, Greeting
from warp_twisted.edge.peers.peer import Peer
from warp_twisted.edge.peers.proving import prove_edge
from warp_twisted.edge.peers.states import LINK_TRANSITIONS, LinkEvent
from warp_twisted.edge.peers.telling import Teller
from warp_twisted.registry.edge_records import EdgeRecord
from warp_twisted.tunnel import TunnelProtocol, TunnelTimes, Turn
from warp_twisted.tunnel.endpoints import dial_peer
from warp_twisted.tunnel.tls import TlsProtocol
from warp_twisted.wire.errors import WireError
from warp_twisted.wire.frames import GoAwayCode, Role
from warp_twisted.wire.limits import Limits
from warp_twisted.wire.preamble import OpeningCode, encode_opening
from warp_twisted.wire.relayed import RelayPreamble
from warp_twisted.wire.streams import DISCARD, Stream

PING_SECONDS = 0.5
SILENCE_SECONDS = 1.8  # with a look every 0.1 s and the time to publish, an edge is out of DNS 2 s after its last word
TIMES = TunnelTimes(ping_seconds=PING_SECONDS, silence_seconds=SILENCE_SECONDS, measure_seconds=10.0)
LIMITS = Limits(max_streams=8192, max_peer_streams=4096)
CONNECT_SECONDS = 2.0
HANDSHAKE_SECONDS = 3.0
FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.1, 1.0  # an edge that is back is heard within a second or two
RETIRED_SECONDS = 30.0  # for streams on a connection that was replaced
MAX_UNOPENED = 4  # accepted connections of one edge that have said nothing yet

Relayed = Callable[[str, TunnelProtocol, Stream, RelayPreamble], None]


def refuse(edge: str, tunnel: TunnelProtocol, stream: Stream, preamble: RelayPreamble) -> None:
    """Default: refuse what another edge relays."""
    stream.receiver = DISCARD
    stream.write(encode_opening(OpeningCode.NO_SUCH_ROUTE, "this edge relays nothing"))
    stream.end()


class Links:
    """
    All links of this edge.

    :param own: its name.
    :param records: of the edges of the fleet, by name; `records_changed` says when they have changed.
    :param context: returns what other edges are dialed with, as it is now.
    :param endpoint: makes an endpoint of `host:port`.
    :ivar relayed: called with the other edge's name, the link's tunnel, and each stream that it relays to this edge.
    :ivar changed: called when an edge becomes alive or dead.
    :ivar routes: who is called with another edge's name and each stream that it opens, by the stream's route id.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        own: str,
        records: Mapping[str, EdgeRecord],
        context: Callable[[], ssl.SSLContext],
        live: LiveState,
        slices: Slices,
        *,
        software: str = "",
        region: str = "",
        chance: Random | None = None,
        endpoint: Callable[[str], IStreamClientEndpoint] | None = None,
        times: TunnelTimes = TIMES,
    ) -> None:
        self._reactor = reactor
        self._own = own
        self._records = records
        self._context = context
        self._live = live
        self._slices = slices
        self._random = chance or Random()  # noqa: S311 -- no secret
        self._endpoint = endpoint or self._endpoint_of
        self._times = times
        self._turn = Turn(reactor)
        run = secrets.token_hex(8)
        self._greeting = Greeting(version=PEER_VERSION, run=run, software=software, region=region)
        self._is_running = False
        self._is_held = False
        self._is_stopped = False
        self.peers: dict[str, Peer] = {}
        self.relayed: Relayed = refuse
        self.changed: Callable[[], None] = lambda: None
        self.routes: dict[int, Callable[[str, Stream], None]] = {}
        live.marked = self._marked

    # What the rest of the edge asks.

    def names(self) -> list[str]:
        """Return the edges that are alive."""
        return sorted(name for name, peer in self.peers.items() if peer.state.is_alive)

    def tunnel_to(self, edge: str) -> TunnelProtocol | None:
        """Return what streams to another edge are opened on; None while it is not alive."""
        peer = self.peers.get(edge)
        return peer.link.tunnel if peer is not None and peer.state.is_alive and peer.link is not None else None

    def start(self) -> None:
        """Begin to dial; nothing happens if that is done already."""
        if not self._is_running:
            self._is_running = True
            self._is_held = False
            self.records_changed()
            for peer in self.peers.values():
                self._dial_soon(peer)

    def hold(self) -> None:
        """Dial no more and tell nothing more: another process of this edge is going to."""
        self._is_running, self._is_held = False, True
        for peer in self.peers.values():
            self._dial_no_more(peer)

    def leave(self) -> None:
        """Have those that dial this edge dial anew, now that another process answers; their streams finish."""
        for peer in self.peers.values():
            if peer.link is not None and peer.link.tunnel is not None:
                peer.link.tunnel.drain("another process of this edge takes over", RETIRED_SECONDS)

    def go_on(self) -> None:
        """Take up what was held."""
        self.start()
        for peer in self.peers.values():
            if peer.link is not None:
                peer.link.pump()

    def stop(self) -> None:
        """End all links."""
        self._is_running, self._is_stopped = False, True
        for peer in list(self.peers.values()):
            self._dial_no_more(peer)
            if peer.link is not None:
                peer.link.close("this edge stops")
            if peer.forgetting is not None:
                peer.forgetting.cancel()

    def records_changed(self) -> None:
        """Follow who is an edge of the fleet."""
        for name in self.peers.keys() - self._records.keys():
            self._remove(self.peers.pop(name), "the registry has no record of it any more")
        for name, record in self._records.items():
            peer = self.peers.get(name)
            if name == self._own:
                continue
            if peer is None:
                peer = self.peers[name] = Peer(record, self._reactor.seconds())
                self._dial_soon(peer)
            elif peer.record != record:
                is_another = peer.record.authority_key != record.authority_key
                peer.record = record
                if is_another and peer.link is not None:
                    peer.link.close("its intermediate is another one")

    # Dialing.

    def _dials(self, peer: Peer) -> bool:
        return self._own < peer.record.name

    def _dial_soon(self, peer: Peer, delay: float = 0.0) -> None:
        if self._is_running and self._dials(peer) and peer.dialing is None and peer.retry is None:
            peer.retry = self._reactor.callLater(delay, self._dial, peer)

    def _dial_no_more(self, peer: Peer) -> None:
        retry, peer.retry = peer.retry, None
        if retry is not None:
            retry.cancel()
        if peer.dialing is not None:
            peer.dialing.cancel()

    def _dial(self, peer: Peer) -> None:
        peer.retry = None
        name, addresses = peer.record.name, peer.record.addresses
        if not addresses:
            peer.problem = "its record has no address"
            return
        address = addresses[peer.attempts % len(addresses)]
        self._advance(peer, LinkEvent.DIAL)

        def verify(certificate: x509.Certificate | None) -> None:
            prove_edge(certificate, self._records, self._own, expected=name)

        try:
            dialing = dial_peer(
                self._endpoint(address),
                self._new_tunnel(peer, Role.CLIENT),
                verify,
                context=self._context(),
                reactor=self._reactor,
                handshake_seconds=HANDSHAKE_SECONDS,
            )
        except ValueError as error:
            self._not_dialed(Failure(error), peer, address)
            return
        peer.dialing = dialing
        dialing.addCallbacks(lambda _: self._dialed(peer), self._not_dialed, errbackArgs=(peer, address))

    def _dialed(self, peer: Peer) -> None:
        peer.dialing = None
        if peer.link is None:  # and lost again
            self._dial_again(peer)

    def _not_dialed(self, failure: Failure, peer: Peer, address: str) -> None:
        peer.dialing = None
        self._advance(peer, LinkEvent.FAILURE)
        if failure.check(CancelledError):
            return
        problem = f"{address}: {failure.getErrorMessage()}"
        if problem != peer.problem:
            peer.problem = problem
            self._log.warn("edge {edge} is not reached: {problem}", edge=peer.record.name, problem=problem)
        self._dial_again(peer)

    def _dial_again(self, peer: Peer) -> None:
        delay = min(MAX_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(peer.attempts, 10))
        peer.attempts += 1
        self._dial_soon(peer, delay * self._random.uniform(0.5, 1.0))

    def _endpoint_of(self, address: str) -> IStreamClientEndpoint:
        host, port = split_host_port(address)
        if port is None:
            raise ValueError(f"expected host:port, got {address!r}")
        kind = TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint
        return kind(self._reactor, host, port, timeout=CONNECT_SECONDS)

    # Accepting.

    def accept(self, transport: TlsProtocol) -> TunnelProtocol:
        """
        Make the protocol of a connection that speaks as an edge.

        :raises PeerRefused: if it is not one's, or this edge dials that one.
        """
        name = prove_edge(transport.peer_certificate, self._records, self._own)
        if self._own < name:
            raise PeerRefused(f"edge {self._own} dials {name}, not the other way round")
        self.records_changed()
        peer = self.peers[name]
        if len(peer.unopened) >= MAX_UNOPENED:
            raise PeerRefused(f"edge {name} has {len(peer.unopened)} connections that say nothing")
        tunnel = self._new_tunnel(peer, Role.SERVER)
        peer.unopened.add(tunnel)
        tunnel.disconnected().addCallback(lambda _: peer.unopened.discard(tunnel))
        return tunnel

    def _new_tunnel(self, peer: Peer, role: Role) -> TunnelProtocol:
        name = peer.record.name
        link = Link(
            name,
            self,
            Teller(self._live.read),
            Hearing(name),
            self._slices,
            self._reactor,
            self._greeting,
        )
        tunnel = TunnelProtocol(
            role,
            link,
            clock=self._reactor,
            turn=self._turn,
            limits=LIMITS,
            times=self._times,
            opens_both_ways=True,
        )
        tunnel.relayed = lambda tunnel, stream, preamble: self.relayed(name, tunnel, stream, preamble)
        return tunnel

    # What links say (`LinkOwner`).

    def link_opened(self, link: Link) -> None:
        """Let the newest connection count, and tell everything on it."""
        peer = self.peers.get(link.edge)
        if peer is None:
            link.close("the registry has no record of it any more")
            return
        if link.tunnel is not None:
            peer.unopened.discard(link.tunnel)
        forgetting, peer.forgetting = peer.forgetting, None
        if forgetting is not None:
            forgetting.cancel()
        former, peer.link = peer.link, link
        link.hearing = Hearing(link.edge, peer.keys)
        peer.keys = link.hearing.keys
        self._advance(peer, LinkEvent.CONNECTION)
        peer.problem = ""
        if former is not None and former.tunnel is not None:
            former.tunnel.drain("a newer connection took its place", RETIRED_SECONDS)
        self._slices.run(self._telling_all(link)).addErrback(lambda failure: None)

    def _telling_all(self, link: Link) -> Iterator[None]:
        for keys in self._live.own_keys():
            link.teller.mark(keys)
            yield
        link.teller.mark_snapshot_end()
        self._pump(link)

    def _pump(self, link: Link) -> None:
        if not self._is_held:
            link.pump()

    def link_heard(self, link: Link, heard: Heard) -> None:
        """Believe what an edge tells on the connection that counts."""
        peer = self.peers.get(link.edge)
        if peer is None or peer.link is not link:
            return
        self._live.heard(heard)
        if heard.is_complete:
            peer.attempts = 0
            is_new = not peer.state.is_alive
            self._advance(peer, LinkEvent.SNAPSHOT)
            if is_new:
                self._log.info(
                    "edge {edge} is linked, with {tunnels} tunnels",
                    edge=link.edge, tunnels=link.hearing.tunnels,
                )  # fmt: skip
            self.changed()

    def link_draining(self, link: Link) -> None:
        """Dial anew, as the other process of that edge answers now."""
        peer = self.peers.get(link.edge)
        if peer is not None and peer.link is link:
            self._dial_soon(peer)

    def link_lost(self, link: Link, error: WireError) -> None:
        """Take an edge for dead, if that was the connection that counts, and dial it again."""
        peer = self.peers.get(link.edge)
        if peer is None or peer.link is not link:
            return
        was_alive = peer.state.is_alive
        peer.link = None
        peer.losses += 1
        peer.problem = link.why or str(error)
        self._advance(peer, LinkEvent.LOSS)
        if self._is_stopped:
            return
        if was_alive:
            self._log.warn("edge {edge} counts as dead: {problem}", edge=link.edge, problem=peer.problem)
        self._forget(peer, is_lost=True)
        self.changed()
        self._dial_again(peer)

    def _remove(self, peer: Peer, reason: str) -> None:
        self._dial_no_more(peer)
        if peer.link is not None:
            peer.link.close(reason, GoAwayCode.NORMAL)
        self._log.info("edge {edge} is no edge of the fleet any more", edge=peer.record.name)
        self._forget(peer, is_lost=False)
        self.changed()

    def _forget(self, peer: Peer, *, is_lost: bool) -> None:
        steps = self._live.forgetting(frozenset(peer.keys), is_lost=is_lost)
        next(steps, None)  # DNS names it no more from this turn on, where there is another

        def forgetting() -> Iterator[None]:
            yield from steps
            peer.keys.clear()
            peer.forgetting = None

        peer.forgetting = self._slices.run(forgetting())
        peer.forgetting.addErrback(lambda failure: None)

    def _marked(self, keys: Sequence[str], is_first: bool) -> None:
        for peer in self.peers.values():
            if peer.link is not None:
                peer.link.teller.mark(keys, first=is_first)
                self._pump(peer.link)

    def _advance(self, peer: Peer, event: LinkEvent) -> None:
        before = peer.state
        peer.state = LINK_TRANSITIONS[before, event]
        if peer.state is not before:
            peer.since = self._reactor.seconds()

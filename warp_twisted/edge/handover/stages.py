"""
What an edge does on its way up and when it hands over: which of its parts start, stop, listen and wait, in which order.

A process without a keeper does `prepare` and `take` one after the other. One that a keeper leads is told when
(`states`), and may have to give back what it took. Ending an edge is `edge.node`'s.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, SchedulerStopped, deferLater
from twisted.logger import Logger

from warp_twisted.edge.assembly import EdgeParts
from warp_twisted.edge.handover.moving import HANDED_OVER, Moving
from warp_twisted.edge.nameserver import start_nameserver
from warp_twisted.edge.operators.admin_socket import SOCKET_MODE, prepare_socket_path
from warp_twisted.edge.visitors.factories import VISITOR_OPTIONS
from warp_twisted.errors import WarpError
from warp_twisted.keeper.times import take_seconds
from warp_twisted.registry.errors import StoreInUse

MOVED_SECONDS = 10.0  # without another tunnel from the process before: the others do not come
KEEPER_MARGIN_SECONDS = 12.0  # before the keeper takes the process before back, visitors are served by what has come
WATCHED_SECONDS = 8.0  # the keeper takes the process before back if the next one fails in its first five seconds
LOOK_SECONDS = 0.02
TELL_SECONDS = 2.0
HAND_SECONDS = 2.0  # for writing bans down; the keeper gives a release 5
SETTLE_MARGIN_SECONDS = 30.0  # for what is to be done before and after
LOCK_SECONDS = 5.0  # in which a process that was killed is gone
RETRY_SECONDS = 0.05


class Stages:
    """
    The stages of one edge.

    :param is_led: whether a keeper leads it; see `assembly.assemble`.
    :param ended: called when a hand-over has left nothing to do here.
    :param tell: called with how it goes, in a few words: every few seconds while this process drains, when it resumes.
    :param ask_for_time: called with the seconds in which visitors will be served, before a wait for agents.
    """

    _log = Logger()

    def __init__(
        self,
        parts: EdgeParts,
        clock: IReactorTime,
        *,
        is_led: bool,
        ended: Callable[[], None] = lambda: None,
        tell: Callable[[str], None] = lambda what: None,
        ask_for_time: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.end = ended
        self._tell = tell
        self._ask_for_time = ask_for_time
        self._telling = LoopingCall(lambda: Deferred.fromCoroutine(self._tell_left()))
        self._telling.clock = clock
        self._parts = parts
        self._clock = clock
        self._is_led = is_led
        self._moving = Moving(clock, parts.tunnels.registrations, lambda: parts.listeners.waiting("tunnel"))

    # On the way up.

    async def prepare(self) -> None:
        """Read and judge everything: configuration, certificates, the policy in the registry. Nothing is taken."""
        parts = self._parts
        await parts.mirror.start()
        await parts.store.open()
        await parts.serving.policy_follower.join(parts.fleet_policy)
        parts.serving.start()

    async def take(self, tunnels: int = 0) -> None:
        """
        Take what one process alone may have, wait for the agents, and serve.

        :param tunnels: that move here from another process, which serves meanwhile; 0: there is none.
        """
        await self._open()
        if not tunnels:  # else another process has the links still
            self._parts.peers.start()
        await self._serve(tunnels)
        self._parts.peers.start()

    async def _open(self) -> None:
        """Take the registry, and open everything; visitors wait in the queues of their sockets."""
        parts, listeners = self._parts, self._parts.listeners
        settings = parts.settings()
        listen = settings.listen
        await self._lock()
        if self._is_led:  # else there is no process before this one, and what fails is raised at once
            await parts.handed_bans.take()  # before the firewall's helper is told all of them
        parts.claims.start()
        parts.tunnels.start()
        self._start_writing()
        parts.tunnel_certificate.start()
        parts.registry_certificate.start()
        parts.clock_steps.start()
        if parts.nameserver is not None and not self._is_led:
            self._open_dns()
        await self._open_metrics()
        self._open_admin()
        if not self._is_led:
            self._open_records()
        tunnel = await listeners.open("tunnel", listen.tunnel, parts.tunnel_port.factory)
        http = await listeners.open("http", listen.http, parts.serving.http, VISITOR_OPTIONS)
        https = await listeners.open("https", listen.https, parts.serving.https, VISITOR_OPTIONS)
        listeners.hold_back("http", "https")
        listeners.ports = replace(listeners.ports, http=http, https=https, tunnel=tunnel)
        await parts.entry.announce()
        await parts.announced_policy.start()
        parts.peers.start_writing()

    async def _serve(self, tunnels: int) -> None:
        """Wait for the agents, then let visitors in and answer DNS."""
        parts = self._parts
        expected = parts.expected_hostnames.read()
        await parts.long_work.run(parts.serving.routes.remembering(expected, self._clock.seconds()))
        await parts.long_work.run(parts.grace.beginning(expected))
        if tunnels:
            limit = self._clock.seconds() + take_seconds(tunnels) - KEEPER_MARGIN_SECONDS
            await self._wait_for_tunnels(tunnels, limit)
            seconds = max(0.0, min(MOVED_SECONDS, limit - self._clock.seconds()))
            await parts.expected_hostnames.wait(expected, seconds)
        else:
            if parts.grace.is_given:  # what was served before is not denied, so there is nothing to wait for
                await self._answer_dns()
            settle = parts.settings().timeouts.settle
            if settle and expected:
                self._ask_for_time(settle + SETTLE_MARGIN_SECONDS)
            await parts.expected_hostnames.wait(expected, settle)
        await self._answer_dns()
        parts.listeners.let_in("http", "https")
        parts.readiness.has_settled = True
        if self._is_led:
            self._open_records()
        parts.expected_hostnames.start_keeping()
        self._start_numbering()

    def _start_numbering(self) -> None:
        """Take part in numbering the zone, not earlier than all names are in it: secondaries would drop the others."""
        if self._parts.fleet_numbering is not None:
            self._parts.fleet_numbering.start()

    async def _lock(self) -> None:
        """Have the registry's file, which a process that was killed a moment ago may have still."""
        ends_at = self._clock.seconds() + LOCK_SECONDS
        while True:
            try:
                await self._parts.store.take()
            except StoreInUse:
                if self._clock.seconds() >= ends_at:
                    raise
                await deferLater(self._clock, RETRY_SECONDS)
            else:
                return

    async def _wait_for_tunnels(self, tunnels: int, limit: float) -> None:
        """
        Wait as long as more of them come.

        While handshakes wait for their turn here, connections wait in the queue of the socket, where the process before
        sees them and tells no more agents (`moving`).
        """
        registered, listeners = self._parts.tunnels.registrations.by_id, self._parts.listeners
        count, ends_at = 0, 0.0
        while len(registered) < tunnels and (now := self._clock.seconds()) < limit:
            if len(registered) > count or not ends_at:
                count, ends_at = len(registered), now + MOVED_SECONDS
            elif now >= ends_at:
                break
            if self._parts.tunnel_port.is_busy:
                listeners.hold_back("tunnel")
            else:
                listeners.let_in("tunnel")
            await deferLater(self._clock, LOOK_SECONDS)
        listeners.let_in("tunnel")
        if len(registered) < tunnels:
            self._log.warn(
                "{count} of {tunnels} tunnels have not come from the process before; visitors are served without them",
                count=tunnels - len(registered), tunnels=tunnels,
            )  # fmt: skip

    def _start_writing(self) -> None:
        """Begin what writes to the registry, to the state directory or to the firewall."""
        parts = self._parts
        parts.assertion_keys.start()
        parts.cookie_keys.start()
        parts.firewall_bans.follow(parts.settings().firewall_bans)
        parts.shifts.start()
        parts.guards.start()
        parts.agent_expiry.start()
        parts.name_expiry.start()
        parts.acme.start()
        if parts.listeners.ports.tunnel:
            parts.peers.start_writing()

    def _stop_writing(self) -> None:
        parts = self._parts
        parts.assertion_keys.stop()
        parts.cookie_keys.stop()
        parts.firewall_bans.stop()
        parts.shifts.stop()
        parts.guards.stop()
        parts.agent_expiry.stop()
        parts.name_expiry.stop()
        parts.acme.stop()
        if parts.fleet_numbering is not None:
            parts.fleet_numbering.stop()
        parts.peers.stop_writing()
        parts.tunnel_certificate.stop()

    async def _answer_dns(self) -> None:
        """Answer from the zone, once everything that the registry says until now is published in it."""
        parts = self._parts
        await parts.publisher.settled()
        parts.readiness.has_published = True
        if parts.nameserver is not None:
            if not parts.nameserver.is_ready:
                await parts.nameserver.fill_in_slices()
            parts.nameserver.resume(parts.settings().zone)
            if not parts.nameserver.is_ready:
                self._open_dns()

    def _open_dns(self) -> None:
        parts = self._parts
        if parts.nameserver is not None:
            bound = start_nameserver(parts.nameserver, parts.settings())
            parts.listeners.ports = replace(parts.listeners.ports, dns=bound)

    async def _open_metrics(self) -> None:
        parts, listen = self._parts, self._parts.settings().listen
        if listen.metrics is not None:
            (port,) = await parts.listeners.open("metrics", listen.metrics, parts.observation.site())
            parts.listeners.ports = replace(parts.listeners.ports, metrics=port)

    def _open_admin(self) -> None:
        parts, path = self._parts, self._parts.settings().listen.admin
        if path is not None:
            prepare_socket_path(path, may_answer=self._is_led)
            parts.listeners.open_unix("admin", path, parts.admin.site(), SOCKET_MODE, takes_place=self._is_led)

    def _open_records(self) -> None:
        parts, path = self._parts, self._parts.settings().listen.records
        if path is not None:
            prepare_socket_path(path, "listen.records", may_answer=self._is_led)
            site = parts.published.site(parts.observation)
            parts.listeners.open_unix("records", path, site, SOCKET_MODE, takes_place=self._is_led)

    # When it hands over.

    async def release(self) -> tuple[int, int]:
        """
        Give up the registry's file and new tunnels; visitors and DNS are served on.

        :returns: how many tunnels are going to move, and of how many hostnames.
        :raises RegistryError: if the file cannot be released; nothing has changed then.
        """
        parts = self._parts
        await parts.store.release()
        parts.listeners.hold_back("tunnel")
        parts.tunnels.closed_because = HANDED_OVER
        self._stop_writing()
        parts.expected_hostnames.stop_keeping()
        parts.publisher.hold()  # no name leaves DNS because its tunnel moves
        parts.peers.links.hold()
        await self._hand_bans_on()
        await parts.listeners.close("metrics")
        found = parts.tunnels.registrations.by_id.values()
        tunnels = [tunnel for tunnel in found if not tunnel.is_left and not tunnel.is_draining]
        return len(tunnels), len({hostname for tunnel in tunnels for hostname in tunnel.offer.hostnames})

    async def _hand_bans_on(self) -> None:
        handing = Deferred.fromCoroutine(self._parts.handed_bans.hand_on())
        await handing.addTimeout(HAND_SECONDS, self._clock, onTimeoutCancel=lambda result, seconds: None)

    async def move(self) -> None:
        """Ask agents to open their tunnels to the next process, and to keep those that are here."""
        self._moving.start(self._parts.settings().timeouts.drain)

    async def drain(self) -> Deferred[None]:
        """
        Leave visitors, DNS and operators to the next process, and finish what is under way.

        :returns: fires when that is done, or `timeouts.drain` is over; not before it is known how the next one does.
        """
        parts = self._parts
        parts.listeners.hold_back("http", "https")
        if parts.nameserver is not None:
            await parts.nameserver.pause()
        await parts.listeners.close("admin", "records")
        parts.admin.close()
        parts.published.close()
        parts.published.disconnect()  # who follows asks the next process from now on
        parts.peers.links.leave()
        return Deferred.fromCoroutine(self._finish(parts.settings().timeouts.drain))

    async def _finish(self, seconds: float) -> None:
        ends_at = self._clock.seconds() + WATCHED_SECONDS
        self._telling.start(TELL_SECONDS).addErrback(lambda failure: failure.trap(SchedulerStopped) and None)
        await self._parts.serving.drain(seconds, keeps_idle=True)
        self.tell_no_more()
        await deferLater(self._clock, max(0.0, ends_at - self._clock.seconds()))

    async def _tell_left(self) -> None:
        left = await self._parts.serving.what_is_left()
        if self._telling.running:
            self._tell(f"finishes {left or 'connections on which nobody asks'}")

    def tell_no_more(self) -> None:
        """Say no more what is left."""
        if self._telling.running:
            self._telling.stop()

    async def resume(self) -> None:
        """Take everything back: the next process is no more."""
        parts, listeners = self._parts, self._parts.listeners
        self.tell_no_more()
        self._moving.stop()
        await self._until_done("the registry", self._lock)
        parts.tunnels.closed_because = ""
        listeners.let_in("tunnel")
        parts.serving.visitors.resume()
        listeners.let_in("http", "https")
        self._start_writing()
        parts.tunnel_certificate.start()
        parts.publisher.go_on()
        self._start_numbering()
        parts.peers.links.go_on()
        await self._until_done("what operators and DNS ask", self._reopen)
        self._tell(f"serving {parts.settings().zone}")
        parts.expected_hostnames.start_keeping()

    async def _reopen(self) -> None:
        parts, listeners = self._parts, self._parts.listeners
        if parts.nameserver is not None and not parts.nameserver.is_ready:
            parts.nameserver.go_on(listeners.ports.dns)
        if "metrics" not in listeners.names:
            await self._open_metrics()
        await listeners.close("admin", "records")  # the next process may have taken their places
        self._open_admin()
        self._open_records()

    async def _until_done(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Try again every second: nobody else could."""
        while True:
            try:
                return await work()
            except WarpError as error:
                self._log.error("{what} cannot be taken back, and it is tried again: {error}", what=what, error=error)
                await deferLater(self._clock, 1.0)

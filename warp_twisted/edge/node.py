"""
One edge as a service: the order of starting, draining, reloading and stopping. Its parts are made by `edge.assembly`.

Settings, reactor and the way to read settings again come in as arguments, so that twistd, `warp demo` and tests build
the same.

    node = EdgeNode(reactor, settings)
    node.startService()
    await node.started
    node.ports.tunnel
    await node.stopService()
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredLock, succeed
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_base.reactor import InThread, Reactor
from warp_base.wall_clock import WallClock
from warp_twisted.configuration import changed_keys
from warp_twisted.edge.assembly import EdgeParts, assemble
from warp_twisted.edge.errors import EdgeError
from warp_twisted.edge.handover.hand_over import HandOver
from warp_twisted.edge.handover.stages import Stages
from warp_twisted.edge.handover.states import State
from warp_twisted.edge.listeners import BoundPorts
from warp_twisted.edge.moving_agents import MOVE_SECONDS, agents_moved
from warp_twisted.edge.nameserver import reload_nameserver
from warp_twisted.edge.settings import EdgeSettings, merge_reloaded, needs_restart
from warp_twisted.errors import InvalidSettings
from warp_twisted.keeper import times

FINISH_SECONDS = times.END_SECONDS / 2  # for what a process has left that is told to end
SPREAD_SECONDS = 2.0  # until every name server has heard that an edge has left DNS
CLOSE_SECONDS = 5.0  # for the last bytes of tunnels when the edge stops


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """
    What came of a reload.

    :param needs_restart: sections that differ and that only a restart applies.
    :param complaints: a sentence for each certificate that is not used.
    """

    needs_restart: tuple[str, ...]
    complaints: tuple[str, ...]


class EdgeNode(Service):
    """
    One edge.

    :param reactor: to listen with, and the clock of all durations.
    :param handed: sockets that systemd handed to the process: name → descriptors.
    :param read_settings: reads the configuration again for a reload; without it there is no reload.
    :param wall: the time of day, for certificates, tokens and the registry.
    :param say: tells the keeper that leads this process a word and its fields; None: nobody does.
    :param tell: called with how it goes, in a few words, when another process serves, or does no more.
    :param ask_for_time: called with the seconds in which visitors will be served, before a wait for agents.
    :raises WarpError: for what is wrong with keys, certificates and state.
    :ivar parts: what the edge consists of.
    :ivar hand_over: what the keeper's words lead to; None without one.
    :ivar ended: called when a hand-over has left nothing to do here.
    :ivar started: fires when everything listens and is published; fails if it cannot, and nothing is left then.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        settings: EdgeSettings,
        *,
        read_settings: Callable[[], EdgeSettings] | None = None,
        wall: WallClock = MACHINE_WALL_CLOCK,
        handed: Mapping[str, Sequence[int]] = MappingProxyType({}),
        say: Callable[..., None] | None = None,
        tell: Callable[[str], None] = lambda status: None,
        ask_for_time: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._clock = reactor
        self._read_settings = read_settings
        self._in_thread: InThread = partial(deferToThreadPool, reactor, reactor.getThreadPool())
        self._reloading = DeferredLock()
        self._reloaded: list[Callable[[EdgeSettings], None]] = []
        self._starting: Deferred[None] | None = None
        self._start_error: Exception | None = None
        self._drained: Deferred[None] | None = None
        self.started: Deferred[None] = Deferred()
        self.ended: Callable[[], object] = lambda: None
        self.parts: EdgeParts = assemble(reactor, wall, settings, self, handed, is_led=say is not None)
        self._stages = Stages(
            self.parts, reactor, is_led=say is not None, ended=self._end, tell=tell, ask_for_time=ask_for_time
        )
        self.hand_over = HandOver(self._stages, say) if say is not None else None

    @property
    def settings(self) -> EdgeSettings:
        """The settings as they are now."""
        return self.parts.settings()

    @property
    def ports(self) -> BoundPorts:
        """Where the node listens, once it does."""
        return self.parts.listeners.ports

    # Starting.

    def startService(self) -> None:
        """Begin; `started` says how it went. What is wrong at once is raised instead, and then taken down."""
        super().startService()
        self._starting = Deferred.fromCoroutine(self._start())
        if self._start_error is not None:
            self.running = False
            raise self._start_error

    async def _start(self) -> None:
        try:
            if self.hand_over is not None:
                await self.hand_over.begin()
            else:
                await self._stages.prepare()
                await self._stages.take()
        except Exception as error:
            self._start_error = error
            await self._stop_parts(self.parts)
            if self.running and not isinstance(error, CancelledError):  # else it was raised, or nobody waits
                self.started.errback(error)
            return
        self._log.info("edge {edge} of {zone} serves", edge=self.settings.edge.name, zone=self.settings.zone)
        self.started.callback(None)

    def _end(self) -> None:
        """End without a drain: what there was is finished, or is another process'."""
        self._drained = succeed(None)
        self.ended()

    # Reloading.

    def on_reload(self, applied: Callable[[EdgeSettings], None]) -> None:
        """Call a function with the settings of each reload that succeeds."""
        self._reloaded.append(applied)

    async def reload(self) -> Reloaded:
        """
        Read the configuration again and apply what can be applied.

        :raises InvalidSettings: if it is refused; nothing of it is applied.
        """
        if self._read_settings is None:
            raise EdgeError("this edge was started without a configuration file")
        await self._reloading.acquire()
        try:
            return await self._reload(self.parts, await self._in_thread(self._read_settings))
        finally:
            self._reloading.release()

    async def _reload(self, parts: EdgeParts, wanted: EdgeSettings) -> Reloaded:
        running = self.settings
        later = needs_restart(running, wanted)
        settings = merge_reloaded(running, wanted)
        await self._in_thread(parts.registry_certificate.read)
        await self._reload_dns(parts, settings)
        try:
            complaints = await parts.serving.reload(settings)
        except InvalidSettings:
            await self._reload_dns(parts, running)
            raise
        parts.settings.value = settings
        parts.entry.refresh()
        parts.firewall_bans.follow(settings.firewall_bans)
        parts.claims.ttl_seconds = settings.timeouts.lease
        parts.tunnel_port.settings_changed()
        parts.acme.look()
        for applied in self._reloaded:
            applied(settings)
        self._log.info(
            "configuration read again: {taken}; after a restart: {later}",
            taken=", ".join(changed_keys(running, settings)) or "nothing new", later=", ".join(later) or "nothing",
        )  # fmt: skip
        for complaint in complaints:
            self._log.warn("a certificate is not used: {complaint}", complaint=complaint)
        return Reloaded(needs_restart=tuple(later), complaints=tuple(complaints))

    async def _reload_dns(self, parts: EdgeParts, settings: EdgeSettings) -> None:
        if parts.nameserver is not None:
            await reload_nameserver(parts.nameserver, settings, parts.publication, parts.numbering)

    # Stopping.

    def drain(self) -> Deferred[None]:
        """
        Take nothing new: names that other edges serve leave this one, agents move, visitors are let in no more, and
        requests finish.

        :returns: fires when they are done, or `timeouts.drain` is over; `timeouts.drain_alone` where no other edge is.
        """
        if self._drained is None:
            timeouts = self.settings.timeouts
            alone = min(timeouts.drain, timeouts.drain_alone)
            seconds = alone if self.parts.entry.is_alone else timeouts.drain
            self._drained = Deferred.fromCoroutine(self._drain(self.parts, seconds))
        return self._drained

    async def _drain(self, parts: EdgeParts, timeout: float) -> None:
        self._log.info("draining, for at most {seconds} s", seconds=timeout)
        until = self._clock.seconds() + timeout
        await parts.entry.drain()
        if parts.fleet_numbering is not None:
            await parts.fleet_numbering.give_up()
        await parts.publisher.settled()
        await parts.listeners.close("tunnel")
        parts.tunnels.drain(timeout)
        if not parts.entry.is_alone:
            # Who still comes is served until agents have moved, and resolvers have forgotten this edge's addresses.
            forgotten_at = self._clock.seconds() + self.settings.dns.ttl + SPREAD_SECONDS
            await agents_moved(parts.mirror, self.settings.edge.name, self._clock, min(MOVE_SECONDS, timeout / 2))
            open_until = min(forgotten_at, until - timeout / 2)
            await deferLater(self._clock, max(0.0, open_until - self._clock.seconds()))
        await parts.listeners.close("http", "https")
        await parts.serving.drain(max(until - self._clock.seconds(), 0.0))
        self._log.info("drained")

    def stopService(self) -> Deferred[None]:
        """Drain, then stop everything; fires when nothing is left."""
        super().stopService()
        if self.hand_over is not None:
            is_left = self.hand_over.state is State.DRAINING
            self.hand_over.stop()
            self._stages.tell_no_more()
            if is_left and self._drained is None:
                self._drained = Deferred.fromCoroutine(self._finish_soon(self.parts))
        return Deferred.fromCoroutine(self._stop())

    async def _finish_soon(self, parts: EdgeParts) -> None:
        """Another process has everything but what is under way here, which had its time: give it a little more."""
        timeouts = self.settings.timeouts
        await parts.serving.drain(min(timeouts.drain, timeouts.drain_alone, FINISH_SECONDS))
        left = await parts.serving.what_is_left()
        if left:
            self._log.warn("this process is told to end, and cuts what it has left: {left}", left=left)

    async def _stop(self) -> None:
        self.parts.expected_hostnames.stop_keeping()
        starting, self._starting = self._starting, None
        if starting is not None and not self.parts.readiness.has_settled:
            if self._start_error is None:
                starting.cancel()
            await starting  # it takes down what is up
            return
        await self.drain()
        await self._stop_parts(self.parts)

    async def _stop_parts(self, parts: EdgeParts) -> None:
        await parts.listeners.close("tunnel", "http", "https")
        parts.entry.stop()
        parts.serving.stop()
        parts.clock_steps.stop()
        parts.tunnel_certificate.stop()
        parts.registry_certificate.stop()
        parts.assertion_keys.stop()
        parts.cookie_keys.stop()
        parts.firewall_bans.stop()
        parts.guards.stop()
        parts.shifts.stop()
        parts.agent_expiry.stop()
        parts.name_expiry.stop()
        await parts.acme.end()
        parts.grace.stop()
        parts.publisher.stop()  # who follows keeps what was published last: a restart must not deny names
        await parts.tunnels.stop(CLOSE_SECONDS)
        await parts.claims.stop()
        if parts.fleet_numbering is not None:
            parts.fleet_numbering.end()
        parts.peers.stop()
        if parts.nameserver is not None:
            await parts.nameserver.stop()
        parts.admin.close()
        parts.published.close()
        await parts.listeners.close("metrics", "admin", "records")
        parts.admin.disconnect()
        parts.published.disconnect()
        parts.observation.disconnect()
        parts.long_work.stop()
        parts.mirror.stop()
        await parts.store.close()

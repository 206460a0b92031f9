"""
What an edge has of ACME, made and joined: the challenges that it publishes, and where edge.yaml has `acme` the ordering
of certificates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed

from warp_base.reactor import InThread, Reactor
from warp_base.wall_clock import WallClock
from warp_dns.serve.server import DnsServer
from warp_twisted.acme.supervised import IssuingProcess
from warp_twisted.edge.acme.challenges import Challenges
from warp_twisted.edge.acme.ordering import Ordering
from warp_twisted.edge.acme.sealing_key import SealingKey
from warp_twisted.edge.acme.settings import AcmeSettings
from warp_twisted.edge.acme.updates import ChallengeUpdates
from warp_twisted.edge.operators.acme_calls import AcmeCalls
from warp_twisted.edge.operators.challenge_calls import ChallengeCalls
from warp_twisted.edge.registry_entry import RegistryEntry
from warp_twisted.edge.settings import CurrentSettings
from warp_twisted.edge.visitors.serving import Serving
from warp_twisted.registry.claims import Claims
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.published.publisher import Publisher
from warp_twisted.registry.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class AcmeParts:
    """
    The parts.

    :ivar ordering: None: certificates are not ordered here. Without an admin socket other edges order, as the issuing
        process has no other way to this one.
    :ivar calls: of the admin interface.
    """

    challenges: Challenges
    ordering: Ordering | None
    calls: Sequence[Any]

    @property
    def sealing_key(self) -> str:
        """The public half of the key to which others seal what this edge needs; empty if it needs nothing."""
        return self.ordering.key.public if self.ordering is not None else ""

    def start(self) -> None:
        """Begin what writes to the registry."""
        if self.ordering is not None:
            self.ordering.start()

    def stop(self) -> Deferred[None]:
        """Write no more; fires when another process may."""
        return self.ordering.stop() if self.ordering is not None else succeed(None)

    def look(self) -> None:
        """Settings have changed: see what is wanted now."""
        if self.ordering is not None:
            self.ordering.look()

    def end(self) -> Deferred[None]:
        """Do nothing more by time or by change."""
        self.challenges.stop()
        if self.ordering is not None:
            self.ordering.in_use.stop()
        return self.stop()


def make_acme(
    reactor: Reactor,
    wall: WallClock,
    settings: CurrentSettings,
    state: Path,
    store: Store,
    mirror: Mirror,
    claims: Claims,
    publisher: Publisher,
    serving: Serving,
    entry: RegistryEntry,
    nameserver: DnsServer | None,
    in_thread: InThread,
) -> AcmeParts:
    """
    Make the parts.

    :raises InvalidSettings: if the key of this edge cannot be read or made.
    """
    initial = settings()
    challenges = Challenges(initial.edge.name, claims, mirror, reactor, publisher.settled)
    serving.visitors.challenge_answers = challenges.http_answers
    ordering = None
    if initial.acme is not None:
        key, admin = SealingKey(state), initial.listen.admin
        ordering = Ordering(
            reactor,
            wall,
            initial.edge.name,
            initial.zone,
            lambda: settings().acme or AcmeSettings(),
            key=key,
            process=IssuingProcess(reactor, admin, str(key.path)) if admin is not None else None,
            store=store,
            mirror=mirror,
            shows=serving,
            in_thread=in_thread,
            nameservers=entry.name_servers,
            changed=entry.refresh,
        )
    if nameserver is not None and initial.dns.challenge_keys:
        nameserver.take_updates(ChallengeUpdates(challenges, initial.zone, initial.dns.challenge_keys))
    calls = (ChallengeCalls(challenges, initial.zone), AcmeCalls(ordering))
    return AcmeParts(challenges=challenges, ordering=ordering, calls=calls)

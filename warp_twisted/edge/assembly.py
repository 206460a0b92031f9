"""
One edge's parts, made and joined: which object is handed to which, and nothing else.

Nothing is started here. Made first is what may be refused; the store is made last of those, as it locks its file and
nothing after it may raise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from twisted.internet.threads import deferToThreadPool

from warp_base.exposition import Exposition
from warp_base.reactor import InThread, Reactor
from warp_base.slices import Slices
from warp_base.wall_clock import WallClock
from warp_dns.serve.server import DnsServer
from warp_dns.zone.numbering import ZoneNumbering
from warp_twisted import __version__
from warp_twisted.ca.edge_identity import authority_key
from warp_twisted.ca.issue import to_pem
from warp_twisted.clock_steps import ClockSteps
from warp_twisted.edge.acme_parts import AcmeParts, make_acme
from warp_twisted.edge.agents.admission import Admission, identify_peer
from warp_twisted.edge.agents.agent_expiry import AgentExpiry
from warp_twisted.edge.agents.enrollment import Enrollment
from warp_twisted.edge.agents.entrance import Entrance
from warp_twisted.edge.agents.expected_hostnames import ExpectedHostnames
from warp_twisted.edge.agents.listening import TunnelPort
from warp_twisted.edge.agents.registrations import Registrations
from warp_twisted.edge.agents.returning import Returning
from warp_twisted.edge.agents.tunnel_certificate import TunnelCertificate
from warp_twisted.edge.agents.tunnels import EdgeTunnels
from warp_twisted.edge.check import load_authority
from warp_twisted.edge.firewall_bans import FirewallBans
from warp_twisted.edge.handed_bans import HandedBans
from warp_twisted.edge.kept_bans import KeptBans
from warp_twisted.edge.listeners import Listeners
from warp_twisted.edge.nameserver import first_serial, follow_edges, make_nameserver
from warp_twisted.edge.numbering.numbering import FleetNumbering
from warp_twisted.edge.operators.admin import Admin
from warp_twisted.edge.operators.control_metrics import ControlCollector
from warp_twisted.edge.operators.observation import Observation
from warp_twisted.edge.operators.operations import EdgeOperations, Lifecycle
from warp_twisted.edge.operators.policy_calls import PolicyCalls
from warp_twisted.edge.operators.published import PublishedRecords
from warp_twisted.edge.operators.routing_calls import RoutingCalls
from warp_twisted.edge.owners.expiry import NameExpiry
from warp_twisted.edge.owners.holdings import Holdings
from warp_twisted.edge.owners.ownership import Ownership
from warp_twisted.edge.peers.peers import Peers
from warp_twisted.edge.policy.assertion_keys import AssertionKeys, PublishedKeys
from warp_twisted.edge.policy.delivery.announcing import AnnouncedPolicy
from warp_twisted.edge.policy.delivery.applying import PolicyApplications
from warp_twisted.edge.policy.delivery.fleet import RegistryPolicy
from warp_twisted.edge.policy.service_tokens import ServiceTokens
from warp_twisted.edge.readiness import Readiness
from warp_twisted.edge.registry_entry import RegistryEntry
from warp_twisted.edge.relays.relaying import Relaying
from warp_twisted.edge.routing.cookie_keys import FleetCookieKeys
from warp_twisted.edge.routing.guards import Guards
from warp_twisted.edge.routing.notices import Notices
from warp_twisted.edge.routing.shifts import Shifts
from warp_twisted.edge.settings import CurrentSettings, EdgeSettings
from warp_twisted.edge.stores.certificate import RegistryCertificate, load_trust
from warp_twisted.edge.stores.making import make_directory, make_store
from warp_twisted.edge.visitors.serving import Serving
from warp_twisted.registry.claims import Claims
from warp_twisted.registry.given_names import NameGiver
from warp_twisted.registry.known_hostnames import KnownHostnames
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.policy_versions import PolicyVersions
from warp_twisted.registry.published.grace import Grace
from warp_twisted.registry.published.publish import Publication
from warp_twisted.registry.published.publisher import Publisher
from warp_twisted.registry.store import MAX_LIVE_VALUE_BYTES, LastingStore
from warp_twisted.web_client import make_agent

# Of a turn, and of the time: a visitor's request takes four turns, and waits for a slice in each.
LONG_WORK_SECONDS = 0.001
LONG_WORK_SHARE = 0.5
PUBLISHING_SECONDS = 0.002  # of a turn of the reactor; the DNS server takes about as long for what is published in it


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeParts:
    """
    The collaborators that make an edge.

    :ivar settings: what all of them ask for the settings of this moment.
    :ivar cookie_keys: of the cookies of split hostnames.
    :ivar shifts: of these; `guards` judge their shares.
    :ivar entry: this edge in the registry.
    :ivar handed_bans: those that go from one process of this edge to the next.
    :ivar acme: challenges that are published, and certificates that are ordered.
    :ivar grace: names without a tunnel that are not denied yet.
    :ivar serving: the visitors' side.
    :ivar metrics: what a scrape reads.
    :ivar fleet_policy: the policy in the registry.
    :ivar peers: the links with other edges.
    :ivar relaying: serves what they have, and lets them have what this one serves.
    :ivar numbering: of the zone; None: this edge is alone. `fleet_numbering` says who numbers it.
    :ivar published: the records, on a socket of their own.
    :ivar long_work: long answers to operators, and looks through the whole registry.
    """

    settings: CurrentSettings
    listeners: Listeners
    serving: Serving
    store: LastingStore
    registry_certificate: RegistryCertificate
    mirror: Mirror
    claims: Claims
    publication: Publication
    publisher: Publisher
    acme: AcmeParts
    grace: Grace
    nameserver: DnsServer | None
    entry: RegistryEntry
    enrollment: Enrollment
    agent_expiry: AgentExpiry
    announced_policy: AnnouncedPolicy
    assertion_keys: AssertionKeys
    fleet_policy: RegistryPolicy
    name_expiry: NameExpiry
    expected_hostnames: ExpectedHostnames
    firewall_bans: FirewallBans
    handed_bans: HandedBans
    kept_bans: KeptBans
    tunnels: EdgeTunnels
    tunnel_port: TunnelPort
    tunnel_certificate: TunnelCertificate
    peers: Peers
    relaying: Relaying
    numbering: ZoneNumbering | None
    fleet_numbering: FleetNumbering | None
    clock_steps: ClockSteps
    cookie_keys: FleetCookieKeys
    shifts: Shifts
    guards: Guards
    readiness: Readiness
    metrics: Exposition
    observation: Observation
    admin: Admin
    published: PublishedRecords
    long_work: Slices


def assemble(
    reactor: Reactor,
    wall: WallClock,
    initial: EdgeSettings,
    lifecycle: Lifecycle,
    handed: Mapping[str, Sequence[int]],
    *,
    is_led: bool = False,
) -> EdgeParts:
    """
    Make the parts of an edge.

    :param lifecycle: what operators may have done to the edge as a whole.
    :param handed: sockets that systemd handed to the process: name → descriptors.
    :param is_led: whether a keeper says when to take the registry and sockets, which another process may have still.
    :raises WarpError: naming what of the settings cannot be used; nothing is left open then.
    """
    settings = CurrentSettings(initial)
    authority = load_authority(initial, wall.now())
    in_thread: InThread = partial(deferToThreadPool, reactor, reactor.getThreadPool())
    serving = Serving(reactor, wall, initial, in_thread)
    publication = Publication(
        initial.zone,
        ttl=initial.dns.ttl,
        reserved=initial.nameservers,
        https=initial.dns.https_records,
        browse=initial.dns.browse,
    )
    state = make_directory(initial.state)
    numbering = ZoneNumbering() if initial.registry is not None else None
    nameserver = make_nameserver(reactor, wall, initial, publication, is_shared=is_led, numbering=numbering)
    trust = load_trust(initial.registry.etcd, authority.roots) if initial.registry is not None else None
    registry_certificate = RegistryCertificate(reactor, wall, lambda: settings().registry, trust)
    store = make_store(reactor, initial.registry, trust, state, initial.edge.name, is_follower=is_led)
    # What this edge says of itself as long as it runs.
    live = MemoryStore(reactor, max_value_bytes=MAX_LIVE_VALUE_BYTES)
    mirror = Mirror(store, reactor, live)
    if nameserver is not None:
        follow_edges(nameserver, mirror, initial.edge.name, initial.dns.places.edges)
    publisher = Publisher(publication, mirror, Slices(reactor, PUBLISHING_SECONDS), initial.edge.name)
    grace = Grace(publisher, reactor, initial.edge.name, initial.dns.grace)
    expected_hostnames = ExpectedHostnames(state / "served.json", mirror, initial.edge.name, reactor, in_thread)
    claims = Claims(live, reactor, initial.timeouts.lease)
    listeners = Listeners(reactor, handed)
    assertion_keys = AssertionKeys(state, initial.zone, reactor, wall, in_thread)
    serving.policy.assertions = assertion_keys.assertions
    service_tokens = ServiceTokens(store, mirror, wall)
    serving.policy.find_token = service_tokens.find
    serving.policy.key_set = PublishedKeys(mirror, assertion_keys).content
    follower = serving.policy_follower
    policy_versions = PolicyVersions(store)
    applications = PolicyApplications(policy_versions, mirror, follower, wall, in_thread)
    cookie_keys = FleetCookieKeys(
        store,
        mirror,
        reactor,
        wall,
        are_needed=lambda: serving.routes.splitting.keeps_by_cookie,
        use=serving.routes.splitting.use_cookie_keys,
    )
    serving.when_routed = cookie_keys.look
    shifts = Shifts(store, mirror, reactor, wall, serving.routes.splitting)
    long_work = Slices(reactor, LONG_WORK_SECONDS, LONG_WORK_SHARE)
    notices = Notices(lambda: make_agent(reactor), reactor)
    guards = Guards(
        store, mirror, reactor, wall, serving.routes.splitting, shifts, long_work, initial.edge.name, notices
    )
    routing = RoutingCalls(shifts, guards, serving.routes.splitting, serving.routes.ejection, in_thread)
    entry = RegistryEntry(
        reactor,
        wall,
        settings,
        mirror,
        claims,
        serving,
        lambda: listeners.ports,
        lambda: assertion_keys.public,
        lambda: peers.relays_to(),
    )
    acme = make_acme(
        reactor, wall, settings, state, store, mirror, claims, publisher, serving, entry, nameserver, in_thread
    )
    own_key = authority_key(authority.issuer.certificate)
    peers = Peers(
        reactor,
        wall,
        initial.edge.name,
        store,
        mirror,
        serving.policy.banning,
        describe=lambda: entry.record(own_key, acme.sealing_key),
        context=lambda: tunnel_certificate.dialing_context(),
        refresh=entry.refresh,
        software=f"warp {__version__}",
        region=initial.edge.region,
    )
    fleet_numbering = None
    if numbering is not None:
        serial = first_serial(initial, wall)
        fleet_numbering = FleetNumbering(
            reactor, initial.edge.name, initial.zone, store, peers.links, numbering, lambda: serial
        )
    relaying = Relaying(initial.edge.name, serving.routes, mirror, peers.links, long_work.start)
    serving.routes.is_reserved = entry.has_owner
    serving.policy.banning.is_edge = entry.is_edge
    firewall_bans = FirewallBans(serving.policy.banning, entry.edge_addresses, reactor)
    serving.routes.is_known = KnownHostnames(mirror).knows
    registrations = Registrations()
    holdings = Holdings(mirror)
    serving.routes.is_of_others = holdings.is_of_others
    ownership = Ownership(store, holdings, registrations, wall, settings)
    enrollment = Enrollment(
        store, mirror, authority, wall, settings, entry.is_reserved, ownership, peers.renewals.issued
    )
    returning = Returning(store, mirror, authority.roots, enrollment, reactor, wall, settings)
    entrance = Entrance(reactor, settings, enrollment, returning)
    names = NameGiver(store, mirror, initial.zone, entry.is_reserved)
    tunnels = EdgeTunnels(
        reactor,
        wall,
        settings,
        routes=serving.routes,
        mirror=mirror,
        claims=claims,
        grace=grace,
        admission=Admission(mirror, names, identify_peer, entry.is_reserved),
        registrations=registrations,
        ownership=ownership,
        authority=enrollment,
        fleet=entry,
        asked=serving.policy.asked,
    )
    tunnel_port = TunnelPort(
        reactor, wall, settings, tunnels, entrance.ask, to_pem(authority.roots[0]), peers.links.accept
    )
    tunnel_certificate = TunnelCertificate(authority, initial, state, reactor, wall, tunnel_port.use, in_thread)
    readiness = Readiness(
        listeners=listeners,
        store=store,
        mirror=mirror,
        claims=claims,
        entry=entry,
        publication=publication,
        nameserver=nameserver,
        authority=authority,
        tunnel_certificate=tunnel_certificate,
        registry_certificate=registry_certificate,
        serving=serving,
    )
    metrics = Exposition()
    metrics.register(
        ControlCollector(
            settings=settings,
            registrations=tunnels.registrations,
            enrollment=enrollment,
            returning=returning,
            mirror=mirror,
            claims=claims,
            grace=grace,
            publication=publication,
            entry=entry,
            readiness=readiness,
            policy=lambda: follower.standing,
        )
    )
    for collector in (serving.collector, serving.policy, firewall_bans, guards, peers, relaying.counters):
        metrics.register(collector)
    for optional in (nameserver.collector if nameserver is not None else None, fleet_numbering, acme.ordering):
        if optional is not None:
            metrics.register(optional)
    observation = Observation(readiness.parts, readiness.problems, metrics, long_work)
    peers.live.banned = serving.banned_connections.cut
    peers.live.lost = grace.lost_with_edge
    peers.renewals.heard = tunnels.expiry.noted
    kept_bans = KeptBans(store, mirror, serving.policy.banning, wall, serving.banned_connections.cut, peers.live.note)
    operations = EdgeOperations(
        settings=settings,
        registrations=tunnels.registrations,
        enrollment=enrollment,
        ownership=ownership,
        service_tokens=service_tokens,
        mirror=mirror,
        claims=claims,
        entry=entry,
        publication=publication,
        readiness=readiness,
        visitors=serving.visitors.connections,
        banning=serving.policy.banning,
        policy=lambda: follower.standing,
        kept_bans=kept_bans,
        lifecycle=lifecycle,
        splits=routing.list_splits,
        ejected=serving.routes.ejection.listed,
        queues=serving.routes.queues.listed,
        peers=peers,
    )

    def published_records() -> PublishedRecords:
        return PublishedRecords(publication, lambda: readiness.has_settled, reactor, long_work, numbering)

    return EdgeParts(
        settings=settings,
        listeners=listeners,
        serving=serving,
        store=store,
        registry_certificate=registry_certificate,
        mirror=mirror,
        claims=claims,
        publication=publication,
        publisher=publisher,
        acme=acme,
        grace=grace,
        nameserver=nameserver,
        entry=entry,
        enrollment=enrollment,
        agent_expiry=AgentExpiry(store, mirror, reactor, wall, settings, long_work),
        announced_policy=AnnouncedPolicy(claims, follower, initial.edge.name),
        assertion_keys=assertion_keys,
        fleet_policy=RegistryPolicy(mirror, policy_versions, follower.wake),
        name_expiry=NameExpiry(store, mirror, holdings, registrations, reactor, wall, settings, long_work),
        expected_hostnames=expected_hostnames,
        firewall_bans=firewall_bans,
        handed_bans=HandedBans(
            state, serving.policy.banning, long_work, lambda network: network in mirror.kept_bans, in_thread
        ),
        kept_bans=kept_bans,
        tunnels=tunnels,
        tunnel_port=tunnel_port,
        tunnel_certificate=tunnel_certificate,
        peers=peers,
        relaying=relaying,
        numbering=numbering,
        fleet_numbering=fleet_numbering,
        clock_steps=ClockSteps(reactor, wall, lambda step: tunnel_certificate.clock_stepped()),
        cookie_keys=cookie_keys,
        shifts=shifts,
        guards=guards,
        readiness=readiness,
        metrics=metrics,
        observation=observation,
        admin=Admin(
            operations,
            (PolicyCalls(applications), routing, *acme.calls),
            observation,
            published_records(),
            long_work,
        ),
        published=published_records(),
        long_work=long_work,
    )

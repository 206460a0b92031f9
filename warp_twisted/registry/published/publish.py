"""
What DNS publishes of the registry: a pure mapping from edges and tunnels to records, kept up change by change.

For each published hostname the live tunnels are counted (`application`); only when a count leaves or reaches zero do
records change, and one registration touches the names of its own hostnames only, and the lists of all applications,
page by page (`discovery`). What a hostname costs does not depend on how many there are. The work is done in steps, so
that many changes, or one of many names, can be spread over turns of the reactor (`registry.published.publisher`).

A hostname has the addresses of the edges that have tunnels of it, and of those that say that they reach one of these
and relay to it (`Edge.relays_to`). Of several edges only those have them behind which an origin is healthy, as far as
agents probe them; where none is, all have them.

What edges serve, DNS answers, also where a wildcard of DNS would not (`covers`).

What proves to an authority that names are ours is published as edges tell it (`challenges`), and which authority may
issue certificates for them (`authorities`).

A hostname that is kept (`keep`) has the addresses of one edge and nothing else while no tunnel serves it: its agent was
lost and is waited for, and the edge says so to visitors. How long it is kept is decided in `registry.published.grace`.

Not published: hostnames outside the zone, and those that `is_reserved` keeps for the zone itself; names over 253
characters, and records of one name and type beyond what secondaries and answers carry (`records.fitting`), the last
to come. At names with an underscore there are no addresses, as secondaries may refuse those (BIND's check-names).
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from warp_twisted.coverage import is_reserved
from warp_twisted.names import Hostname
from warp_twisted.registry.acme.challenges import EdgeChallenges
from warp_twisted.registry.acme.records import AcmeAccount
from warp_twisted.registry.model import Change, Edge, Tunnel
from warp_twisted.registry.published.application import Application
from warp_twisted.registry.published.authorities import caa_records
from warp_twisted.registry.published.challenges import PublishedChallenges
from warp_twisted.registry.published.contributions import Contributions
from warp_twisted.registry.published.covers import Covers
from warp_twisted.registry.published.discovery import Discovery
from warp_twisted.registry.published.edge_records import EdgeRecords
from warp_twisted.registry.published.labels import NO_LABELS, PublishedLabels, quoted
from warp_twisted.registry.published.records import LiveEdge, Record, Records

DEFAULT_TTL = 5  # seconds a resolver may answer for us after a tunnel has gone
PUBLISHED_IN_A_ROW = 256  # hostnames, before what is new is counted and the lists of all applications follow
HOSTNAMES_IN_A_STEP = 64
LABELS_IN_A_STEP = 8

Changed = Callable[[Mapping[str, Records]], None]
Browse = Literal["all", "labels", "none"]


class Publication:
    """
    The records of one zone, changing with the registry; a `RecordSource`.

    :param zone: the zone's name.
    :param ttl: of every record, in seconds.
    :param reserved: labels under the zone that no application may have, such as those of name servers.
    :param https: whether HTTPS records are published (`edge_records`).
    :param browse: what strangers may learn: "all" lists all applications; "labels" has an instance and labels of each
        for who knows its name; "none" has neither.
    """

    def __init__(
        self,
        zone: str,
        *,
        ttl: int = DEFAULT_TTL,
        reserved: Collection[str] = (),
        https: bool = True,
        browse: Browse = "all",
    ) -> None:
        self._zone = zone
        self._ttl = ttl
        self._reserved = tuple(reserved)
        self._suffix = f".{zone}"
        self._are_labels_shown = browse != "none"
        self._of_edges = EdgeRecords(ttl, https)
        self._discovery = Discovery(zone, self._of_edges, is_listed=browse == "all")
        self._edges: dict[str, LiveEdge] = {}
        self._serving: dict[str, tuple[LiveEdge, ...]] = {}  # edge → itself and those that relay to it, by name
        self._applications: dict[str, Application] = {}
        self._kept: dict[str, str] = {}  # hostname that is kept → the edge whose addresses it has
        self._contributions = Contributions()
        self._covers = Covers(zone, (f"{name}.{zone}" for name in reserved), self._of_edges, self._contributions)
        self._challenges = PublishedChallenges(zone, ttl, self._covers, self._contributions)
        self._subscribers: list[Changed] = []
        self._queue: deque[Change] = deque()
        # Hostname → its label names that may have changed; "" stands for the hostname itself.
        self._coming: OrderedDict[str, set[str]] = OrderedDict()
        self._going: OrderedDict[str, set[str]] = OrderedDict()
        self._stale_edges: set[str] = set()

    @property
    def is_settled(self) -> bool:
        """Whether the records are what the changes that were taken in make of them."""
        return not (
            self._queue
            or self._stale_edges
            or self._coming
            or self._going
            or self._covers.is_stale
            or self._discovery.is_stale
        )

    @property
    def unlisted(self) -> int:
        """How many applications are in no list, as there are too many."""
        return self._discovery.left_out

    def snapshot(self) -> Mapping[str, Records]:
        """Return all records by owner as they are now."""
        return self._contributions.snapshot()

    def owners(self) -> list[str]:
        """Return every owner that has records now."""
        return self._contributions.owners()

    def records_of(self, owner: str) -> Records:
        """Return the records of one owner; none when it is not published."""
        return self._contributions.records_of(owner)

    def subscribe(self, changed: Changed) -> Callable[[], None]:
        """
        Call a function with each change: owner → all its records now, empty when the name is gone.

        :returns: call it to hear no more.
        """
        self._subscribers.append(changed)
        return lambda: self._subscribers.remove(changed)

    def apply(self, changes: Iterable[Change]) -> Mapping[str, Records]:
        """
        Take in changes of the registry at once, and tell the subscribers what became of the records.

        :returns: what the subscribers were told.
        """
        self.take(changes)
        for _ in self.steps():
            pass
        return self.tell()

    def take(self, changes: Iterable[Change]) -> None:
        """Note changes of the registry; `steps` makes records of them."""
        self._queue.extend(changes)

    def keep(self, hostname: str, edge: str) -> None:
        """Note that a hostname has the addresses of an edge while no tunnel serves it; until one comes, or `let_go`."""
        if self._is_published(Hostname(hostname)):
            self._kept[hostname] = edge
            if hostname not in self._applications:
                self._mark(hostname, {""}, is_coming=True)

    def let_go(self, hostname: str) -> None:
        """Note that a hostname is kept no more."""
        if self._kept.pop(hostname, None) is not None:
            self._mark(hostname, {""}, is_coming=False)

    def is_only_at(self, hostname: str, edge: str) -> bool:
        """Whether a hostname has tunnels at an edge, and at no other."""
        application = self._applications.get(hostname)
        return application is not None and application.edges.keys() == {edge}

    def steps(self) -> Iterator[None]:
        """
        Bring the records up to date, in steps of a few hostnames or labels each; ends when they are.

        Counting comes first, so that a tunnel that takes another's place changes no record. Then names that come go
        before names that go, the lists of all applications follow, and last what patterns stand for elsewhere.
        """
        while not self.is_settled:
            for _ in range(len(self._queue)):
                yield from self._take_in(self._queue.popleft())
            if self._stale_edges:
                yield from self._publish_edges()
            for _ in range(PUBLISHED_IN_A_ROW):
                stale = self._coming or self._going
                if not stale:
                    break
                yield from self._publish(*stale.popitem(last=False))
            for owner, records in self._discovery.lists():
                self._contributions.put(owner, "list", records)
                yield
            yield from self._covers.refresh()

    def tell(self) -> Mapping[str, Records]:
        """
        Tell the subscribers what became of the records since the last time.

        :returns: what they were told.
        """
        changed = self._contributions.take_changed()
        if changed:
            for subscriber in tuple(self._subscribers):
                subscriber(changed)
        return changed

    # Counting.

    def _take_in(self, change: Change) -> Iterator[None]:
        if isinstance(change.before, Edge) or isinstance(change.after, Edge):
            self._edge_changed(change)
        before, after = change.before, change.after
        if isinstance(before, Tunnel) and isinstance(after, Tunnel) and replace(before, failing=after.failing) == after:
            yield from self._follow_health(before, after)
            return
        if isinstance(before, Tunnel):
            yield from self._count(before, -1)
        if isinstance(after, Tunnel):
            yield from self._count(after, +1)
        if isinstance(before, EdgeChallenges) or isinstance(after, EdgeChallenges):
            yield from self._challenges.changed(before, after)
        if isinstance(before, AcmeAccount) or isinstance(after, AcmeAccount):
            self._contributions.put(self._zone, "authorities", caa_records(self._zone, self._ttl, after))
            yield

    def _edge_changed(self, change: Change) -> None:
        before, after = change.before, change.after
        if isinstance(before, Edge) and isinstance(after, Edge) and replace(before, relays_to=after.relays_to) == after:
            self._stale_edges.update(set(before.relays_to) ^ set(after.relays_to))  # what it reached before is the same
        else:
            for edge in (before, after):
                if isinstance(edge, Edge):
                    self._stale_edges.update((edge.name, *edge.relays_to))
        if isinstance(before, Edge):
            self._edges.pop(before.name, None)
        if isinstance(change.after, Edge):
            self._edges[change.after.name] = LiveEdge.of(change.after, self._zone)
        serving: dict[str, list[LiveEdge]] = {}
        for name, live in sorted(self._edges.items()):
            for reached in {name, *live.value.relays_to}:
                serving.setdefault(reached, []).append(live)
        self._serving = {name: tuple(edges) for name, edges in serving.items()}

    def _count(self, tunnel: Tunnel, step: int) -> Iterator[None]:
        if tunnel.draining:
            return
        labels = PublishedLabels.of(tunnel.labels) if self._are_labels_shown else NO_LABELS
        failing = frozenset(tunnel.failing)
        for hostname in tunnel.hostnames:
            if self._is_published(hostname):
                application = self._applications.get(hostname)
                if application is None:
                    application = self._applications[hostname] = Application()
                if step > 0:
                    self._kept.pop(hostname, None)
                touched = application.count(tunnel.edge, step, labels, is_well=hostname not in failing)
                if touched:
                    self._mark(hostname, touched, is_coming=step > 0)
            yield

    def _follow_health(self, before: Tunnel, after: Tunnel) -> Iterator[None]:
        """Count a tunnel's hostnames of which its agent says something else about the origins now."""
        if after.draining:
            return
        labels = PublishedLabels.of(after.labels) if self._are_labels_shown else NO_LABELS
        was_failing, failing = frozenset(before.failing), frozenset(after.failing)
        for hostname in was_failing ^ failing:
            application = self._applications.get(hostname)
            if application is not None and hostname in after.hostnames:
                touched = application.count_well(after.edge, -1 if hostname in failing else 1, labels)
                if touched:
                    self._mark(hostname, touched, is_coming=hostname not in failing)
            yield

    def _mark(self, hostname: str, labels: set[str], is_coming: bool) -> None:
        stale = self._coming.get(hostname)
        if stale is None:
            stale = self._going.get(hostname)
            if stale is None or is_coming:
                queue = self._coming if is_coming else self._going
                queue[hostname] = labels | self._going.pop(hostname, set())
                return
        stale |= labels

    def _is_published(self, hostname: Hostname) -> bool:
        is_above = hostname.startswith("*.") and self._suffix.endswith(hostname[1:])
        if not is_above and hostname != self._zone and not hostname.endswith(self._suffix):
            return False
        # Edges come and go, so their names are not asked for here: what was counted must be counted off again.
        return not is_reserved(hostname, self._zone, self._reserved)

    # Publishing.

    def _publish(self, hostname: str, labels: set[str]) -> Iterator[None]:
        application = self._applications.get(hostname) or Application()
        edges = self._live(application.edges, application.well)
        if hostname.startswith("*."):  # it answers for its names' addresses; no service or label is beneath a "*"
            yield from self._publish_at(hostname, application, edges)
        elif edges:
            if "" in labels:
                yield from self._publish_at(hostname, application, edges)
            yield from self._publish_beneath(hostname, application, edges, labels)
        else:  # what is beneath goes first: a name that is there because of it would have no addresses
            yield from self._publish_beneath(hostname, application, edges, labels)
            yield from self._publish_at(hostname, application, edges)
        if not application.edges and "" in labels:
            self._applications.pop(hostname, None)

    def _publish_at(self, hostname: str, application: Application, edges: Sequence[LiveEdge]) -> Iterator[None]:
        """Publish what a hostname or pattern holds itself, and what it stands for elsewhere."""
        kept = self._edges.get(self._kept.get(hostname, ""))
        shown = edges or ([kept] if kept is not None else [])
        records = self._answers(hostname, application, edges) or self._of_edges.addresses(hostname, shown)
        if hostname.startswith("*."):
            if hostname.endswith(self._suffix):
                self._contributions.put(hostname, "application", records)
            yield from self._covers.serve_pattern(hostname, shown)
        elif shown:
            yield from self._covers.serve(hostname, shown)
            self._contributions.put(hostname, "application", records)
        else:
            self._contributions.put(hostname, "application", ())
            yield from self._covers.drop(hostname)
        yield

    def _publish_beneath(
        self, hostname: str, application: Application, edges: Sequence[LiveEdge], labels: set[str]
    ) -> Iterator[None]:
        """Publish the service, instance and labels of a hostname, and label sets that its own TXT does not hold."""
        put = self._contributions.put
        if "" in labels:
            comes_or_goes = application.is_shown != bool(edges)
            application.is_shown = bool(edges)
            service = f"_http._tcp.{hostname}"
            put(service, "service", self._of_edges.visits(service, edges))
            if self._are_labels_shown:
                for owner, records in self._discovery.instance(hostname, application, edges):
                    put(owner, "instance", records)
            yield
            pages = {*application.texts.take_changed(), *(range(len(application.texts)) if comes_or_goes else ())}
            for page in pages - {0}:
                owner = f"{page}._label.{hostname}"
                put(owner, "label sets", self._texts(owner, application.texts[page]) if edges else ())
                yield
        for at, label in enumerate(labels - {""}):
            name = f"{label}._label.{hostname}"
            edges = self._live(application.labelled.get(label, {}), application.labelled_well.get(label, {}))
            put(name, "label", self._of_edges.visits(name, edges))
            if at % LABELS_IN_A_STEP == 0:
                yield

    def _answers(self, hostname: str, application: Application, edges: Sequence[LiveEdge]) -> tuple[Record, ...]:
        if not edges:
            return ()
        texts = self._texts(hostname, application.texts[0])
        return (*self._of_edges.addresses(hostname, edges), *self._of_edges.bindings(hostname, edges), *texts)

    def _texts(self, owner: str, label_sets: Iterable[str]) -> tuple[Record, ...]:
        return tuple(Record(owner, "TXT", self._ttl, quoted(text)) for text in sorted(label_sets))

    def _live(self, names: Collection[str], well: Collection[str] = ()) -> list[LiveEdge]:
        """
        Return the edges that are shown: those that drain only if all do, as a restart of one denies nothing.

        :param names: of edges that have tunnels; those that relay to them are shown, too.
        :param well: of these edges those behind which a healthy origin is; without any all are shown, as visitors are
            served there, or told why not.
        """
        edges = self._reaching(names)
        edges = [edge for edge in edges if not edge.value.draining] or edges
        healthy = {edge.value.name for edge in (self._reaching(well) if well and len(well) < len(names) else edges)}
        return [edge for edge in edges if edge.value.name in healthy] or edges

    def _reaching(self, names: Collection[str]) -> list[LiveEdge]:
        """Return the edges through which tunnels at some edges are reached, in the order of their names."""
        if len(names) == 1:
            return list(self._serving.get(next(iter(names)), ()))
        found = {edge.value.name: edge for name in names for edge in self._serving.get(name, ())}
        return [edge for _, edge in sorted(found.items())]

    def _publish_edges(self) -> Iterator[None]:
        """Publish the edges that changed, and mark the hostnames that they serve, or did; so of edges relayed to."""
        names, self._stale_edges = self._stale_edges, set()
        for name in names:
            owner = f"{name}.{self._zone}"
            edges = [self._edges[name]] if name in self._edges else []
            if edges:
                yield from self._covers.own(owner)
            self._contributions.put(owner, "edge", self._of_edges.addresses(owner, edges))
            if not edges:
                yield from self._covers.disown(owner)
        owner = f"_warp-edge._tcp.{self._zone}"
        accepting = [edge for _, edge in sorted(self._edges.items()) if not edge.value.draining]
        self._contributions.put(owner, "tunnels", self._of_edges.tunnels(owner, accepting))
        yield
        for at, (hostname, application) in enumerate(tuple(self._applications.items())):
            if not names.isdisjoint(application.edges):
                self._mark(hostname, {"", *application.labelled}, is_coming=False)
            if at % HOSTNAMES_IN_A_STEP == 0:
                yield
        for at, (hostname, edge) in enumerate(tuple(self._kept.items())):
            if edge in names:
                self._mark(hostname, {""}, is_coming=False)
            if at % HOSTNAMES_IN_A_STEP == 0:
                yield

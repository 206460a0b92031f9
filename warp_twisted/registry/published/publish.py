"""
What DNS publishes of the registry: a pure mapping from edges and tunnels to records, kept up change by change.

For each published hostname the live tunnels are counted per edge, per label and per label set; only when a count
leaves or reaches zero do records change, so an agent's second tunnel to the same edge costs nothing in DNS, and one
registration touches the names of its own hostnames only, and the list of all applications, which is bounded. What a
change costs does not depend on how many names there are. The work is done in steps, so that many changes, or one of
many names, can be spread over turns of the reactor (`registry.published.publisher`).

A hostname that is kept (`keep`) has the addresses of one edge and nothing else while no tunnel serves it: its agent was
lost and is waited for, and the edge says so to visitors. How long it is kept is decided in `registry.published.grace`.

Not published: hostnames outside the zone, and those that `is_reserved` keeps for the zone itself. A label appears as
`VALUE.KEY._label.HOSTNAME` in lower case with every character other than letters, digits, `-` and `_` written as `-`
(`v1.2` is `v1-2`), because a dot would begin another DNS label; labels that become equal by that share one name, and
an empty value, a key over 63 characters, or a name over 253 is left out. So is what one answer cannot carry: of the
records of one name and type, the list of all applications before all, those beyond `MAX_SET_BYTES`, the last to come.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from warp_twisted.coverage import is_reserved
from warp_twisted.names import MAX_HOSTNAME_LENGTH, Hostname
from warp_twisted.registry.model import Change, Edge, Tunnel
from warp_twisted.registry.published.records import (
    BrowseList,
    LiveEdge,
    Record,
    Records,
    fitting,
    https_parameters,
    label_names,
    merged,
    quoted,
)

DEFAULT_TTL = 5  # seconds a resolver may answer for us after a tunnel has gone
MAX_LABEL_SETS = 100  # of one hostname in its TXT records, the first to come; a label is a name of its own for each
PUBLISHED_IN_A_ROW = 256  # hostnames, before what is new is counted and the list of all applications follows
HOSTNAMES_IN_A_STEP = 64
LABELS_IN_A_STEP = 8


Changed = Callable[[Mapping[str, Records]], None]


@dataclass(slots=True)
class _Application:
    """Counts of live tunnels behind one hostname."""

    edges: dict[str, int] = field(default_factory=dict)
    labelled: dict[str, dict[str, int]] = field(default_factory=dict)
    label_sets: dict[str, int] = field(default_factory=dict)


class Publication:
    """
    The records of one zone, changing with the registry; a `RecordSource`.

    :param zone: the zone's name.
    :param ttl: of every record, in seconds.
    :param reserved: labels under the zone that no application may have, such as those of name servers.
    :param https: whether HTTPS records are published, for hostnames that an edge has a certificate for. A browser that
        sees one does not use plain HTTP.
    """

    def __init__(
        self,
        zone: str,
        *,
        ttl: int = DEFAULT_TTL,
        reserved: Iterable[str] = (),
        https: bool = True,
    ) -> None:
        self._zone = zone
        self._ttl = ttl
        self._https = https
        self._reserved = tuple(reserved)
        self._suffix = f".{zone}"
        self._browse_owner = f"_http._tcp.{zone}"
        self._edges: dict[str, LiveEdge] = {}
        self._applications: dict[str, _Application] = {}
        self._kept: dict[str, str] = {}  # hostname that is kept → the edge whose addresses it has
        self._browse = BrowseList()
        self._parts: dict[str, dict[str, tuple[Record, ...]]] = {}  # owner → who contributes → records
        self._records: dict[str, tuple[Record, ...]] = {}
        self._subscribers: list[Changed] = []
        self._queue: deque[Change] = deque()
        # Hostname → its label names that may have changed; "" stands for the hostname itself.
        self._coming: OrderedDict[str, set[str]] = OrderedDict()
        self._going: OrderedDict[str, set[str]] = OrderedDict()
        self._is_browse_stale = False
        self._stale_edges: set[str] = set()
        self._changed: dict[str, Records] = {}  # since the subscribers were told

    @property
    def is_settled(self) -> bool:
        """Whether the records are what the changes that were taken in make of them."""
        return not (self._queue or self._stale_edges or self._coming or self._going or self._is_browse_stale)

    def snapshot(self) -> Mapping[str, Records]:
        """Return all records by owner as they are now."""
        return dict(self._records)

    def owners(self) -> list[str]:
        """Return every owner that has records now."""
        return list(self._records)

    def records_of(self, owner: str) -> Records:
        """Return the records of one owner; none when it is not published."""
        return self._records.get(owner, ())

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

    def steps(self) -> Iterator[None]:
        """
        Bring the records up to date, in steps of a few hostnames or labels each; ends when they are.

        Counting comes first, so that a tunnel that takes another's place changes no record. Then names that come go
        before names that go, and the list of all applications is last: it changes with each of them.
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
            if self._is_browse_stale:
                self._is_browse_stale = False
                self._refresh(self._browse_owner)
                yield

    def tell(self) -> Mapping[str, Records]:
        """
        Tell the subscribers what became of the records since the last time.

        :returns: what they were told.
        """
        changed, self._changed = self._changed, {}
        if changed:
            for subscriber in tuple(self._subscribers):
                subscriber(changed)
        return changed

    # Counting.

    def _take_in(self, change: Change) -> Iterator[None]:
        if isinstance(change.before, Edge) or isinstance(change.after, Edge):
            self._edge_changed(change)
        if isinstance(change.before, Tunnel):
            yield from self._count(change.before, -1)
        if isinstance(change.after, Tunnel):
            yield from self._count(change.after, +1)

    def _edge_changed(self, change: Change) -> None:
        if isinstance(change.after, Edge):
            name = change.after.name
            self._edges[name] = LiveEdge.of(change.after, self._zone)
        else:
            name = change.before.name if isinstance(change.before, Edge) else ""
            self._edges.pop(name, None)
        self._stale_edges.add(name)

    def _count(self, tunnel: Tunnel, step: int) -> Iterator[None]:
        if tunnel.draining:
            return
        labels = label_names(tunnel.labels)
        label_set = ",".join(f"{key}={value}" for key, value in sorted(tunnel.labels.items()))
        for hostname in tunnel.hostnames:
            if self._is_published(hostname):
                touched = self._count_hostname(hostname, tunnel.edge, step, labels, label_set)
                if touched:
                    self._mark(hostname, touched, is_coming=step > 0)
            yield

    def _count_hostname(self, hostname: str, edge: str, step: int, labels: Iterable[str], label_set: str) -> set[str]:
        """Count a tunnel on or off; returns what may have changed: label names, and "" for the hostname itself."""
        application = self._applications.get(hostname)
        if application is None:
            application = self._applications[hostname] = _Application()
        if step > 0:
            self._kept.pop(hostname, None)
        touched = set()
        if _add(application.edges, edge, step) | _add(application.label_sets, label_set, step):
            touched.add("")
        for label in labels:
            counts = application.labelled.setdefault(label, {})
            if _add(counts, edge, step):
                touched.add(label)
            if not counts:
                del application.labelled[label]
        return touched

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
        if hostname != self._zone and not hostname.endswith(self._suffix):
            return False
        # Edges come and go, so their names are not asked for here: what was counted must be counted off again.
        return not is_reserved(hostname, self._zone, self._reserved)

    # Publishing.

    def _publish(self, hostname: str, labels: set[str]) -> Iterator[None]:
        if "" in labels:
            application = self._applications.get(hostname) or _Application()
            edges = self._live(application.edges)
            kept = self._edge_addresses(hostname, self._live([self._kept.get(hostname, "")]))
            records = self._application(hostname, edges, application.label_sets) or kept
            self._contribute(hostname, "application", records)
            if not hostname.startswith("*."):
                self._publish_service(hostname, edges)
            if not application.edges:
                self._applications.pop(hostname, None)
            yield
        if hostname.startswith("*."):  # it answers for its names' addresses; no service or label is beneath a "*"
            return
        for at, label in enumerate(labels - {""}):
            known = self._applications.get(hostname)
            edges = self._live(known.labelled.get(label, {})) if known else []
            name = f"{label}._label.{hostname}"
            self._contribute(name, "label", (*self._edge_addresses(name, edges), *self._services(name, edges)))
            if at % LABELS_IN_A_STEP == 0:
                yield

    def _publish_service(self, hostname: str, edges: Sequence[LiveEdge]) -> None:
        service = f"_http._tcp.{hostname}"
        self._contribute(service, "service", self._services(service, edges))
        if edges:
            if self._browse.add(hostname, Record(self._browse_owner, "PTR", self._ttl, f"{service}.")):
                self._is_browse_stale = True
        elif self._browse.remove(hostname):
            self._is_browse_stale = True

    def _live(self, names: Iterable[str]) -> list[LiveEdge]:
        edges = [self._edges[name] for name in sorted(names) if name in self._edges]
        return [edge for edge in edges if not edge.value.draining] or edges  # a restart of the only edge denies nothing

    def _application(
        self, hostname: str, edges: Sequence[LiveEdge], label_sets: Mapping[str, int]
    ) -> tuple[Record, ...]:
        if not edges:
            return ()
        shown = sorted(islice((text for text in label_sets if text), MAX_LABEL_SETS))
        texts = [Record(hostname, "TXT", self._ttl, quoted(text)) for text in shown]
        return (*self._edge_addresses(hostname, edges), *self._bindings(hostname, edges), *texts)

    def _edge_addresses(self, name: str, edges: Sequence[LiveEdge]) -> tuple[Record, ...]:
        return tuple(
            Record(name, type_, self._ttl, address, edge.value.name)
            for edge in edges
            for type_, address in edge.addresses
        )

    def _bindings(self, hostname: str, edges: Sequence[LiveEdge]) -> tuple[Record, ...]:
        """HTTPS records (RFC 9460): one for all edges when they share a port, else one for each edge."""
        secure = [edge for edge in edges if edge.value.https_port and edge.value.has_certificate(hostname)]
        ports = {edge.value.https_port for edge in secure}
        if not self._https or not ports:
            return ()
        if len(ports) == 1 and len(secure) == len(edges):
            return (Record(hostname, "HTTPS", self._ttl, f"1 . {https_parameters(ports.pop())}"),)
        return tuple(
            Record(
                hostname,
                "HTTPS",
                self._ttl,
                f"1 {edge.hostname}. {https_parameters(edge.value.https_port)}",
                edge.value.name,
            )
            for edge in secure
        )

    def _services(self, name: str, edges: Sequence[LiveEdge]) -> tuple[Record, ...]:
        return self._srv(name, [(edge, edge.value.http_port or edge.value.https_port) for edge in edges])

    def _srv(self, name: str, targets: Iterable[tuple[LiveEdge, int | None]]) -> tuple[Record, ...]:
        return tuple(
            Record(name, "SRV", self._ttl, f"0 {edge.value.weight} {port} {edge.hostname}.", edge.value.name)
            for edge, port in targets
            if port
        )

    def _publish_edges(self) -> Iterator[None]:
        """Publish the edges that changed, and mark the hostnames that they serve."""
        names, self._stale_edges = self._stale_edges, set()
        for name in names:
            owner = f"{name}.{self._zone}"
            edges = [self._edges[name]] if name in self._edges else []
            self._contribute(owner, "edge", self._edge_addresses(owner, edges))
        owner = f"_warp-edge._tcp.{self._zone}"
        accepting = [edge for _, edge in sorted(self._edges.items()) if not edge.value.draining]
        self._contribute(owner, "tunnels", self._srv(owner, [(edge, edge.value.tunnel_port) for edge in accepting]))
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

    def _contribute(self, owner: str, contributor: str, records: tuple[Record, ...]) -> None:
        if len(owner) > MAX_HOSTNAME_LENGTH:
            return
        parts = self._parts.get(owner)
        if parts is None:
            if not records:
                return
            parts = self._parts[owner] = {}
        if parts.get(contributor, ()) == records:
            return
        if records:
            parts[contributor] = records
        else:
            del parts[contributor]
            if not parts:
                del self._parts[owner]
        if owner == self._browse_owner:  # of the zone's own hostname, beside the list of all
            self._is_browse_stale = True
        else:
            self._refresh(owner)

    def _refresh(self, owner: str) -> None:
        """Put an owner's records together, and note them as changed if they differ from before."""
        groups: list[Sequence[Record]] = list(self._parts.get(owner, {}).values())
        if owner == self._browse_owner:
            groups.append(self._browse.records)
            records = tuple(groups[0]) if len(groups) == 1 else merged(groups)
        else:
            records = fitting(tuple(groups[0]) if len(groups) == 1 else merged(groups))
        if records == self._records.get(owner, ()):
            return
        self._changed[owner] = records
        if records:
            self._records[owner] = records
        else:
            del self._records[owner]


def _add(counts: dict[str, int], key: str, step: int) -> bool:
    """Count up or down, and say whether the key appeared or vanished."""
    count = counts.get(key, 0) + step
    if count > 0:
        counts[key] = count
        return count == step
    counts.pop(key, None)
    return True

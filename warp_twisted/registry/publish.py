"""
What DNS publishes of the registry: a pure mapping from edges and tunnels to records, kept up change by change.

The names are those of DESIGN §7. For each published hostname the live tunnels are counted per edge, per label and
per label set; only when a count leaves or reaches zero do records change, so an agent's second tunnel to the same
edge costs nothing in DNS, and one registration touches the names of its own hostnames only.

Not published: hostnames outside the zone, and those that `is_reserved` keeps for the zone itself. A label appears as
`VALUE.KEY._label.HOSTNAME` in lower case with every character other than letters, digits, `-` and `_` written as `-`
(`v1.2` is `v1-2`), because a dot would begin another DNS label; labels that become equal by that share one name, and
an empty value, a key over 63 characters, or a name over 253 is left out. So is what one answer cannot carry: of the
records of one name and type, the list of all applications before all, those beyond `MAX_SET_BYTES`, the last to come.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from warp_twisted.names import MAX_HOSTNAME_LENGTH, Hostname
from warp_twisted.registry.model import Change, Edge, Tunnel

DEFAULT_TTL = 5  # seconds a resolver may answer for us after a tunnel has gone
MAX_SET_BYTES = 60_000  # of records of one name and type, uncompressed; with question and EDNS below DNS' 65,535
_RECORD_BYTES = 12  # of a record without its rdata: a pointer to its name, type, class, ttl, length
_ADDRESS_BYTES = 16
MAX_STRING = 255  # octets in one character-string, RFC 1035 §3.3

_NOT_IN_A_DNS_LABEL = re.compile(r"[^a-z0-9_-]")


@dataclass(frozen=True, slots=True)
class Record:
    """
    One resource record, in the shape that `warp_dns` reads.

    :param name: owner, lower case, absolute, without the trailing dot.
    :param rdata: presentation format, RFC 1035 §5; for HTTPS RFC 9460 §2.1.
    :param edge: the edge it points at, or "".
    """

    name: str
    type: str
    ttl: int
    rdata: str
    edge: str = ""


Records = Sequence[Record]
Changed = Callable[[Mapping[str, Records]], None]


def is_reserved(hostname: str, zone: str, names: Iterable[str]) -> bool:
    """
    Whether a hostname belongs to the zone itself, so that no agent may have it.

    Reserved are names with a label that starts with `_` (services, `_acme-challenge`), and the given names of edges
    and name servers. An agent with `*.warp.example` could otherwise take over `ns1.warp.example`.

    :param names: labels under the zone that are taken, such as `edge1`, `ns1`.
    """
    if any(label.startswith("_") for label in hostname.split(".")):
        return True
    return any(hostname == f"{name}.{zone}" for name in names)


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
        self._edges: dict[str, Edge] = {}
        self._applications: dict[str, _Application] = {}
        self._browse: dict[str, Record] = {}
        self._parts: dict[str, dict[str, tuple[Record, ...]]] = {}  # owner → who contributes → records
        self._records: dict[str, tuple[Record, ...]] = {}
        self._subscribers: list[Changed] = []
        self._touched: set[str] = set()

    def snapshot(self) -> Mapping[str, Records]:
        """Return all records by owner as they are now."""
        return dict(self._records)

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
        Take in changes of the registry, and tell the subscribers what became of the records.

        :returns: what the subscribers were told.
        """
        stale: dict[str, set[str]] = {}  # hostname → its label names that may have changed ("" is the hostname)
        edges_changed: set[str] = set()
        for change in changes:
            if isinstance(change.before, Edge) or isinstance(change.after, Edge):
                edges_changed.add(self._edge_changed(change))
            if isinstance(change.before, Tunnel):
                self._count(change.before, -1, stale)
            if isinstance(change.after, Tunnel):
                self._count(change.after, +1, stale)
        if edges_changed:
            self._publish_edges(edges_changed)
            for hostname, application in self._applications.items():
                if not edges_changed.isdisjoint(application.edges):
                    stale[hostname] = {"", *application.labelled, *stale.get(hostname, ())}
        for hostname, labels in stale.items():
            self._publish(hostname, labels)
        changed = self._flush()
        if changed:
            for subscriber in tuple(self._subscribers):
                subscriber(changed)
        return changed

    def _edge_changed(self, change: Change) -> str:
        if isinstance(change.after, Edge):
            self._edges[change.after.name] = change.after
            return change.after.name
        name = change.before.name if isinstance(change.before, Edge) else ""
        self._edges.pop(name, None)
        return name

    def _count(self, tunnel: Tunnel, step: int, stale: dict[str, set[str]]) -> None:
        if tunnel.draining:
            return
        labels = _label_names(tunnel.labels)
        label_set = ",".join(f"{key}={value}" for key, value in sorted(tunnel.labels.items()))
        for hostname in tunnel.hostnames:
            if not self._is_published(hostname):
                continue
            application = self._applications.setdefault(hostname, _Application())
            touched = stale.setdefault(hostname, set())
            if _add(application.edges, tunnel.edge, step) | _add(application.label_sets, label_set, step):
                touched.add("")
            for label in labels:
                counts = application.labelled.setdefault(label, {})
                if _add(counts, tunnel.edge, step):
                    touched.add(label)
                if not counts:
                    del application.labelled[label]

    def _is_published(self, hostname: Hostname) -> bool:
        if hostname != self._zone and not hostname.endswith("." + self._zone):
            return False
        # Edges come and go, so their names are not asked for here: what was counted must be counted off again.
        return not is_reserved(hostname, self._zone, self._reserved)

    def _publish(self, hostname: str, labels: set[str]) -> None:
        application = self._applications[hostname]
        if hostname.startswith("*."):
            # A wildcard answers for its names' addresses; no service or label can be beneath a "*".
            labels = labels & {""}
        for label in labels - {""}:
            edges = self._live(application.labelled.get(label, {}))
            name = f"{label}._label.{hostname}"
            self._contribute(name, "label", (*self._edge_addresses(name, edges), *self._services(name, edges)))
        if "" not in labels:
            return
        edges = self._live(application.edges)
        self._contribute(hostname, "application", self._application(hostname, edges, application.label_sets))
        if not hostname.startswith("*."):
            self._publish_service(hostname, edges)
        if not application.edges:
            del self._applications[hostname]

    def _publish_service(self, hostname: str, edges: Sequence[Edge]) -> None:
        service = f"_http._tcp.{hostname}"
        browse = f"_http._tcp.{self._zone}"
        self._contribute(service, "service", self._services(service, edges))
        if edges and hostname not in self._browse:
            self._browse[hostname] = Record(browse, "PTR", self._ttl, f"{service}.")
            self._touched.add(browse)
        elif not edges and hostname in self._browse:
            del self._browse[hostname]
            self._touched.add(browse)

    def _live(self, counts: Mapping[str, int]) -> list[Edge]:
        edges = [self._edges[name] for name in sorted(counts) if name in self._edges]
        return [edge for edge in edges if not edge.draining]

    def _application(self, hostname: str, edges: Sequence[Edge], label_sets: Mapping[str, int]) -> tuple[Record, ...]:
        if not edges:
            return ()
        texts = [Record(hostname, "TXT", self._ttl, _quoted(text)) for text in sorted(label_sets) if text]
        return (*self._edge_addresses(hostname, edges), *self._bindings(hostname, edges), *texts)

    def _edge_addresses(self, name: str, edges: Sequence[Edge]) -> tuple[Record, ...]:
        return tuple(record for edge in edges for record in self._addresses(name, edge.addresses, edge.name))

    def _addresses(self, name: str, addresses: Sequence[str], edge: str) -> tuple[Record, ...]:
        types = {4: "A", 6: "AAAA"}
        return tuple(Record(name, types[ip_address(a).version], self._ttl, a, edge) for a in addresses)

    def _bindings(self, hostname: str, edges: Sequence[Edge]) -> tuple[Record, ...]:
        """HTTPS records (RFC 9460): one for all edges when they share a port, else one for each edge."""
        secure = [edge for edge in edges if edge.https_port and edge.has_certificate(hostname)]
        ports = {edge.https_port for edge in secure}
        if not self._https or not ports:
            return ()
        if len(ports) == 1 and len(secure) == len(edges):
            return (Record(hostname, "HTTPS", self._ttl, f"1 . {_parameters(ports.pop())}"),)
        return tuple(
            Record(
                hostname, "HTTPS", self._ttl, f"1 {self._hostname_of(edge)}. {_parameters(edge.https_port)}", edge.name
            )
            for edge in secure
        )

    def _services(self, name: str, edges: Sequence[Edge]) -> tuple[Record, ...]:
        return self._srv(name, [(edge, edge.http_port or edge.https_port) for edge in edges])

    def _srv(self, name: str, targets: Iterable[tuple[Edge, int | None]]) -> tuple[Record, ...]:
        return tuple(
            Record(name, "SRV", self._ttl, f"0 {edge.weight} {port} {self._hostname_of(edge)}.", edge.name)
            for edge, port in targets
            if port
        )

    def _publish_edges(self, names: set[str]) -> None:
        for name in names:
            edge = self._edges.get(name)
            owner = f"{name}.{self._zone}"
            self._contribute(owner, "edge", self._addresses(owner, edge.addresses, name) if edge else ())
        owner = f"_warp-edge._tcp.{self._zone}"
        accepting = [edge for _, edge in sorted(self._edges.items()) if not edge.draining]
        self._contribute(owner, "tunnels", self._srv(owner, [(edge, edge.tunnel_port) for edge in accepting]))

    def _hostname_of(self, edge: Edge) -> str:
        return f"{edge.name}.{self._zone}"

    def _contribute(self, owner: str, contributor: str, records: tuple[Record, ...]) -> None:
        if len(owner) > MAX_HOSTNAME_LENGTH:
            return
        parts = self._parts.setdefault(owner, {})
        if parts.get(contributor, ()) != records:
            parts[contributor] = records
            self._touched.add(owner)
        if not records:
            parts.pop(contributor, None)
            if not parts:
                del self._parts[owner]

    def _flush(self) -> dict[str, Records]:
        """Put together the owners that were touched, and return those whose records differ from before."""
        changed: dict[str, Records] = {}
        browse = f"_http._tcp.{self._zone}"
        for owner in self._touched:
            groups = list(self._parts.get(owner, {}).values())
            if owner == browse:
                groups.append(tuple(self._browse.values()))
            records = _fitting(groups[0] if len(groups) == 1 else _merge(groups))
            if records == self._records.get(owner, ()):
                continue
            changed[owner] = records
            if records:
                self._records[owner] = records
            else:
                del self._records[owner]
        self._touched.clear()
        return changed


def _merge(groups: Sequence[Sequence[Record]]) -> tuple[Record, ...]:
    """Join what several contribute to one owner; data given twice appears once."""
    merged: dict[tuple[str, str], Record] = {}
    for group in groups:
        for record in group:
            merged.setdefault((record.type, record.rdata), record)
    return tuple(merged.values())


def _fitting(records: tuple[Record, ...]) -> tuple[Record, ...]:
    """Leave out the last records of each type that is too large for one answer."""
    if sum(map(_size, records)) <= MAX_SET_BYTES:
        return records
    sizes: dict[str, int] = {}
    fitting = []
    for record in records:
        sizes[record.type] = size = sizes.get(record.type, 0) + _size(record)
        if size <= MAX_SET_BYTES:
            fitting.append(record)
    return tuple(fitting)


def _size(record: Record) -> int:
    """Return at least what a record takes in a message: its text is as long as its data, but for short addresses."""
    return _RECORD_BYTES + max(_ADDRESS_BYTES, len(record.rdata) + 1)


def _add(counts: dict[str, int], key: str, step: int) -> bool:
    """Count up or down, and say whether the key appeared or vanished."""
    count = counts.get(key, 0) + step
    if count > 0:
        counts[key] = count
        return count == step
    counts.pop(key, None)
    return True


def _label_names(labels: Mapping[str, str]) -> list[str]:
    names = []
    for key, value in labels.items():
        key_label = _NOT_IN_A_DNS_LABEL.sub("-", key.lower())
        value_label = _NOT_IN_A_DNS_LABEL.sub("-", value.lower())
        if value_label and len(key_label) <= 63:
            names.append(f"{value_label}.{key_label}")
    return list(dict.fromkeys(names))


def _quoted(text: str) -> str:
    """Write a character-string, or several when the text is longer than one may be; labels need no escapes."""
    return " ".join(f'"{text[at : at + MAX_STRING]}"' for at in range(0, len(text), MAX_STRING))


def _parameters(port: int | None) -> str:
    return "alpn=http/1.1" if port == 443 else f"alpn=http/1.1 port={port}"

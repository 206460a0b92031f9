"""
Service discovery (RFC 6763): for each application an instance, and the lists in which browsers find it.

`app.ZONE` is the instance `app._http._tcp.ZONE`, and `app._https._tcp.ZONE` where there is a certificate for it: SRV
records of its edges, and one TXT record of its labels. `_http._tcp.ZONE` lists the instances. As no RRset may be
larger than what any secondary takes, a list is cut into pages (`pages`), each of them the list of a domain of its own:
the zone, then `1._browse.ZONE`, `2._browse.ZONE`, and so on. `b._dns-sd._udp.ZONE` names these domains to browsers, as
RFC 6763 §11 has it, and `_services._dns-sd._udp` under each domain what there is in it. The instances themselves stay
where they are, whatever page lists them.

Pure: says which owners have which records; `publish` puts them into the zone.
"""

from base64 import b32encode
from collections.abc import Iterator, Sequence
from hashlib import sha256

from warp_twisted.registry.published.application import Application
from warp_twisted.registry.published.edge_records import EdgeRecords
from warp_twisted.registry.published.labels import attributes
from warp_twisted.registry.published.pages import Pages
from warp_twisted.registry.published.records import LiveEdge, Record, fits

HTTP = "_http._tcp"
HTTPS = "_https._tcp"
MAX_INSTANCE = 63  # octets of the instance's name, which is one DNS label, RFC 6763 §4.1.1

Owned = tuple[str, tuple[Record, ...]]


def instance_of(hostname: str, zone: str) -> str:
    """
    Return the name of an application as an instance: its hostname without the zone, with `_` for each dot.

    The zone's own hostname is `_apex`. A name longer than a DNS label ends in `__` and the beginning of its SHA-256 in
    place of the rest. Hostnames have no `_`, so no two applications share a name. RFC 6763 would allow dots and any
    other characters, but the resolvers of Node and Go refuse to ask for a name that is not made of letters, digits,
    hyphens and underscores.
    """
    name = hostname.removesuffix(zone).removesuffix(".").replace(".", "_") or "_apex"
    if len(name) <= MAX_INSTANCE:
        return name
    digest = b32encode(sha256(name.encode()).digest()[:10]).decode().lower()
    return f"{name[: MAX_INSTANCE - 2 - len(digest)]}__{digest}"


class Discovery:
    """
    The instances and lists of one zone.

    :param is_listed: whether there are lists.
    """

    def __init__(self, zone: str, records: EdgeRecords, *, is_listed: bool) -> None:
        self._zone = zone
        self._records = records
        self._is_listed = is_listed
        self._lists = {HTTP: Pages(), HTTPS: Pages()}
        self._pointers_at: dict[str, dict[str, Record]] = {}  # owner of a list → target → record
        self._shown = dict.fromkeys(self._lists, 0)  # how many pages of each list the zone shows

    @property
    def is_stale(self) -> bool:
        """Whether a list must be written again."""
        return any(pages.is_changed for pages in self._lists.values())

    @property
    def left_out(self) -> int:
        """How many applications are in no list, as there are too many."""
        return max(pages.left_out for pages in self._lists.values())

    def instance(self, hostname: str, application: Application, edges: Sequence[LiveEdge]) -> Iterator[Owned]:
        """
        Yield what an application's instances hold, nothing if no edge serves it, and keep the lists.

        :param application: its labels.
        :param edges: that serve it.
        """
        name = instance_of(hostname, self._zone)
        for service, pages in self._lists.items():
            owner = f"{name}.{service}.{self._zone}"
            if not fits(owner):
                continue
            if service == HTTP:
                records = self._records.plain(owner, edges)
            else:
                records = self._records.secure(owner, hostname, edges)
            if records:
                records = (*records, Record(owner, "TXT", self._records.ttl, attributes(application.values)))
            if self._is_listed:
                (pages.add if records else pages.remove)(f"{owner}.")
            yield owner, records

    def lists(self) -> Iterator[Owned]:
        """Yield what each list holds that changed."""
        for service, pages in self._lists.items():
            for page in pages.take_changed():
                yield self._pointers(f"{service}.{self._domain(page)}", pages[page])
        before = self._shown
        shown = {service: len(pages) for service, pages in self._lists.items()}
        if shown == before:
            return
        self._shown = shown
        lowest = min(min(before[service], shown[service]) for service in shown if before[service] != shown[service])
        most = max(shown.values())
        for page in range(lowest, max(most, *before.values())):
            domain = self._domain(page)
            services = [f"{service}.{domain}." for service in shown if page < shown[service]]
            yield self._pointers(f"_services._dns-sd._udp.{domain}", services)
        domains = [f"{self._domain(page)}." for page in range(most)]
        for name in ("b", "lb"):
            yield self._pointers(f"{name}._dns-sd._udp.{self._zone}", domains)

    def _domain(self, page: int) -> str:
        return f"{page}._browse.{self._zone}" if page else self._zone

    def _pointers(self, owner: str, targets: Sequence[str]) -> Owned:
        """Return a list's records; those that were there before are the same objects, as making 100 takes a while."""
        before = self._pointers_at.get(owner, {})
        pointers = self._pointers_at[owner] = {
            target: before.get(target) or Record(owner, "PTR", self._records.ttl, target) for target in targets
        }
        if not pointers:
            del self._pointers_at[owner]
        return owner, tuple(pointers.values())

"""
A zone's own records: from a master file (RFC 1035 §5), and from the few settings that stand in for one.

Either way the result is `StaticRecords`: RRsets by owner and the place each came from, so that a later clash can
name both sides. dnspython does the tokens, names and record data; what makes a file wrong for this zone is decided
here, and is always said with its line.
"""

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.tokenizer
import dns.zonefile

from warp_dns.errors import InvalidRecord, InvalidZone
from warp_dns.message import names, records
from warp_dns.message.records import RRset
from warp_dns.settings import ZoneSettings


@dataclass(slots=True)
class StaticRecords:
    """
    Records that do not come from a source.

    :ivar owners: folded owner → type → RRset.
    :ivar places: (folded owner, type) → where it was written: file and line, or the setting's name.
    """

    apex: bytes
    owners: dict[bytes, dict[int, RRset]] = field(default_factory=dict)
    places: dict[tuple[bytes, int], str] = field(default_factory=dict)

    def add(self, owner: bytes, rtype: int, ttl: int, rdata: bytes, place: str) -> None:
        """
        Add one record; a second mention of the same record is no error (RFC 2181 §5).

        :raises InvalidZone: if it is outside the zone, or may not stand beside what is there.
        """
        folded = owner.lower()
        if not names.is_at_or_below(folded, self.apex):
            raise InvalidZone(f"{place}: {names.to_text(owner)} is outside the zone {names.to_text(self.apex)}")
        rrsets = self.owners.setdefault(folded, {})
        present = rrsets.get(rtype)
        if present is None:
            added = RRset(owner, rtype, ttl, (rdata,))
        elif rdata in present.rdatas:
            return
        else:
            added = replace(present, ttl=min(ttl, present.ttl), rdatas=(*present.rdatas, rdata))
        try:
            records.check_together(owner, [*(r for r in rrsets.values() if r.type != rtype), added])
        except InvalidRecord as error:
            others = {self.places[folded, other] for other in rrsets}
            raise InvalidZone(f"{place}: {error}; compare {', '.join(sorted(others))}") from error
        rrsets[rtype] = added
        self.places.setdefault((folded, rtype), place)

    def cuts(self) -> dict[bytes, str]:
        """Return the owners at or below which nobody else may publish (delegations and DNAMEs), and their places."""
        found: dict[bytes, str] = {}
        for owner, rrsets in self.owners.items():
            for rtype in (records.NS, records.DNAME):
                if rtype in rrsets and owner != self.apex:
                    found[owner] = self.places[owner, rtype]
        return found


def static_records(settings: ZoneSettings, content: bytes = b"") -> StaticRecords:
    """
    Return what a zone's settings and its master file say.

    :param content: of the master file, when the settings name one.
    :raises InvalidZone: naming the line or setting that is wrong.
    """
    try:
        apex = names.from_text(settings.name).lower()
    except InvalidRecord as error:
        raise InvalidZone(f"name: {error}") from error
    static = StaticRecords(apex)
    if settings.nameservers or settings.primary:
        _add_apex(static, settings)
    if settings.master_file:
        read_master_file(static, content, settings.master_file, settings.ttl)
    at_apex = static.owners.get(apex, {})
    for rtype in (records.SOA, records.NS):
        if rtype not in at_apex:
            kind, zone = records.type_text(rtype), names.to_text(apex)
            if settings.master_file:
                raise InvalidZone(
                    f"{settings.master_file}: no {kind} record at the apex of {zone}; or give nameservers"
                )
            raise InvalidZone(f"nameservers: expected the name servers of {zone}, or a master_file with SOA and NS")
    return static


def read_master_file(static: StaticRecords, content: bytes, path: str, default_ttl: int) -> None:
    """
    Read a master file's records.

    :param default_ttl: for records before any `$TTL` in a file whose SOA is elsewhere.
    :raises InvalidZone: naming the line.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidZone(f"{path}:{line}: not UTF-8 text") from error
    sink = _Sink(static, dns.name.from_wire(static.apex, 0)[0])
    tokenizer = _Tokenizer(io.StringIO(text), filename=path)
    has_soa = records.SOA in static.owners.get(static.apex, {})
    reader = dns.zonefile.Reader(
        tokenizer,
        dns.rdataclass.IN,
        sink,  # type: ignore[arg-type]  # the four methods of a Transaction that the reader calls
        allow_directives=["$ORIGIN", "$TTL"],
        default_ttl=default_ttl if has_soa else None,
    )
    sink.tokenizer = tokenizer
    reader.zone_origin = dns.name.root  # else the reader drops what is outside the zone, silently
    try:
        reader.read()
    except InvalidZone:
        raise
    except (dns.exception.DNSException, ValueError) as error:
        detail = re.sub(rf"^{re.escape(path)}:\d+: ", "", str(error))  # the reader's line is where it stopped reading
        raise InvalidZone(f"{path}:{tokenizer.began_at}: {detail}") from error


class _Tokenizer(dns.tokenizer.Tokenizer):
    """dnspython's tokenizer, which also knows where a record began; its own line is past the record's end."""

    began_at = 1

    def get(self, want_leading: bool = False, want_comment: bool = False) -> dns.tokenizer.Token:
        if want_leading and want_comment:  # as the reader asks for the first token of a record, and for no other
            self.began_at = self.where()[1]
        return super().get(want_leading, want_comment)


class _Sink:
    """What dnspython's reader takes for the transaction that it fills."""

    def __init__(self, static: StaticRecords, origin: dns.name.Name) -> None:
        self._static = static
        self._origin = origin
        self.manager = self
        self.tokenizer: _Tokenizer

    def origin_information(self) -> tuple[dns.name.Name, bool, dns.name.Name]:
        return self._origin, False, self._origin

    def check_put_rdataset(self, check: Any) -> None:
        """Leave dnspython's check of CNAMEs aside: ours names both lines."""

    def _set_origin(self, origin: dns.name.Name) -> None:
        """Take note of `$ORIGIN`; the reader itself keeps it."""

    def add(self, name: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata) -> None:
        place = f"{self.tokenizer.where()[0]}:{self.tokenizer.began_at}"
        records.type_number(dns.rdatatype.to_text(rdata.rdtype))
        if ttl > records.MAX_TTL:
            raise InvalidZone(f"{place}: ttl {ttl} is more than {records.MAX_TTL}")
        self._static.add(names.wire_of(name), int(rdata.rdtype), ttl, rdata.to_wire() or b"", place)


def _add_apex(static: StaticRecords, settings: ZoneSettings) -> None:
    apex, ttl = static.apex, settings.ttl
    primary = settings.primary or next(iter(settings.nameservers))
    soa = records.soa_rdata(
        _name(primary, "primary" if settings.primary else f"nameservers.{primary}"),
        _name(settings.hostmaster or f"hostmaster.{settings.name}", "hostmaster"),
        0,
        settings.refresh,
        settings.retry,
        settings.expire,
        settings.negative_ttl,
    )
    static.add(apex, records.SOA, ttl, soa, "primary")
    for target, addresses in (settings.nameservers or {primary: []}).items():
        place = f"nameservers.{target}"
        name = _name(target, place)
        static.add(apex, records.NS, ttl, name, place)
        _add_addresses(static, name, addresses, ttl, place)


def _name(text: str, place: str) -> bytes:
    try:
        return names.from_text(text)
    except InvalidRecord as error:
        raise InvalidZone(f"{place}: {error}") from error


def _add_addresses(static: StaticRecords, name: bytes, addresses: Iterable[str], ttl: int, place: str) -> None:
    for index, address in enumerate(addresses):
        rtype = records.AAAA if ":" in address else records.A
        try:
            rdata = records.read_rdata(rtype, address)
        except InvalidRecord as error:
            raise InvalidZone(f"{place}[{index}]: expected an IPv4 or IPv6 address, got {address!r}") from error
        static.add(name, rtype, ttl, rdata, place)

"""
A zone's own records: from a master file (RFC 1035 §5), and from the few settings that stand in for one.

Either way the result is `StaticRecords`: a snapshot of the zone, and where each record was written, so that a later
clash can name both sides. Common lines are read by `master_lines`, all others by dnspython; what makes a file wrong for
this zone is decided here, and is always said with its line. Reading is done in steps, because a large file takes
longer than a server may be silent.
"""

import io
import re
from array import array
from collections.abc import Iterable
from itertools import islice
from typing import Any

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tokenizer
import dns.zonefile

from warp_dns.errors import InvalidRecord, InvalidZone
from warp_dns.message import names, records
from warp_dns.message.records import RRset
from warp_dns.settings import ZoneSettings
from warp_dns.zone.data import NO_RRSETS, Builder, RRsets, Zone
from warp_dns.zone.master_lines import COMMON_TYPES, Names, is_nothing, match_plain, match_text, text_of
from warp_dns.zone.packed import owner_row, row, unpack
from warp_dns.zone.steps import Steps, finish

LINES_PER_STEP = 128  # some 0.3 ms
_ALONE = frozenset([records.CNAME, records.SOA, records.DNAME])  # types that may not stand beside every other record
_CUTTING = frozenset([records.NS, records.DNAME])  # below the apex, names beneath them belong to another zone
_SPECIAL = _ALONE | _CUTTING


class StaticRecords:
    """
    Records that do not come from a source.

    :ivar zone: a snapshot of them; its serial is the SOA's as it was written.
    """

    zone: Zone

    def __init__(self, apex: bytes, path: str = "", expected_owners: int = 0) -> None:
        """
        Begin without records; `seal` ends the adding.

        :param apex: folded.
        :param path: of the file whose lines are added.
        """
        self.apex = apex
        self.path = path
        self._builder = Builder(apex, expected_owners)
        self._has_alone: set[bytes] = set()  # owners of records that may not stand beside every other
        self._cuts: dict[bytes, str] = {}
        # Where each record was written: three arrays with an item for each, and the locations that are no lines.
        self._owners = array("q")
        self._types = array("H")
        self._lines = array("I")
        self._settings: dict[tuple[bytes, int], str] = {}

    def add(self, owner: bytes, rtype: int, ttl: int, rdata: bytes, location: str) -> None:
        """
        Add one record of the settings; a second mention of the same record is no error (RFC 2181 §5).

        :raises InvalidZone: if it is outside the zone, or may not stand beside what is there.
        """
        folded = self.begin_owner(owner, location)
        self._settings.setdefault((folded, rtype), location)
        self._add(folded, rtype, row(rtype, ttl, rdata), location)

    def begin_owner(self, owner: bytes, location: str) -> bytes:
        """
        Take note of an owner before its records are added, and return its folded name.

        :raises InvalidZone: if it is outside the zone.
        """
        folded = owner.lower()
        if not names.is_at_or_below(folded, self.apex):
            raise InvalidZone(f"{location}: {names.to_text(owner)} is outside the zone {names.to_text(self.apex)}")
        if owner != folded:
            self._builder.add(folded, owner_row(owner))
        return folded

    def add_line(self, owner: bytes, rtype: int, packed: bytes, line: int) -> None:
        """
        Add one record of a file.

        :param owner: folded, as `begin_owner` returned it.
        :param packed: the record's row.
        :raises InvalidZone: if it may not stand beside what is there.
        """
        if rtype in _SPECIAL or owner in self._has_alone:
            self._add(owner, rtype, packed, f"{self.path}:{line}")
        else:
            self._builder.add(owner, packed)
        self._owners.append(hash(owner))
        self._types.append(rtype)
        self._lines.append(line)

    def _add(self, owner: bytes, rtype: int, packed: bytes, location: str) -> None:
        if rtype in _ALONE or owner in self._has_alone:
            self._has_alone.add(owner)
            if present := self._builder.rrsets(owner):
                self._check(owner, rtype, packed, present, location)
        if rtype in _CUTTING and owner != self.apex:
            self._cuts.setdefault(owner, location)
        self._builder.add(owner, packed)

    def _check(self, owner: bytes, rtype: int, packed: bytes, present: RRsets, location: str) -> None:
        [added] = unpack(owner, packed).values()
        if (same := present.get(rtype)) is not None:
            added = RRset(owner, rtype, added.ttl, tuple(dict.fromkeys((*same.rdatas, *added.rdatas))))
        try:
            records.check_together(owner, [*(r for r in present.values() if r.type != rtype), added])
        except InvalidRecord as error:
            others = sorted({self.location(owner, other) for other in present})
            raise InvalidZone(f"{location}: {error}; compare {', '.join(others)}") from error

    def seal(self) -> None:
        """
        Make the snapshot of what was added.

        :raises InvalidZone: if the apex lacks SOA or NS.
        """
        self.zone = self._builder.zone()
        del self._builder

    def at_apex(self) -> RRsets:
        """Return what the apex holds so far."""
        return self._builder.rrsets(self.apex)

    def get(self, owner: bytes) -> RRsets:
        """Return what a folded owner holds; nothing if it is not there."""
        node = self.zone.get(owner)
        return NO_RRSETS if node is None else node.rrsets

    def location(self, owner: bytes, rtype: int) -> str:
        """Return where the first record of a folded owner and a type was written: a setting, or file and line."""
        setting = self._settings.get((owner, rtype))
        if setting is not None:
            return setting
        key, at = hash(owner), -1
        while True:
            try:
                at = self._owners.index(key, at + 1)
            except ValueError:
                return self.path  # cannot be: every record was noted
            if self._types[at] == rtype:
                return f"{self.path}:{self._lines[at]}"

    def cuts(self) -> dict[bytes, str]:
        """Return the owners at or below which live records are refused (delegations, DNAMEs), and their locations."""
        return self._cuts


def static_records(settings: ZoneSettings, content: bytes = b"") -> StaticRecords:
    """
    Return what a zone's settings and its master file say.

    :param content: of the master file, when the settings name one.
    :raises InvalidZone: naming the line or setting that is wrong.
    """
    return finish(reading(settings, content))


def reading(settings: ZoneSettings, content: bytes = b"") -> Steps[StaticRecords]:
    """Do what `static_records` does, in steps of well under a millisecond."""
    try:
        apex = names.from_text(settings.name).lower()
    except InvalidRecord as error:
        raise InvalidZone(f"name: {error}") from error
    static = StaticRecords(apex, settings.master_file, content.count(b"\n"))
    if settings.nameservers or settings.primary:
        _add_apex(static, settings)
    if settings.master_file:
        yield from _MasterFile(static, content, settings.master_file, settings.ttl).reading()
    at_apex = static.at_apex()
    for rtype in (records.SOA, records.NS):
        if rtype not in at_apex:
            kind, zone = records.type_text(rtype), names.to_text(apex)
            if settings.master_file:
                raise InvalidZone(
                    f"{settings.master_file}: no {kind} record at the apex of {zone}; or give nameservers"
                )
            raise InvalidZone(f"nameservers: expected the name servers of {zone}, or a master_file with SOA and NS")
    static.seal()
    return static


class _MasterFile:
    """A file that is being read."""

    def __init__(self, static: StaticRecords, content: bytes, path: str, default_ttl: int) -> None:
        """
        Begin at its first line.

        :param default_ttl: for records before any `$TTL` in a file whose SOA is elsewhere.
        """
        self._static = static
        self._path = path
        self._lines = enumerate(io.BytesIO(content), 1)
        apex = dns.name.from_wire(static.apex, 0)[0]
        self._names = Names(static.apex)
        self._owner = self._folded = static.apex  # of the line before
        self._sink = _Sink(static, path, apex)
        self._reader = dns.zonefile.Reader(
            dns.tokenizer.Tokenizer(""),
            dns.rdataclass.IN,
            self._sink,  # type: ignore[arg-type]  # the four methods of a Transaction that the reader calls
            allow_directives=["$ORIGIN", "$TTL"],
            default_ttl=default_ttl if records.SOA in static.at_apex() else None,
        )
        self._reader.zone_origin = dns.name.root  # else the reader drops what is outside the zone, silently
        self._ttl: int | None = None  # of a line that states none; None: dnspython knows
        self._follows_stated = False  # whether that is the TTL last stated (RFC 1035 §5.1)
        self._learn_ttl()

    def reading(self) -> Steps[None]:
        """
        Read all lines.

        :raises InvalidZone: naming the line.
        """
        while step := list(islice(self._lines, LINES_PER_STEP)):
            remaining = iter(step)
            for number, line in remaining:
                if not self._read_common(number, line) and not is_nothing(line):
                    self._read_other(number, line, remaining)
            yield

    def _read_common(self, number: int, line: bytes) -> bool:
        match = match_plain(line) or match_text(line)
        if match is None:
            return False
        text, stated, mnemonic, data = match.groups()
        ttl = self._ttl if stated is None else int(stated)
        if ttl is None:
            return False
        rdata = self._names.data(mnemonic, data)
        if rdata is None:
            return False
        if text is not None:
            owner = self._names.owner(text)
            if owner is None:
                return False
            self._owner = owner
            self._folded = self._static.begin_owner(owner, f"{self._path}:{number}")
        if stated is not None and self._follows_stated:
            self._ttl = ttl
        rtype = COMMON_TYPES[mnemonic]
        self._static.add_line(self._folded, rtype, row(rtype, ttl, rdata), number)
        return True

    def _read_other(self, number: int, line: bytes, remaining: Iterable[tuple[int, bytes]]) -> None:
        """Let dnspython read a line, and those that its parentheses reach to."""
        reader = self._reader
        text = _Text(number, line, remaining, self._lines, self._path)
        reader.tok = text.tokenizer
        reader.last_name = dns.name.from_wire(self._owner, 0)[0]
        if self._follows_stated and self._ttl is not None:
            reader.last_ttl, reader.last_ttl_known = self._ttl, True
        self._sink.line = number
        try:
            reader.read()
        except InvalidZone:
            raise
        except (dns.exception.DNSException, ValueError) as error:
            detail = re.sub(rf"^{re.escape(self._path)}:\d+: ", "", str(error))  # the line where the reader stopped
            raise InvalidZone(f"{self._path}:{number}: {detail}") from error
        if reader.last_name is not None:
            self._owner = names.wire_of(reader.last_name)
        self._folded = self._owner.lower()
        if reader.current_origin is not None and (origin := names.wire_of(reader.current_origin)) != self._names.origin:
            self._names = Names(origin)
        self._learn_ttl()

    def _learn_ttl(self) -> None:
        """Take over what the reader knows of TTLs; `$TTL` counts before one stated earlier, the SOA's minimum after."""
        reader = self._reader
        self._follows_stated = not reader.default_ttl_known or getattr(reader, "default_ttl_from_soa", False)
        if self._follows_stated and reader.last_ttl_known:
            self._ttl = reader.last_ttl
        else:
            self._ttl = reader.default_ttl if reader.default_ttl_known else None


class _Text:
    """A line as dnspython's tokenizer reads it, with those that follow as long as a parenthesis is open."""

    def __init__(
        self,
        number: int,
        line: bytes,
        remaining: Iterable[tuple[int, bytes]],
        later: Iterable[tuple[int, bytes]],
        path: str,
    ) -> None:
        self._path = path
        self._remaining = iter(remaining)
        self._later = iter(later)
        self._number = number
        self._text = self._decoded(line)
        self._at = 0
        self.tokenizer = dns.tokenizer.Tokenizer(self, filename=path)  # it calls read(1)
        self.tokenizer.line_number = number

    def read(self, count: int) -> str:
        """Return the next character, or nothing at the end."""
        if self._at == len(self._text):
            if not self.tokenizer.multiline:
                return ""
            following = next(self._remaining, None) or next(self._later, None)
            if following is None:
                return ""
            self._number, line = following
            self._text, self._at = self._decoded(line), 0
        self._at += 1
        return self._text[self._at - 1]

    def _decoded(self, line: bytes) -> str:
        try:
            return text_of(line)
        except UnicodeDecodeError as error:
            raise InvalidZone(
                f"{self._path}:{self._number}: not UTF-8 text; only a comment may be in another encoding"
            ) from error


class _Sink:
    """What dnspython's reader takes for the transaction that it fills."""

    def __init__(self, static: StaticRecords, path: str, origin: dns.name.Name) -> None:
        self._static = static
        self._path = path
        self._origin = origin
        self.manager = self
        self.line = 0

    def origin_information(self) -> tuple[dns.name.Name, bool, dns.name.Name]:
        return self._origin, False, self._origin

    def check_put_rdataset(self, check: Any) -> None:
        """Leave dnspython's check of CNAMEs aside: ours names both lines."""

    def _set_origin(self, origin: dns.name.Name) -> None:
        """Take note of `$ORIGIN`; the reader itself keeps it."""

    def add(self, name: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata) -> None:
        records.type_number(dns.rdatatype.to_text(rdata.rdtype))
        if ttl > records.MAX_TTL:
            raise InvalidZone(f"{self._path}:{self.line}: ttl {ttl} is more than {records.MAX_TTL}")
        rtype = int(rdata.rdtype)
        owner = self._static.begin_owner(names.wire_of(name), f"{self._path}:{self.line}")
        self._static.add_line(owner, rtype, row(rtype, ttl, rdata.to_wire() or b""), self.line)


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
        location = f"nameservers.{target}"
        name = _name(target, location)
        static.add(apex, records.NS, ttl, name, location)
        _add_addresses(static, name, addresses, ttl, location)


def _name(text: str, location: str) -> bytes:
    try:
        return names.from_text(text)
    except InvalidRecord as error:
        raise InvalidZone(f"{location}: {error}") from error


def _add_addresses(static: StaticRecords, name: bytes, addresses: Iterable[str], ttl: int, location: str) -> None:
    for index, address in enumerate(addresses):
        rtype = records.AAAA if ":" in address else records.A
        try:
            rdata = records.read_rdata(rtype, address)
        except InvalidRecord as error:
            raise InvalidZone(f"{location}[{index}]: expected an IPv4 or IPv6 address, got {address!r}") from error
        static.add(name, rtype, ttl, rdata, location)

"""
Records of a zone as `warp_dns` reads them, and how many of one name and type an answer carries.

Pure values; which records there are is decided in `registry.published.publish`.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from warp_twisted.registry.model import Edge

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


@dataclass(frozen=True, slots=True)
class LiveEdge:
    """An edge, with what each of its records holds worked out once."""

    value: Edge
    hostname: str
    addresses: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, edge: Edge, zone: str) -> "LiveEdge":
        """Return an edge of a zone."""
        types = {4: "A", 6: "AAAA"}
        addresses = tuple((types[ip_address(address).version], address) for address in edge.addresses)
        return cls(edge, f"{edge.name}.{zone}", addresses)


class BrowseList:
    """The list of all applications, as far as one answer carries it; the first of the others follow when some go."""

    def __init__(self) -> None:
        self._shown: dict[str, Record] = {}
        self._waiting: OrderedDict[str, Record] = OrderedDict()
        self._bytes = 0

    @property
    def records(self) -> tuple[Record, ...]:
        """What is shown."""
        return tuple(self._shown.values())

    def add(self, hostname: str, record: Record) -> bool:
        """Add an application, and say whether what is shown changed."""
        if hostname in self._shown or hostname in self._waiting:
            return False
        if self._bytes + size_of(record) > MAX_SET_BYTES:
            self._waiting[hostname] = record
            return False
        self._show(hostname, record)
        return True

    def remove(self, hostname: str) -> bool:
        """Remove an application, if it is there, and say whether what is shown changed."""
        record = self._shown.pop(hostname, None)
        if record is None:
            self._waiting.pop(hostname, None)
            return False
        self._bytes -= size_of(record)
        while self._waiting:
            hostname, record = next(iter(self._waiting.items()))
            if self._bytes + size_of(record) > MAX_SET_BYTES:
                break
            del self._waiting[hostname]
            self._show(hostname, record)
        return True

    def _show(self, hostname: str, record: Record) -> None:
        self._shown[hostname] = record
        self._bytes += size_of(record)


def merged(groups: Sequence[Sequence[Record]]) -> tuple[Record, ...]:
    """Join what several contribute to one owner; data given twice appears once."""
    merged: dict[tuple[str, str], Record] = {}
    for group in groups:
        for record in group:
            merged.setdefault((record.type, record.rdata), record)
    return tuple(merged.values())


def fitting(records: tuple[Record, ...]) -> tuple[Record, ...]:
    """Leave out the last records of each type that is too large for one answer."""
    if sum(map(size_of, records)) <= MAX_SET_BYTES:
        return records
    sizes: dict[str, int] = {}
    fitting = []
    for record in records:
        sizes[record.type] = size = sizes.get(record.type, 0) + size_of(record)
        if size <= MAX_SET_BYTES:
            fitting.append(record)
    return tuple(fitting)


def size_of(record: Record) -> int:
    """Return at least what a record takes in a message: its text is as long as its data, but for short addresses."""
    return _RECORD_BYTES + max(_ADDRESS_BYTES, len(record.rdata) + 1)


def https_parameters(port: int | None) -> str:
    """Write what an HTTPS record says of an edge that speaks HTTP/1.1 on a port (RFC 9460)."""
    return "alpn=http/1.1" if port == 443 else f"alpn=http/1.1 port={port}"


def quoted(text: str) -> str:
    """Write a character-string, or several when the text is longer than one may be; labels need no escapes."""
    return " ".join(f'"{text[at : at + MAX_STRING]}"' for at in range(0, len(text), MAX_STRING))


def label_names(labels: Mapping[str, str]) -> list[str]:
    """Return `VALUE.KEY` for each label of a tunnel that can be a name, as DNS labels."""
    names = []
    for key, value in labels.items():
        key_label = _NOT_IN_A_DNS_LABEL.sub("-", key.lower())
        value_label = _NOT_IN_A_DNS_LABEL.sub("-", value.lower())
        if value_label and len(key_label) <= 63:
            names.append(f"{value_label}.{key_label}")
    return list(dict.fromkeys(names))

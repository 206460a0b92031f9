"""
Records of a zone as `warp_dns` reads them, and how many of one name and type secondaries and answers carry.

Pure values; which records there are is decided in `registry.published.publish`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from warp_twisted.names import MAX_HOSTNAME_LENGTH
from warp_twisted.registry.model import Edge

MAX_SET_RECORDS = 100  # of one name and type: what BIND takes from its primary (`max-records-per-type`)
MAX_SET_BYTES = 60_000  # of records of one name and type, uncompressed; with question and EDNS below DNS' 65,535
_RECORD_BYTES = 12  # of a record without its rdata: a pointer to its name, type, class, ttl, length
_ADDRESS_BYTES = 16


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


def merged(groups: Sequence[Sequence[Record]]) -> tuple[Record, ...]:
    """Join what several contribute to one owner; data given twice appears once."""
    merged: dict[tuple[str, str], Record] = {}
    for group in groups:
        for record in group:
            merged.setdefault((record.type, record.rdata), record)
    return tuple(merged.values())


def fitting(records: tuple[Record, ...]) -> tuple[Record, ...]:
    """Leave out the last records of each type of which there are too many for secondaries, or for one answer."""
    if len(records) <= MAX_SET_RECORDS and sum(map(size_of, records)) <= MAX_SET_BYTES:
        return records
    sizes: dict[str, int] = {}
    counts: dict[str, int] = {}
    fitting = []
    for record in records:
        sizes[record.type] = size = sizes.get(record.type, 0) + size_of(record)
        counts[record.type] = count = counts.get(record.type, 0) + 1
        if size <= MAX_SET_BYTES and count <= MAX_SET_RECORDS:
            fitting.append(record)
    return tuple(fitting)


def size_of(record: Record) -> int:
    """Return at least what a record takes in a message: its text is as long as its data, but for short addresses."""
    return _RECORD_BYTES + max(_ADDRESS_BYTES, len(record.rdata) + 1)


def fits(name: str) -> bool:
    """Whether a name, in which dots may be escaped, is not too long for DNS."""
    return len(name) - name.count("\\") <= MAX_HOSTNAME_LENGTH

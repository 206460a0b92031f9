"""
What is odd about a zone's own records, although they are served: a delegation that leads nowhere, data that is never
answered.

Pure, in steps: a zone may have a hundred thousand names. The sentences are for operators, each with the place where the
record was written.
"""

from collections.abc import Iterator
from itertools import islice

from warp_dns.message import names
from warp_dns.message.records import AAAA, DNAME, NS, A
from warp_dns.zone.data import rrsets_of
from warp_dns.zone.lookup import lookup
from warp_dns.zone.master import StaticRecords
from warp_dns.zone.steps import Steps, in_batches

MAX_WARNINGS = 20  # of a zone; what comes after them is counted
_NAMES_PER_STEP = 64


def zone_warnings(static: StaticRecords, *, is_live: bool) -> Steps[list[str]]:
    """
    Return a sentence for each oddity, in the order of names.

    :param static: sealed.
    :param is_live: whether a source publishes records, too, which may be the addresses of the zone's name servers.
    """
    owners = sorted({static.apex, *static.cuts()})
    found: list[str] = []
    count = 0
    for batch in in_batches(owners, _NAMES_PER_STEP):
        for owner in batch:
            for sentence in _of_name_servers(static, owner, is_live=is_live):
                count += 1
                if len(found) < MAX_WARNINGS:
                    found.append(sentence)
        yield
    dnames = frozenset(owner for owner in owners if DNAME in static.get(owner))
    if dnames:
        below = yield from _below(static, dnames)
        count += len(below)
        for dname, (number, first) in islice(sorted(below.items()), MAX_WARNINGS - len(found)):
            found.append(_hidden(static, dname, number, first))
    if count > len(found):
        found.append(f"and {count - len(found)} more")
    return found


def _of_name_servers(static: StaticRecords, owner: bytes, *, is_live: bool) -> Iterator[str]:
    """RFC 1034 §4.2.1: glue; RFC 6672 §2.3: a DNAME may stand beside NS at the apex only."""
    rrsets = static.get(owner)
    if NS not in rrsets:
        return
    location, text = static.location(owner, NS), names.to_text(owner)
    is_cut = owner != static.apex
    if is_cut and DNAME in rrsets:
        yield f"{static.location(owner, DNAME)}: the DNAME of {text} is never used, as the name has NS records, too"
    for rdata in rrsets[NS].rdatas:
        target = rdata.lower()
        if is_cut and names.is_at_or_below(target, owner):
            if not _has_address(static, target):
                yield f"{location}: {names.to_text(target)} has no address (glue), so nobody can follow the delegation"
        elif not is_live and names.is_at_or_below(target, static.apex):
            answers = [lookup(static.zone, target, rtype) for rtype in (A, AAAA)]
            if not any(answer.answer or answer.is_referral for answer in answers):
                yield f"{location}: {names.to_text(target)}, a name server of {text}, has no address in this zone"


def _has_address(static: StaticRecords, name: bytes) -> bool:
    rrsets = static.get(name)
    return A in rrsets or AAAA in rrsets


def _below(static: StaticRecords, dnames: frozenset[bytes]) -> Steps[dict[bytes, tuple[int, bytes]]]:
    """Return for each owner of a DNAME that hides names how many they are, and the first of them."""
    hidden: dict[bytes, tuple[int, bytes]] = {}
    entries = ((name, entry) for shard in static.zone.shards for name, entry in shard.items())
    for batch in in_batches(entries, _NAMES_PER_STEP):
        for name, entry in batch:
            above = next((suffix for suffix in names.suffixes(name) if suffix in dnames and suffix != name), None)
            if above is None or len(above) < len(static.apex) or not rrsets_of(name, entry):
                continue
            count, first = hidden.get(above, (0, name))
            hidden[above] = (count + 1, min(first, name))
        yield
    return hidden


def _hidden(static: StaticRecords, dname: bytes, count: int, first: bytes) -> str:
    """RFC 6672 §2.4: names below a DNAME are occluded."""
    where = static.location(first, min(static.get(first)))
    which = names.to_text(first) if count == 1 else f"{count} names, such as {names.to_text(first)}"
    return (
        f"{static.location(dname, DNAME)}: the DNAME of {names.to_text(dname)} hides {which} ({where}): "
        "what is below it is never answered"
    )

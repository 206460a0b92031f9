"""
What is odd about a zone's own records, although they are served: a delegation that leads nowhere, data that is never
answered.

Pure, in steps: a zone may have a hundred thousand names. The sentences are for operators, each with the place where the
record was written.
"""

from collections.abc import Container, Iterator
from itertools import chain

from warp_dns.message import names
from warp_dns.message.records import AAAA, DNAME, NS, A
from warp_dns.zone.data import rrsets_of
from warp_dns.zone.lookup import lookup
from warp_dns.zone.master import StaticRecords
from warp_dns.zone.steps import Steps, in_batches

MAX_WARNINGS = 20  # of a zone; what comes after them is counted
_OWNERS_PER_STEP = 8  # of delegations, some 100 µs each where name servers are looked up
_NAMES_PER_STEP = 64

_Odd = tuple[bytes, int, str]  # owner and type of the record, and what is said of it


def zone_warnings(static: StaticRecords, *, is_live: bool) -> Steps[list[str]]:
    """
    Return a sentence for each oddity, in the order in which delegations and DNAMEs were written.

    :param static: sealed.
    :param is_live: whether a source publishes records, too, which may be the addresses of the zone's name servers.
    """
    found: list[str] = []
    count = 0
    dnames: dict[bytes, None] = {}  # in order
    owners = chain((static.apex,), (owner for owner in static.cuts() if owner != static.apex))
    for batch in in_batches(owners, _OWNERS_PER_STEP):
        for owner in batch:
            if DNAME in static.get(owner):
                dnames[owner] = None
            for odd in _of_name_servers(static, owner, is_live=is_live):
                count += 1
                if len(found) < MAX_WARNINGS:
                    found.append(_located(static, odd))
        yield
    if dnames:
        hidden = yield from _hidden(static, dnames)
        count += len(hidden)
        for batch in in_batches(dnames, _OWNERS_PER_STEP):
            for dname in batch:
                if dname in hidden and len(found) < MAX_WARNINGS:
                    found.append(_located(static, _of_dname(static, dname, *hidden[dname])))
            yield
        while hidden:  # a large table is freed in steps, too
            for _ in range(min(_NAMES_PER_STEP, len(hidden))):
                hidden.popitem()
            yield
    if count > len(found):
        found.append(f"and {count - len(found)} more")
    return found


def _located(static: StaticRecords, odd: _Odd) -> str:
    """Say where it was written; that is looked for in all lines, so it is done for what is said only."""
    owner, rtype, sentence = odd
    return f"{static.location(owner, rtype)}: {sentence}"


def _of_name_servers(static: StaticRecords, owner: bytes, *, is_live: bool) -> Iterator[_Odd]:
    """RFC 1034 §4.2.1: glue; RFC 6672 §2.3: a DNAME may stand beside NS at the apex only."""
    rrsets = static.get(owner)
    if NS not in rrsets:
        return
    text = names.to_text(owner)
    is_cut = owner != static.apex
    if is_cut and DNAME in rrsets:
        yield owner, DNAME, f"the DNAME of {text} is never used, as the name has NS records, too"
    for rdata in rrsets[NS].rdatas:
        target = rdata.lower()
        server = names.to_text(target)
        if is_cut and names.is_at_or_below(target, owner):
            if not _has_address(static, target):
                yield owner, NS, f"{server} has no address (glue), so nobody can follow the delegation"
        elif not is_live and names.is_at_or_below(target, static.apex):
            answers = [lookup(static.zone, target, rtype) for rtype in (A, AAAA)]
            if not any(answer.answer or answer.is_referral for answer in answers):
                yield owner, NS, f"{server}, a name server of {text}, has no address in this zone"


def _has_address(static: StaticRecords, name: bytes) -> bool:
    rrsets = static.get(name)
    return A in rrsets or AAAA in rrsets


def _hidden(static: StaticRecords, dnames: Container[bytes]) -> Steps[dict[bytes, tuple[int, bytes]]]:
    """Return for each owner of a DNAME that hides names how many they are, and the first of them (RFC 6672 §2.4)."""
    hidden: dict[bytes, tuple[int, bytes]] = {}
    entries = ((name, entry) for shard in static.zone.shards for name, entry in shard.items())
    for batch in in_batches(entries, _NAMES_PER_STEP):
        for name, entry in batch:
            above = next((suffix for suffix in names.suffixes(name) if suffix in dnames and suffix != name), None)
            if above is None or not rrsets_of(name, entry):
                continue
            count, first = hidden.get(above, (0, name))
            hidden[above] = (count + 1, min(first, name))
        yield
    return hidden


def _of_dname(static: StaticRecords, dname: bytes, count: int, first: bytes) -> _Odd:
    where = static.location(first, min(static.get(first)))
    which = names.to_text(first) if count == 1 else f"{count} names, such as {names.to_text(first)}"
    sentence = f"the DNAME of {names.to_text(dname)} hides {which} ({where}): what is below it is never answered"
    return dname, DNAME, sentence

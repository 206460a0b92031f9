"""
What a zone says to a question: RFC 1034 §4.3.2, as clarified by RFC 2181, 2308, 4592, 6604, 6672 and 8482.

Pure: a snapshot, a folded name and a type in, the sections of an answer out. Bytes of messages are made in `wire`;
whether the client may have the answer is decided elsewhere.
"""

from collections.abc import Iterable
from dataclasses import replace

from warp_dns.message import names
from warp_dns.message.answer import Answer, Order
from warp_dns.message.codes import NXDOMAIN, YXDOMAIN
from warp_dns.message.records import AAAA, ANY, CNAME, DNAME, DS, HTTPS, NS, SOA, SVCB, A, RRset, target_of
from warp_dns.zone.data import Node, Zone

MAX_CHAIN = 16  # CNAME and DNAME steps followed within the zone; BIND stops at 17 and Knot at 20
MAX_ADDITIONAL = 64  # RRsets; keeps an NS or SRV set of absurd size from making an absurd answer

_ARRANGED = frozenset([A, AAAA, SVCB, HTTPS])


def lookup(zone: Zone, qname: bytes, qtype: int) -> Answer:
    """
    Answer a question from a zone, as RFC 1034 §4.3.2 lays down.

    Step 1, recursion, and step 2, finding the zone, are the caller's; step 4, the cache, an authority has not.

    3.  Start matching down, label by label, in the zone.
    3a. The whole of QNAME is matched: a CNAME (unless that is asked for) goes into the answer and QNAME becomes its
        target, back to 3; else all RRs which match QTYPE are copied into the answer, or it is NODATA.
    3b. A match would take us out of the authoritative data (NS below the apex): a referral.
    3c. A label cannot be matched: DNAME at the last match substitutes (RFC 6672 §3.2), back to 3; else the `*` label
        there is used in its place (RFC 4592 §3.3.1); else NXDOMAIN, which is also the result when it was an alias
        that led here (RFC 6604 §3).
    5.  Additional RRs from local data only.

    :param qname: folded, at or below the zone's apex.
    """
    answer = Answer()
    target: bytes | None = qname
    followed: set[bytes] = set()
    while target is not None and target not in followed and len(followed) < MAX_CHAIN:
        followed.add(target)
        target = _step(zone, target, qtype, answer)
        if target is not None and not names.is_at_or_below(target, zone.apex):
            break
    _add_additional(zone, answer)
    return answer


def _step(zone: Zone, name: bytes, qtype: int, answer: Answer) -> bytes | None:
    """Match one name; add what was found; return the name to go on with, if an alias was met."""
    path = [suffix for suffix in names.suffixes(name) if len(suffix) >= len(zone.apex)]
    encloser, node = zone.apex, zone.at_apex
    for suffix in reversed(path):
        found = zone.get(suffix)
        if found is None:
            if answer.answer:
                answer.looked_at.add(suffix)
            break
        encloser, node = suffix, found
        answer.looked_at.add(suffix)
        if suffix != zone.apex and NS in node.rrsets and not (suffix == name and qtype == DS):
            _refer(node, answer)  # RFC 4035 §3.1.4.1: DS is the parent's data
            return None
        if suffix != name and DNAME in node.rrsets:
            target = _substitute(name, suffix, node.rrsets[DNAME], answer)
            return None if qtype in (CNAME, ANY) else target  # the CNAME just made is what was asked for
    if encloser == name:
        return _match(zone, name, node, qtype, answer, owner=None)
    if not answer.answer:
        answer.encloser = encloser
    wildcard = names.wildcard_of(encloser)
    answer.looked_at.add(wildcard)
    synthesized = zone.get(wildcard)
    answer.tells_absence = True
    if synthesized is not None:
        if CNAME in synthesized.rrsets and qtype != CNAME:
            answer.is_for_one_name = True  # the chain may lead back to this very name
        return _match(zone, name, synthesized, qtype, answer, owner=name)
    answer.rcode = NXDOMAIN
    _add_soa(zone, answer)
    return None


def _match(zone: Zone, name: bytes, node: Node, qtype: int, answer: Answer, owner: bytes | None) -> bytes | None:
    """Step 3a; `owner` replaces the owner of what a wildcard synthesizes."""
    rrsets = node.rrsets
    if CNAME in rrsets and qtype not in (CNAME, ANY):
        alias = rrsets[CNAME]
        _add(replace(alias, owner=owner) if owner else alias, answer)
        return alias.rdatas[0].lower()
    found = _smallest(rrsets.values()) if qtype == ANY else rrsets.get(qtype)
    if found is None:
        _add_soa(zone, answer)
        return None
    _add(replace(found, owner=owner) if owner else found, answer)
    answer.tells_serial |= found.type == SOA
    return None


def _add(rrset: RRset, answer: Answer) -> None:
    """Name an RRset in the answer section, once: a chain may come through one DNAME many times, or end at it."""
    if all((rrset.owner, rrset.type) != (other.owner, other.type) for other in answer.answer):
        answer.answer.append(rrset)


def _smallest(rrsets: Iterable[RRset]) -> RRset | None:
    """ANY is answered with one RRset (RFC 8482 §4.1), the smallest: so ANY is of no use for amplification."""
    return min(rrsets, key=lambda rrset: (sum(map(len, rrset.rdatas)), rrset.type), default=None)


def _refer(node: Node, answer: Answer) -> None:
    """Step 3b: the delegation's NS records and whatever addresses of theirs this zone holds."""
    delegation = node.rrsets[NS]
    if not answer.answer:
        answer.is_authoritative = False
        answer.is_referral = True
    answer.authority.append(delegation)


def _substitute(name: bytes, owner: bytes, dname: RRset, answer: Answer) -> bytes | None:
    """RFC 6672 §3.2 step 3C: the DNAME, and the CNAME that it stands for, of the same TTL (§3.1)."""
    answer.is_for_one_name = True
    _add(dname, answer)
    target = name[: len(name) - len(owner)] + dname.rdatas[0]
    if len(target) > names.MAX_NAME_BYTES:
        answer.rcode = YXDOMAIN
        return None
    answer.answer.append(RRset(name, CNAME, dname.ttl, (target,)))
    return target.lower()


def _add_soa(zone: Zone, answer: Answer) -> None:
    answer.authority.append(zone.negative_soa)
    answer.tells_absence = True
    answer.tells_serial = True


def _add_additional(zone: Zone, answer: Answer) -> None:
    """Step 5: addresses of the names that the answer or the delegation points at."""
    present = {(rrset.owner.lower(), rrset.type) for rrset in answer.answer}
    for rrset in (*answer.answer, *answer.authority):
        for rdata in rrset.rdatas:
            target = target_of(rrset.type, rdata, rrset.owner.lower())
            if target is None or not names.is_at_or_below(target, zone.apex):
                continue
            answer.looked_at.add(target)
            node = zone.get(target)
            for rtype in (A, AAAA):
                if node is None or rtype not in node.rrsets or (target, rtype) in present:
                    continue
                if len(answer.additional) >= MAX_ADDITIONAL:
                    return
                present.add((target, rtype))
                answer.additional.append(node.rrsets[rtype])


def names_edges(rrset: RRset) -> bool:
    """Whether an RRset holds addresses of several edges, so that it matters which come first."""
    return rrset.type in _ARRANGED and len(set(rrset.edges) - {""}) > 1


def arrange(answer: Answer, order: Order, most: int) -> Answer:
    """
    Return an answer with the edges that it names in an order; all else stays.

    :param most: how many records of an RRset to keep; 0: all.
    """

    def arranged(rrset: RRset) -> RRset:
        if not names_edges(rrset):
            return rrset
        indexes = order.arrange(rrset.edges)[: most or None]
        return replace(
            rrset,
            rdatas=tuple(rrset.rdatas[index] for index in indexes),
            edges=tuple(rrset.edges[index] for index in indexes),
        )

    return replace(answer, answer=[arranged(rrset) for rrset in answer.answer])

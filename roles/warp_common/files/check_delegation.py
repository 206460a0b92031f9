"""
Say whether the parent zone points at a fleet's name servers: `check_delegation.py <QUESTION`, JSON in and out.

Run on the controller. The question is `{"zone": "warp.example", "nameservers": [{"name": "ns-edge1", "addresses":
["192.0.2.1"]}]}`, names below the zone; the answer `{"warning": SENTENCE or "", "lines": [what the parent should
have]}`. A parent that cannot be asked is a warning too, but for names that nobody can register (RFC 2606). Nothing
takes longer than a few seconds.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.resolver

PATIENCE_SECONDS = 2.0
TTL_SECONDS = 3600
RESERVED = tuple(
    dns.name.from_text(text) for text in ("example", "test", "invalid", "localhost", "example.com", "local")
)
Records = Mapping[str, set[str]]
Ask = Callable[[dns.name.Name], Records]


def lines(zone: str, servers: Sequence[Mapping[str, object]]) -> list[str]:
    """Return what the parent zone should have, as lines of a master file: the delegation, then its glue."""
    found = [f"{zone}. {TTL_SECONDS} IN NS {server['name']}.{zone}." for server in servers]
    for server in servers:
        addresses = server["addresses"]
        if isinstance(addresses, list):
            kinds = ("AAAA" if ":" in address else "A" for address in addresses)
            found += [
                f"{server['name']}.{zone}. {TTL_SECONDS} IN {kind} {address}"
                for kind, address in zip(kinds, addresses, strict=True)
            ]
    return found


def differences(zone: str, servers: Sequence[Mapping[str, object]], parent: Records) -> str:
    """
    Return a sentence about what the parent zone has and should not, or should have and has not; nothing if all is well.

    :param parent: what it says: name servers' names, each with the addresses of its glue. No glue is no difference
        where the parent gave none for anybody, as a server that answers for both zones does.
    """
    wanted = {f"{server['name']}.{zone}.": set(map(str, _list(server["addresses"]))) for server in servers}
    if not parent:
        return f"the parent zone does not delegate {zone}"
    if missing := sorted(wanted.keys() - parent.keys()):
        return f"the parent zone of {zone} does not name {', '.join(missing)}"
    if more := sorted(parent.keys() - wanted.keys()):
        return f"the parent zone of {zone} names {', '.join(more)}, which this fleet does not have"
    if any(parent.values()):
        for name, addresses in sorted(wanted.items()):
            if parent[name] != addresses:
                has = ", ".join(sorted(parent[name])) or "none"
                return f"the parent zone of {zone} has other addresses for {name}: {has}"
    return ""


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def ask_parent(zone: dns.name.Name) -> Records:
    """
    Ask a server of the parent zone for the delegation.

    :raises dns.exception.DNSException: if nobody answers.
    """
    resolver = dns.resolver.Resolver()
    resolver.lifetime = PATIENCE_SECONDS
    parent = zone.parent()
    while True:
        try:
            servers = resolver.resolve(parent, "NS").rrset
            break
        except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
            parent = parent.parent()
    assert servers is not None  # noqa: S101 - an answer has a set
    first = sorted(str(each.target) for each in servers)[0]
    address = resolver.resolve(first, "A")[0].to_text()
    question = dns.message.make_query(zone, "NS")
    question.flags &= ~dns.flags.RD
    return delegation(zone, dns.query.udp(question, address, timeout=PATIENCE_SECONDS))


def delegation(zone: dns.name.Name, answer: dns.message.Message) -> Records:
    """Return the name servers of a referral or an answer, each with its addresses."""
    found: dict[str, set[str]] = {}
    for rrset in (*answer.answer, *answer.authority):
        if rrset.name == zone and rrset.rdtype == dns.rdatatype.NS:
            found |= {str(each.target).lower(): set() for each in rrset}
    for rrset in answer.additional:
        if rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA) and str(rrset.name).lower() in found:
            found[str(rrset.name).lower()] |= {each.to_text() for each in rrset}
    return found


def check(zone: str, servers: Sequence[Mapping[str, object]], ask: Ask = ask_parent) -> dict[str, object]:
    """Return the program's answer."""
    name = dns.name.from_text(zone)
    if any(name.is_subdomain(reserved) for reserved in RESERVED):
        return {"warning": "", "lines": []}
    try:
        warning = differences(zone, servers, ask(name))
    except (dns.exception.DNSException, OSError) as error:
        warning = f"the delegation of {zone} was not looked at: {error}"
    return {"warning": warning, "lines": lines(zone, servers) if warning else []}


if __name__ == "__main__":
    given = json.load(sys.stdin)
    print(json.dumps(check(given["zone"], given["nameservers"])))

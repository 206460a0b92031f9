"""
Whether every name server of the zone answers a value: the authority may ask any of them.

A value that one secondary lacks costs a failed validation, and of these an authority allows few. So each address of
each name server is asked directly, all at once, until all have the value or the time is over.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rdtypes.ANY.TXT

from warp_base.host_port import split_host_port
from warp_twisted.acme.door import DnsChallenge, NameServer
from warp_twisted.acme.errors import NotYet

VISIBLE_SECONDS = 60.0  # a secondary hears of a change by NOTIFY, and transfers it; a slow one takes some seconds
QUERY_SECONDS = 2.0
AGAIN_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)  # between rounds; the last stays
MAX_ADDRESSES = 64
DNS_PORT = 53


def await_visible(
    challenges: Sequence[DnsChallenge],
    servers: Sequence[NameServer],
    pause: Callable[[float], None],
    seconds: float = VISIBLE_SECONDS,
) -> None:
    """
    Return when every name server answers every value.

    :param pause: waits for so many seconds.
    :raises NotYet: if that takes too long, naming who does not.
    """
    ends_at = time.monotonic() + seconds
    for number in range(len(AGAIN_SECONDS) + int(seconds)):
        missing = asyncio.run(lacking(challenges, servers))
        if not missing:
            return
        wait = AGAIN_SECONDS[min(number, len(AGAIN_SECONDS) - 1)]
        if time.monotonic() + wait > ends_at:
            break
        pause(wait)
    some = "; ".join(missing[:3]) + (f"; and {len(missing) - 3} more" if len(missing) > 3 else "")
    raise NotYet(
        f"not every name server of the zone has the challenge after {seconds:g} s: {some}; "
        "see that each runs, is reached from this edge, and gets the zone"
    )


async def lacking(challenges: Sequence[DnsChallenge], servers: Sequence[NameServer]) -> list[str]:
    """Return a sentence for each address of a name server that lacks a value, in the order of the servers."""
    places = [(server.name, address) for server in servers for address in server.addresses]
    if not places:
        return ["the edge knows of no name server"]
    values: dict[str, set[bytes]] = {}
    for challenge in challenges:
        values.setdefault(challenge.name, set()).add(challenge.value.encode())
    questions = [
        _lacks(server, address, name, wanted)
        for server, address in places[:MAX_ADDRESSES]
        for name, wanted in values.items()
    ]
    return [sentence for sentence in await asyncio.gather(*questions) if sentence]


async def _lacks(server: str, address: str, name: str, wanted: set[bytes]) -> str:
    host, port = split_host_port(address)
    query = dns.message.make_query(name, "TXT", use_edns=0, payload=1232)
    query.flags &= ~dns.flags.RD
    try:
        answer, _ = await dns.asyncquery.udp_with_fallback(
            query, host, timeout=QUERY_SECONDS, port=port or DNS_PORT, ignore_unexpected=True
        )
    except (OSError, dns.exception.DNSException) as error:
        return f"{server} ({address}) does not answer: {error or type(error).__name__}"
    if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return f"{server} ({address}) answers {dns.rcode.to_text(answer.rcode())} for {name}"
    if not answer.flags & dns.flags.AA:
        return f"{server} ({address}) is no authority for {name}"
    texts = {
        b"".join(rdata.strings)
        for rrset in answer.answer
        if rrset.rdtype == dns.rdatatype.TXT
        for rdata in rrset
        if isinstance(rdata, dns.rdtypes.ANY.TXT.TXT)
    }
    return "" if wanted <= texts else f"{server} ({address}) has not yet the value of {name}"

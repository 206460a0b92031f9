"""
Whether the name servers of a zone answer a name: each is asked itself, again and again for a while.

No resolver is asked. One that hears from a server which has not heard of the name yet that there is none believes it
for the zone's negative TTL, and visitors behind it with it. Which servers there are the edge says, as it publishes the
zone's NS records. A server is asked over UDP, and over TCP where the answer is truncated or none comes.

What is asked is bounded: so many addresses, so many questions at once, so many seconds.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, TimeoutError, gatherResults
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.task import deferLater
from twisted.names.client import Resolver
from twisted.names.dns import AAAA, IN, A, Query

from warp_base.host_port import split_host_port
from warp_base.reactor import Reactor
from warp_twisted.agent.events import NameUnanswered

CODES = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 9: "NOTAUTH"}
DNS_PORT = 53
MAX_ADDRESSES = 32  # of all servers together
MAX_AT_ONCE = 16  # questions
UDP_SECONDS = 1
TCP_SECONDS = 2
FIRST_PAUSE_SECONDS = 0.1  # until a server is asked again; twice as long each time
LONGEST_PAUSE_SECONDS = 1.0

# Asks the server at an address for a hostname; returns "" if it has an address for it, else what it says instead.
Ask = Callable[[str, str], Awaitable[str]]


async def unanswered(
    reactor: Reactor, ask: Ask, hostnames: Sequence[str], name_servers: Mapping[str, Sequence[str]], seconds: float
) -> list[NameUnanswered]:
    """
    Wait until every name server answers every hostname, or a time is over.

    :param name_servers: name → at which `host:port`.
    :param seconds: after which no question is begun any more.
    :returns: which server does not answer which hostname at the end, and what it says.
    """
    turn = DeferredSemaphore(MAX_AT_ONCE)
    until = reactor.seconds() + seconds
    addresses = [(server, address) for server, each in name_servers.items() for address in each][:MAX_ADDRESSES]

    async def wait_for(hostname: str, server: str, address: str) -> NameUnanswered | None:
        answer, pause = "it was not asked in time", FIRST_PAUSE_SECONDS
        while reactor.seconds() < until:
            await turn.acquire()
            try:
                if reactor.seconds() < until:
                    answer = await ask(address, hostname)
            finally:
                turn.release()
            if not answer:
                return None
            await deferLater(reactor, min(pause, max(0.0, until - reactor.seconds())))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return NameUnanswered(hostname=hostname, server=server, address=address, answer=answer)

    waits = [
        Deferred.fromCoroutine(wait_for(hostname, server, address))
        for hostname in hostnames
        for server, address in addresses
    ]
    results = await gatherResults(waits, consumeErrors=True)
    return [each for each in results if each is not None]


async def ask_server(reactor: Reactor, address: str, hostname: str) -> str:
    """
    Ask one server for a hostname's addresses.

    :param address: `host:port`; the host is an IP address.
    :returns: "" if it has one, else the response's code, or why there is none.
    """
    try:
        text, port = split_host_port(address)
        host = str(ip_address(text))
    except ValueError as error:
        return str(error)
    for kind in (A, AAAA):
        resolver: Any = Resolver(servers=[(host, port or DNS_PORT)], timeout=(UDP_SECONDS,), reactor=reactor)
        try:
            message = await _exchange(reactor, resolver, [Query(hostname, kind, IN)])
        except TimeoutError:
            return "no answer over UDP, nor over TCP"
        except (ConnectError, ConnectionClosed, OSError, EOFError) as error:
            return f"no answer over UDP, nor over TCP: {error}"
        finally:
            for connection in resolver.connections:
                connection.transport.loseConnection()
        if message.rCode:
            return CODES.get(message.rCode, f"response code {message.rCode}")
        if message.answers:
            return ""
    return "no address"


async def _exchange(reactor: Reactor, resolver: Any, queries: list[Query]) -> Any:
    with suppress(TimeoutError):
        message = await resolver.queryUDP(queries)
        if not message.trunc:
            return message
    return await resolver.queryTCP(queries, TCP_SECONDS).addTimeout(TCP_SECONDS, reactor)

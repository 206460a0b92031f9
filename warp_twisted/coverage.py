"""
Which hostname or `*.` pattern stands for a name: the rule by which edges serve and DNS answers.

Both ask here, so that DNS answers what edges serve and nothing else: `edge.routes.table` for each request,
`registry.published.publish` for each name that is published. Pure: tables come in, what stands for a name goes out.

The most specific wins: the hostname itself, then patterns from the longest suffix to the shortest. A pattern stands for
names of any depth, unlike a wildcard of DNS, which ends where a name exists (RFC 4592 §2.2.1): so what is published
must repeat a pattern at the names that exist below it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

Found = TypeVar("Found")


def is_reserved(hostname: str, zone: str, names: Iterable[str]) -> bool:
    """
    Whether a hostname belongs to the zone itself, so that no agent may have it.

    Reserved are names with a label that starts with `_` (services, `_acme-challenge`), and the given names of edges
    and name servers. An agent with `*.warp.example` could otherwise take over `ns1.warp.example`.

    :param names: labels under the zone that are taken, such as `edge1`, `ns1`.
    """
    if any(label.startswith("_") for label in hostname.split(".")):
        return True
    return any(hostname == f"{name}.{zone}" for name in names)


def stands_for(
    hostname: str, exact: Mapping[str, Found], patterns: Mapping[str, Found], is_reserved: Callable[[str], bool]
) -> Found | None:
    """
    Return what stands for a hostname, or None.

    :param exact: by hostname.
    :param patterns: by suffix: `*.a.example` under `.a.example`.
    :param is_reserved: whether no pattern stands for a hostname; asked only where one would.
    """
    found = exact.get(hostname)
    if found is None and patterns:
        found = nearest_pattern(hostname, patterns)
        if found is not None and is_reserved(hostname):
            return None
    return found


def nearest_pattern(hostname: str, patterns: Mapping[str, Found]) -> Found | None:
    """Return the most specific pattern that covers a hostname; for a pattern itself that, or the next above it."""
    at = hostname.find(".")
    while at > 0:
        found = patterns.get(hostname[at:])
        if found is not None:
            return found
        at = hostname.find(".", at + 1)
    return None


def suffixes(hostname: str) -> Iterator[str]:
    """Yield what a pattern may have after its `*`, the longest first: `.b.example` and `.example` for `a.b.example`."""
    at = hostname.find(".")
    while at > 0:
        yield hostname[at:]
        at = hostname.find(".", at + 1)

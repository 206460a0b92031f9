"""A request as it is written for `warp policy`: `GET https://app.warp.example/admin`, an address, fields."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from warp_twisted.errors import WarpError
from warp_twisted.http1.forwarding import Forwarding
from warp_twisted.http1.limits import HeadLimits
from warp_twisted.http1.refusals import MessageRefused
from warp_twisted.http1.request import RequestReader
from warp_twisted.policy.document.testers import parse_identity
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.interfaces import Identity
from warp_twisted.policy.sources.prefixes import parse_prefix
from warp_twisted.policy.visitor import Visitor

_REQUEST = re.compile(
    r"(?:(?P<method>[A-Za-z-]+) +)?(?P<scheme>https?)://(?P<authority>[^/?#]+)(?P<target>[/?#].*)?", re.DOTALL
)
_LARGE = HeadLimits(head_bytes=1 << 20, target_bytes=1 << 19, header_count=1_000)


class BadRequest(WarpError):
    """The request cannot be understood."""


class NeverJudged(WarpError):
    """Every edge refuses the request before any policy is asked."""


def read_request(
    text: str,
    address: str,
    fields: Sequence[str] = (),
    labels: Sequence[Mapping[str, str]] = (),
    chain: tuple[bytes, ...] = (),
) -> Facts:
    """
    Read a request as an edge would.

    :param text: method and URL; GET unless a method is given.
    :param fields: lines such as `X-Team: blue`.
    :param labels: of the tunnels that may serve it.
    :param chain: as `read_chain` returns it; without TLS nobody shows it.
    :raises BadRequest: saying what was expected.
    :raises NeverJudged: naming the refusal of an edge.
    """
    match = _REQUEST.fullmatch(text.strip())
    if match is None:
        raise BadRequest(f"expected a request such as 'GET https://app.warp.example/admin', got {text!r}")
    for field in fields:
        if "\r" in field or "\n" in field:
            raise BadRequest(f"expected a field in one line, got {field!r}")
    address = read_address(address)
    target = match["target"] or "/"
    target = target if target.startswith("/") else f"/{target}"
    lines = [f"{match['method'] or 'GET'} {target} HTTP/1.1", f"Host: {match['authority']}", *fields, "", ""]
    reader = RequestReader(_LARGE, Forwarding(address, match["scheme"]))
    try:
        head = reader.read("\r\n".join(lines).encode("utf-8"))
    except MessageRefused as error:
        raise NeverJudged(f"every edge refuses this with {error.refusal.status} before any policy: {error}") from error
    if head is None:
        raise BadRequest(f"expected a whole request, got {text!r}")
    # The network stands for limits only, which count nothing here.
    visitor = Visitor(address, address)
    return Facts(
        head.fields.host, head.method, head.target, match["scheme"], visitor, head.lines, tuple(labels),
        chain if match["scheme"] == "https" else (),
    )  # fmt: skip


def read_address(text: str) -> str:
    """
    Check a visitor's address.

    :raises BadRequest: if it is a prefix or no address.
    """
    try:
        parse_prefix(text)
        if "/" not in text:
            return text
    except ValueError:
        pass
    raise BadRequest(f"expected an address such as 203.0.113.9, got {text!r}")


def read_chain(path: Path) -> tuple[bytes, ...]:
    """
    Read a visitor's certificate, and what it sends with it, from a file in PEM; a key in it is passed over.

    :returns: as `Facts.chain`.
    :raises BadRequest: if there is none.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadRequest(f"{path}: {error.strerror}") from error
    try:
        return tuple(each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(content))
    except ValueError:
        raise BadRequest(f"{path}: expected certificates in PEM, the visitor's own first") from None


def read_identity(text: str) -> Identity:
    """
    Read `basic:alice`.

    :raises BadRequest: if the kind is none.
    """
    try:
        return Identity(*parse_identity(text))
    except ValueError as error:
        raise BadRequest(str(error)) from error

"""What is known about a request when it is judged, and how its fields and parameters are read."""

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote_to_bytes

import msgspec

from warp_twisted.policy.changes import FOLDING
from warp_twisted.policy.visitor import Visitor

MAX_SEARCHES = 8  # of a request's fields, each for one name; for more names all fields are read
MAX_SPELT = 16  # names that are remembered of requests with the same fields
MAX_PARAMETERS = 1_000  # of a query; one that has more is read in two ways by servers that stop counting


class Values(msgspec.Struct, frozen=True):
    """
    The values that a request has for one name.

    :param all: under any spelling, in order.
    :param is_plain: whether every server sees exactly these: one value, and the name spelt in the one usual way.
    """

    all: tuple[bytes, ...]
    is_plain: bool


NO_VALUES = Values((), True)


class Facts(msgspec.Struct):
    """
    One request.

    :param hostname: in its normal form.
    :param method: upper case, as it came.
    :param target: a path with its query, or `*`.
    :param scheme: `http` or `https`: how the visitor reached the edge.
    :param lines: the field lines as the origin would get them, each with its CR LF.
    :param labels: of each tunnel that may serve the request.
    :param chain: in DER: the certificate that the visitor proved in its handshake, then others that came with it; empty
        if there is none.
    :param spelt: by folded name how the line of its one field begins, in all requests with the same names in the same
        order; what is searched for is added. None: nothing is known of other requests.
    """

    hostname: str
    method: bytes
    target: bytes
    scheme: str
    visitor: Visitor
    lines: bytes = b""
    labels: tuple[Mapping[str, str], ...] = ()
    chain: tuple[bytes, ...] = ()
    spelt: dict[bytes, bytes] | None = None
    _found: dict[bytes, Values] | None = None
    _fields: dict[bytes, Values] | None = None
    _parameters: dict[bytes, Values] | None = None

    def path(self) -> bytes:
        """Return the path as it came, without the query."""
        return self.target.partition(b"?")[0]

    def field(self, name: bytes) -> Values:
        """
        Return the values of a field.

        :param name: as `changes.folded` returns it: servers that speak CGI and WSGI take twins for the same.
        """
        found = self._found
        if found is None:
            found = self._found = {}
        values = found.get(name)
        if values is None:
            if len(found) < MAX_SEARCHES:
                values = self._search(name)
            else:
                if self._fields is None:
                    self._fields = read_fields(self.lines)
                values = self._fields.get(name, NO_VALUES)
            found[name] = values
        return values

    def _search(self, name: bytes) -> Values:
        """Search the field lines for one name: most programs ask for one or two of a dozen fields."""
        lines, spelt = self.lines, self.spelt
        if spelt is not None and name in spelt:
            start = lines.find(spelt[name])
            if start >= 0:
                start += len(spelt[name])
                return Values((lines[start : lines.find(b"\r", start)].strip(b" \t"),), True)
        found = _pattern_of(name).findall(b"\r\n" + lines)
        if not found:
            return NO_VALUES
        if len(found) == 1:
            sent, value = found[0]
            is_plain = sent.lower() == name
            if is_plain and spelt is not None and len(spelt) < MAX_SPELT:
                spelt[name] = b"\r\n%b:" % sent
            return Values((value.strip(b" \t"),), is_plain)
        return Values(tuple(value.strip(b" \t") for _, value in found), False)

    def parameter(self, name: bytes) -> Values:
        """Return the decoded values of a parameter of the query."""
        parameters = self._parameters
        if parameters is None:
            parameters = self._parameters = read_query(self.target.partition(b"?")[2])
        return parameters.get(name, NO_VALUES)


@lru_cache(maxsize=1_000)
def _pattern_of(name: bytes) -> re.Pattern[bytes]:
    """
    Compile what finds a field, under any spelling, and its value.

    :param name: as of `Facts.field`.
    """
    spelt = re.escape(name).replace(rb"\-", rb"[^0-9A-Za-z:\r\n]")
    return re.compile(rb"(?i)\r\n(" + spelt + rb"):([^\r]*)")


def read_fields(lines: bytes) -> dict[bytes, Values]:
    """Return folded name → values of field lines; what is no field line is passed over."""
    found: dict[bytes, list[bytes]] = {}
    twins: set[bytes] = set()
    for line in lines.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not colon:
            continue
        name = name.lower()
        plain, name = name, name.translate(FOLDING)
        if plain != name:
            twins.add(name)
        found.setdefault(name, []).append(value.strip(b" \t"))
    return {name: Values(tuple(all_), len(all_) == 1 and name not in twins) for name, all_ in found.items()}


def read_query(query: bytes) -> dict[bytes, Values]:
    """
    Return parameter → values of a query.

    Some servers part it at `&` only, some at `;` too: both readings count. No value of a query with `;`, or with more
    parameters than servers read, is plain.
    """
    found: dict[bytes, list[bytes]] = {}
    parts = query.split(b"&", MAX_PARAMETERS)
    is_plain = b";" not in query and len(parts) <= MAX_PARAMETERS
    if not is_plain:
        parts = [*parts, *query.replace(b";", b"&").split(b"&")]
    for part in parts:
        if part:
            name, _, value = part.partition(b"=")
            found.setdefault(_decoded(name), []).append(_decoded(value))
    return {name: Values(tuple(all_), is_plain and len(all_) == 1) for name, all_ in found.items()}


def _decoded(text: bytes) -> bytes:
    text = text.replace(b"+", b" ")
    return unquote_to_bytes(text) if b"%" in text else text

"""
Names that users choose: hostnames, hostname patterns, labels, label selectors; and their sentences, as one line.

Each has one parser and one normal form; past the parser, code compares plain values and never normalises
again. A hostname is a `str` of lower-case A-labels without a trailing dot (RFC 1123 §2.1, RFC 5890 §2.3.2.1).
Labels and selectors follow the grammar of Kubernetes, which users know already.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NewType

from warp_twisted.errors import InvalidName

Hostname = NewType("Hostname", str)

MAX_HOSTNAME_LENGTH = 253  # RFC 1035 §2.3.4: 255 octets on the wire, less the root and one length octet
ALL_OTHERS = "(all others)"  # the empty selector, of a share that takes what no other share wants
MAX_LABELS = 32  # per agent; each label adds DNS names, so the count is bounded

HOST_AND_PORT = re.compile(
    r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}"
)  # a place as people type it, not yet checked

_DNS_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_LABEL_KEY = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_SHARE_WORD = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?")
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")


def parse_hostname(text: str) -> Hostname:
    """
    Return the normal form of a hostname.

    :param text: a DNS name in any case, U-labels allowed, with or without the trailing dot.
    :raises InvalidName: if the name is empty, too long, an IPv4 address, or holds a character DNS hosts do not have.
    """
    name = text.strip().removesuffix(".").lower()
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise InvalidName(f"{text!r} is not a hostname: {error}") from error
    if not name or len(name) > MAX_HOSTNAME_LENGTH:
        raise InvalidName(f"{text!r} is not a hostname: 1 to {MAX_HOSTNAME_LENGTH} characters are expected")
    labels = name.split(".")
    for label in labels:
        if not _DNS_LABEL.fullmatch(label):
            raise InvalidName(f"{text!r} is not a hostname: {_why_no_label(text, label)}")
    if labels[-1].isdigit():
        raise InvalidName(f"{text!r} is not a hostname: it looks like an address")
    return Hostname(name)


def _why_no_label(text: str, label: str) -> str:
    if "://" in text:
        return "write it without scheme and path"
    if "*" in label:
        return "* stands for the whole first label, as in *.team.example, and nowhere else"
    if re.fullmatch(r"[^:]+:[0-9]+", text):
        return "write it without the port"
    if not label:
        return "there is nothing between two dots"
    return f"{label!r} must be 1 to 63 letters, digits, underscores or inner hyphens"


@dataclass(frozen=True, slots=True)
class HostnamePattern:
    """
    A set of hostnames that a token or certificate allows: one name, or `*.` and a suffix.

    `*` stands for one or more labels on the left, so `*.team.example` allows `a.team.example` and
    `a.b.team.example`, never `team.example` itself.
    """

    text: str

    @classmethod
    def parse(cls, text: str) -> "HostnamePattern":
        """
        Read a pattern such as `app.example.org` or `*.team.example.org`.

        :raises InvalidName: if `*` stands anywhere but as the whole first label, or the rest is no hostname.
        """
        if text.startswith("*."):
            return cls("*." + parse_hostname(text[2:]))
        return cls(parse_hostname(text))

    @property
    def is_wildcard(self) -> bool:
        """Whether the pattern allows more than one hostname."""
        return self.text.startswith("*.")

    def allows(self, hostname: Hostname) -> bool:
        """Whether a hostname is in this set."""
        if self.is_wildcard:
            return hostname.endswith(self.text[1:])
        return hostname == self.text

    def __str__(self) -> str:
        return self.text


def parse_label(text: str) -> tuple[str, str]:
    """
    Read one `key=value` label.

    :raises InvalidName: if key or value breaks the Kubernetes grammar (63 characters, alphanumeric at both ends).
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise InvalidName(f"{text!r} is not a label: key=value is expected")
    check_labels({key: value})
    return key, value


def check_labels(labels: Mapping[str, str]) -> None:
    """
    Refuse a label set that breaks the grammar or is larger than `MAX_LABELS`.

    :raises InvalidName: naming the first label that is wrong.
    """
    if len(labels) > MAX_LABELS:
        raise InvalidName(f"{len(labels)} labels are too many: at most {MAX_LABELS}")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key):
            hint = "; write key=value" if ":" in key else ""
            raise InvalidName(
                f"{key!r} is not a label key: letters, digits, '-', '_' or '.', at most 63, are expected{hint}"
            )
        if not _LABEL_VALUE.fullmatch(value):
            raise InvalidName(f"{value!r} is not a value for label {key}: at most 63 letters, digits, '-', '_' or '.'")


def parse_share(text: str) -> str:
    """
    Read a share word, which names a group of agents; a zone's name and the id of a join token are such words too.

    :raises InvalidName: if it is none.
    """
    if not _SHARE_WORD.fullmatch(text):
        raise InvalidName(
            f"{text[:80]!r} is not a share word: 1 to 253 lower-case letters, digits, '.', '_' or '-' are expected,"
            " a letter or digit first and last"
        )
    return text


def one_line(text: str, limit: int) -> str:
    """
    Return what somebody else wrote as one line that a log or terminal can show: no control characters, cut if long.

    :param limit: characters that are left at most.
    """
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


class Operator(Enum):
    """How one requirement of a selector compares."""

    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    NOT_EXISTS = "!"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One comma-separated part of a selector; `values` is empty for the two existence operators."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a label set meets this requirement; an absent key meets `!=` and `notin`, as in Kubernetes."""
        value = labels.get(self.key)
        if self.operator is Operator.EXISTS:
            return value is not None
        if self.operator is Operator.NOT_EXISTS:
            return value is None
        if self.operator is Operator.IN:
            return value in self.values
        return value not in self.values


_REQUIREMENT = re.compile(
    r"\s*(?:(?P<negated>!)?\s*(?P<bare>[^\s!=,()]+)"
    r"|(?P<set_key>[^\s!=,()]+)\s+(?P<set_operator>in|notin)\s*\((?P<values>[^()]*)\)"
    r"|(?P<key>[^\s!=,()]+)\s*(?P<operator>==|=|!=)\s*(?P<value>[^\s!=,()]*))\s*(?:,|\Z)"
)


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """A conjunction of requirements, such as `release=canary,tier!=db`; the empty selector matches everything."""

    requirements: tuple[Requirement, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "LabelSelector":
        """
        Read `key=value`, `key==value`, `key!=value`, `key in (a,b)`, `key notin (a,b)`, `key` and `!key`, by commas.

        :raises InvalidName: naming the place where the grammar is broken.
        """
        requirements: list[Requirement] = []
        at = 0
        while at < len(text.rstrip()):
            match = _REQUIREMENT.match(text, at)
            if match is None or (match.end() == len(text) and text.rstrip().endswith(",")):
                raise InvalidName(f"selector {text!r} is broken at {text[at:].strip()!r}")
            requirements.append(_requirement(match))
            at = match.end()
        return cls(tuple(requirements))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether every requirement holds for a label set."""
        return all(requirement.matches(labels) for requirement in self.requirements)


def shown_selector(text: str) -> str:
    """Return a selector as people are shown it, and may write it where they name a share: the empty one has a name."""
    return text or ALL_OTHERS


def _requirement(match: "re.Match[str]") -> Requirement:
    part = match.groupdict()
    if part["bare"]:
        key, operator = part["bare"], Operator.NOT_EXISTS if part["negated"] else Operator.EXISTS
        values: frozenset[str] = frozenset()
    elif part["set_key"]:
        key = part["set_key"]
        operator = Operator.IN if part["set_operator"] == "in" else Operator.NOT_IN
        values = frozenset(value.strip() for value in part["values"].split(","))
    else:
        key = part["key"]
        operator = Operator.NOT_IN if part["operator"] == "!=" else Operator.IN
        values = frozenset([part["value"]])
    for value in values or [""]:
        check_labels({key: value})
    return Requirement(key, operator, values)

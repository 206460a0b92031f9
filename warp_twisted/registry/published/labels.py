"""
Labels in DNS: which are published, and how they are written as names, as texts and as the pairs of RFC 6763.

A label appears as `VALUE.KEY._label.HOSTNAME` in lower case with every character other than letters, digits, `-` and
`_` written as `-` (`v1.2` is `v1-2`), because a dot would begin another DNS label; labels that become equal by that
share one name, and an empty value or a key over 63 characters has none. Keys with the prefix `private.` are never
published, in no form.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

PRIVATE = "private."  # the prefix of keys that are not published
MAX_STRING = 255  # octets in one character-string, RFC 1035 §3.3
MAX_TEXT = 1_300  # octets of all strings together: more does not fit into one packet, RFC 6763 §6.2

_NOT_IN_A_DNS_LABEL = re.compile(r"[^a-z0-9_-]")


@dataclass(frozen=True, slots=True)
class PublishedLabels:
    """
    What is published of one tunnel's labels.

    :param names: `VALUE.KEY` of each that can be a name.
    :param text: all as one text, by key: `release=canary,tier=web`; "" for none.
    :param pairs: key and value.
    """

    names: tuple[str, ...] = ()
    text: str = ""
    pairs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> "PublishedLabels":
        """Take what is published of a tunnel's labels."""
        pairs = tuple(sorted((key, value) for key, value in labels.items() if not key.startswith(PRIVATE)))
        return cls(label_names(dict(pairs)), ",".join(f"{key}={value}" for key, value in pairs), pairs)


NO_LABELS = PublishedLabels()


def label_names(labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return `VALUE.KEY` for each label of a tunnel that can be a name, as DNS labels."""
    names = []
    for key, value in labels.items():
        key_label = _NOT_IN_A_DNS_LABEL.sub("-", key.lower())
        value_label = _NOT_IN_A_DNS_LABEL.sub("-", value.lower())
        if value_label and len(key_label) <= 63:
            names.append(f"{value_label}.{key_label}")
    return tuple(dict.fromkeys(names))


def quoted(text: str) -> str:
    """Write a character-string, or several when the text is longer than one may be; labels need no escapes."""
    return " ".join(f'"{text[at : at + MAX_STRING]}"' for at in range(0, len(text), MAX_STRING))


def attributes(values: Mapping[str, Mapping[str, int]]) -> str:
    """
    Write labels as the TXT data of a service instance: a string `key=value` for each key (RFC 6763 §6.3).

    "A given key SHOULD NOT appear more than once" (§6.4), so values on which tunnels differ stand in one string:
    `release=canary,stable`; values have no commas. Values that make a string longer than 255 octets, and keys that
    make all of them longer than `MAX_TEXT`, are left out. Without any it is one empty string (§6.1).

    :param values: key → values → whatever; in the order in which they came.
    """
    strings: dict[str, str] = {}
    size = 0
    for key, members in values.items():
        shown: list[str] = []
        length = len(key)
        for value in members:
            length += 1 + len(value)  # the equals sign or comma before it, and itself
            if length > MAX_STRING:
                break
            shown.append(value)
        string = f"{key}={','.join(sorted(shown))}"
        if not shown or key.lower() in strings:  # "Case is ignored when interpreting a key" (§6.4)
            continue
        size += 1 + len(string)
        if size > MAX_TEXT:
            break
        strings[key.lower()] = string
    return " ".join(f'"{string}"' for string in sorted(strings.values())) or '""'

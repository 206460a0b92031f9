"""Changes of fields, compiled: what is taken out of a section of field lines, and what is put in."""

from collections.abc import Collection, Iterable

import msgspec

from warp_twisted.policy.document.fields import FieldChanges

# Upper case to lower, and whatever is neither a letter nor a digit to `-`, as `http1.request_fields` takes twins.
FOLDING = bytes(ord(chr(byte).lower()) if byte < 0x80 and chr(byte).isalnum() else ord("-") for byte in range(0x100))


class Changes(msgspec.Struct, frozen=True):
    """
    Changes of one rule.

    :param without: names as `folded` returns them, that are taken out with all their twins.
    :param lines: that are put in then, each with its CR LF.
    """

    without: frozenset[bytes]
    lines: bytes


def compile_changes(changes: FieldChanges) -> Changes:
    """Compile what a rule says: what it removes and sets is taken out, what it sets and adds is put in."""
    names = [*changes.remove, *changes.set_]
    lines = [*changes.set_.items(), *changes.add.items()]
    return Changes(
        frozenset(folded(name.encode("ascii")) for name in names),
        b"".join(f"{name}: {value}\r\n".encode("ascii") for name, value in lines),
    )


def changed(lines: bytes, changes: Iterable[Changes]) -> bytes:
    """
    Return a section of field lines with changes made, in order: what one rule puts in a later one may take out.

    :param lines: each with its CR LF.
    """
    for each in changes:
        if each.without:
            kept = [
                line for line in lines.split(b"\r\n") if line and folded(line.partition(b":")[0]) not in each.without
            ]
            lines = b"\r\n".join([*kept, b""]) if kept else b""
        lines += each.lines
    return lines


def withheld(lines: bytes, carriers: Collection[bytes]) -> bytes:
    """
    Return a section of field lines without what carried credentials.

    :param carriers: names of fields, in lower case, and `cookie=NAME` for one cookie: the others stay.
    """
    cookies = frozenset(each.partition(b"=")[2] for each in carriers if b"=" in each)
    fields = frozenset(each for each in carriers if b"=" not in each)
    if cookies and b"cookie" not in fields:
        lines = b"".join(_without_cookies(line, cookies) for line in lines.split(b"\r\n") if line)
    return changed(lines, (Changes(fields, b""),))


def _without_cookies(line: bytes, names: frozenset[bytes]) -> bytes:
    """Return a field line, with its CR LF, without some cookies; nothing, if none is left."""
    name, _, value = line.partition(b":")
    if name.lower() != b"cookie":
        return line + b"\r\n"
    pairs = [pair.strip(b" \t") for pair in value.split(b";")]
    kept = [pair for pair in pairs if pair and pair.partition(b"=")[0].strip(b" \t") not in names]
    return b"%b: %b\r\n" % (name, b"; ".join(kept)) if kept else b""


def folded(name: bytes) -> bytes:
    """Return a field's name as servers that speak CGI or WSGI compare it; some fold more than `_`."""
    return name.translate(FOLDING)

"""
The common lines of a master file: one record on one line, of a common type, without escapes or parentheses.

Most lines of a large file are such, and reading one takes 2 µs here and 50 µs with dnspython's tokenizer. What is not
recognised, or may be wrong, is `None`: dnspython reads it then, and words what is wrong with it. So nothing may be
accepted here that dnspython would refuse, or would read differently; a test compares the two on many lines.
"""

import re
from socket import AF_INET, AF_INET6, inet_pton

from warp_dns.message.records import AAAA, CNAME, MX, NS, PTR, SRV, TXT, A

_PLAIN = rb"[!#-'*-:<-\[\]-~]+"  # printable, without quotes, parentheses, semicolons and backslashes
_HEAD = rb"([A-Za-z0-9_*][A-Za-z0-9_.*-]*|@)?[ \t]+(?:([0-9]{1,9})[ \t]+)?(?:IN[ \t]+)?"
_END = rb"[ \t]*(?:;[^\n]*|\r)?\n?"  # a comment may hold anything
match_plain = re.compile(
    _HEAD + rb"(A|AAAA|CNAME|MX|NS|PTR|SRV|TXT)[ \t]+(" + _PLAIN + rb"(?:[ \t]+" + _PLAIN + rb")*)" + _END
).fullmatch
_STRING = rb'(?:"[ !#-\[\]-~]*"|' + _PLAIN + rb")"
match_text = re.compile(_HEAD + rb"(TXT)[ \t]+(" + _STRING + rb"(?:[ \t]+" + _STRING + rb")*)" + _END).fullmatch
is_nothing = re.compile(_END).fullmatch  # an empty line, or one with a comment only

_match_content = re.compile(rb'(?:[^;"\\]|\\.|"(?:[^"\\\n]|\\.)*"?)*', re.DOTALL).match  # all before a comment
_NAME = re.compile(rb"[A-Za-z0-9_*][A-Za-z0-9_.*-]*").fullmatch
_NUMBER = re.compile(rb"[0-9]{1,5}").fullmatch
_STRINGS = re.compile(rb'"([^"]*)"|([^ \t"]+)').findall
_LENGTHS = [bytes([length]) for length in range(64)]
_MAX_NAME_BYTES = 255  # RFC 1035 §2.3.4
_MAX_KNOWN = 4096  # of each type: targets come again and again


COMMON_TYPES = {b"A": A, b"AAAA": AAAA, b"CNAME": CNAME, b"MX": MX, b"NS": NS, b"PTR": PTR, b"SRV": SRV, b"TXT": TXT}
_NUMBERS = {b"CNAME": 0, b"NS": 0, b"PTR": 0, b"MX": 1, b"SRV": 3}  # before the name in the record's data


def text_of(line: bytes) -> str:
    """
    Return a line as text: UTF-8, but for its comment, which may be in any encoding.

    :raises UnicodeDecodeError: if what is no comment is not UTF-8.
    """
    try:
        return line.decode()
    except UnicodeDecodeError:
        content = _match_content(line)
        end = content.end() if content is not None else 0
        return line[:end].decode() + line[end:].decode("latin-1")


class Names:
    """Names and record data of one origin, as a file writes them, in wire format."""

    def __init__(self, origin: bytes) -> None:
        """
        Begin with an origin.

        :param origin: wire format, case as written.
        """
        self.origin = origin
        self._known: dict[bytes, dict[bytes, bytes | None]] = {mnemonic: {} for mnemonic in _NUMBERS}
        self._is_short = len(origin) <= _MAX_NAME_BYTES - 64  # any label fits before it

    def owner(self, text: bytes) -> bytes | None:
        """Return the name of a text that `match_plain` found, or None if dnspython has to decide."""
        if b"." not in text:
            if text == b"@":
                return self.origin
            return _LENGTHS[len(text)] + text + self.origin if len(text) < 64 and self._is_short else None
        end = self.origin
        if text.endswith(b"."):
            text, end = text[:-1], b"\0"
        labels = text.split(b".")
        if b"" in labels or max(map(len, labels)) > 63:
            return None
        name = b"".join([_LENGTHS[len(label)] + label for label in labels]) + end
        return name if len(name) <= _MAX_NAME_BYTES else None

    def data(self, mnemonic: bytes, text: bytes) -> bytes | None:
        """
        Return a record's data in wire format, or None if dnspython has to read it.

        :param mnemonic: one of `COMMON_TYPES`.
        """
        if mnemonic == b"A":
            try:
                return inet_pton(AF_INET, text.decode())
            except OSError:
                return None
        if mnemonic == b"AAAA":
            try:
                return inet_pton(AF_INET6, text.decode())
            except OSError:
                return None
        if mnemonic == b"TXT":
            strings = [quoted or bare for quoted, bare in _STRINGS(text)]
            if max(map(len, strings)) > 255:
                return None
            return b"".join([bytes((len(string),)) + string for string in strings])
        known = self._known[mnemonic]
        if text in known:
            return known[text]
        if len(known) >= _MAX_KNOWN:
            known.clear()
        data = known[text] = self._targeted(_NUMBERS[mnemonic], text)
        return data

    def _targeted(self, count: int, text: bytes) -> bytes | None:
        *numbers, last = text.split()
        target = self.owner(last) if last == b"@" or _NAME(last) else None
        if target is None or len(numbers) != count:
            return None
        if not all(_NUMBER(number) and int(number) < 65536 for number in numbers):
            return None
        return b"".join([int(number).to_bytes(2, "big") for number in numbers]) + target

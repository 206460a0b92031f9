"""
What others say, made fit to be shown: on a terminal, in a log, in JSON that somebody prints.

Agents, edges and visitors choose names, paths, reasons and User-Agents. A terminal obeys escape sequences in them
(ECMA-48: ESC and the C1 controls), lets bidi controls reorder what is read (UAX #9), and shows nothing at all of
invisible characters. So what Python does not call printable is written in letters: controls, formats, surrogates,
line separators, spaces other than the usual one, and code points without a character.

The functions differ only in the spelling, and in what may stay. No other place decides which characters are safe.
"""

import re

_NOT_ASCII = re.compile("[^ -~]")
_NOT_ASCII_NOR_LAYOUT = re.compile("[^ -~\n\t]")
_NOT_JSON_NOR_LAYOUT = re.compile("[^ -~\n\r\t]")


def printable(text: str) -> str:
    r"""Return a text in one line, with `\x1b` for ESC and the like for whatever else is not printable."""
    return text if text.isprintable() else _NOT_ASCII.sub(_in_letters, text)


def printable_lines(text: str) -> str:
    """Return a text of several lines (a traceback): line feeds and tabs stay, the rest is as in `printable`."""
    return text if text.isprintable() else _NOT_ASCII_NOR_LAYOUT.sub(_in_letters, text)


def printable_json(text: str) -> str:
    r"""
    Return JSON that says the same, with `\u009b` and the like for what is not printable.

    :param text: JSON, whose encoder has escaped what JSON does not allow in strings; line breaks are its layout.
    """
    return text if text.isprintable() else _NOT_JSON_NOR_LAYOUT.sub(_in_json, text)


def printable_json_bytes(data: bytes) -> bytes:
    """Return JSON as `printable_json` does; what is plain ASCII costs a tenth of a microsecond."""
    if data.isascii() and b"\x7f" not in data:
        return data
    return printable_json(data.decode("utf-8")).encode("utf-8")


def _in_letters(match: re.Match[str]) -> str:
    character = match[0]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _in_json(match: re.Match[str]) -> str:
    character = match[0]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000  # RFC 8259 §7: as a pair of UTF-16 surrogates
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"

"""Kinds of option values: lengths of time, labels, selectors and hostname patterns, checked before an edge is asked."""

import re

import click

from warp_twisted.errors import InvalidName
from warp_twisted.names import HostnamePattern, LabelSelector, parse_label

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)


def duration(text: str) -> float:
    """
    Read a length of time such as `1h`, `30m`, `7d` or `1h30m`.

    :returns: seconds.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise click.BadParameter(f"{text!r} is not a length of time such as 1h, 30m, 7d or 1h30m")
    return float(sum(int(count or 0) * size for count, size in zip(match.groups(), _UNITS.values(), strict=True)))


def label(text: str) -> tuple[str, str]:
    """Read `key=value`."""
    try:
        return parse_label(text)
    except InvalidName as error:
        raise click.BadParameter(str(error)) from error


def selector(text: str) -> LabelSelector:
    """Read a label selector."""
    try:
        return LabelSelector.parse(text)
    except InvalidName as error:
        raise click.BadParameter(str(error)) from error


def hostname_pattern(text: str) -> HostnamePattern:
    """Read a hostname, or `*.` and a suffix."""
    try:
        return HostnamePattern.parse(text)
    except InvalidName as error:
        raise click.BadParameter(str(error)) from error


SELECTOR_OPTION = click.option(
    "--selector",
    type=selector,
    metavar="SELECTOR",
    help="Only what has labels that match, such as release=canary or 'team in (blue,red)'.",
)

"""
Kinds of option values: lengths of time, labels, selectors, hostname patterns, networks.

All are checked before an edge is asked.
"""

import click

from warp_twisted.durations import parse_duration
from warp_twisted.errors import InvalidName
from warp_twisted.names import HostnamePattern, LabelSelector, parse_label, parse_share
from warp_twisted.policy.bans import parse_network

MAX_TOKEN_SECONDS = MAX_BAN_SECONDS = 366 * 86400  # as the edge's admin interface has them


def duration(text: str) -> float:
    """
    Read a length of time such as `1h`, `30m`, `7d` or `1h30m`.

    :returns: seconds.
    """
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def token_lifetime(text: str) -> float:
    """
    Read how long a token is valid.

    :returns: seconds.
    """
    return _bounded(text, MAX_TOKEN_SECONDS)


def ban_time(text: str) -> float:
    """
    Read how long a ban lasts.

    :returns: seconds.
    """
    return _bounded(text, MAX_BAN_SECONDS)


def _bounded(text: str, most: int) -> float:
    seconds = duration(text)
    if not 0 < seconds <= most:
        raise click.BadParameter(f"expected more than 0 and at most {most // 86400}d, got {text!r}")
    return seconds


def network(text: str) -> str:
    """Read an IPv4 address, or an IPv6 address or /64."""
    try:
        return parse_network(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


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


def share(text: str) -> str:
    """Read a share word."""
    try:
        return parse_share(text)
    except InvalidName as error:
        raise click.BadParameter(str(error)) from error


SELECTOR_OPTION = click.option(
    "--selector",
    type=selector,
    metavar="SELECTOR",
    help="Only what has labels that match, such as release=canary or 'team in (blue,red)'.",
)

"""
The preamble of a stream that one edge opens at another: for which of its agents' routes.

An edge that has no tunnel for a hostname relays the stream to one that has. It names the route as both edges know it,
because an agent's numbers of routes mean something on that agent's tunnels only. Only connections whose peer is an edge
carry such streams; an agent does not know this version, so it cuts one that goes astray. Layout: spec.md §7.1.
"""

from struct import Struct
from typing import NamedTuple

from warp_twisted.errors import WarpError
from warp_twisted.names import HostnamePattern
from warp_twisted.wire.errors import BadPreamble, MessageTooLarge
from warp_twisted.wire.preamble import MARK, decode_preamble

RELAY_VERSION = 2
HOPS = 1  # that a stream may take from edge to edge: one, so there are no circles
MAX_NAME_BYTES = 255  # of a hostname or pattern, and of an agent's id
MAX_RULE_BYTES = 4_096

# 10 bytes, big endian: version (1), wishes (1), hops left (1), 0 (1), lengths of hostname, agent and rule (2 each).
_LAYOUT = Struct(">BBBBHHH")


class RelayPreamble(NamedTuple):
    """
    What a relayed stream is for.

    :ivar hostname: of the route: a hostname or a pattern, in normal form.
    :ivar agent: whose tunnels may serve it: the edge that relays has chosen, by labels, cookies and health.
    :ivar rule: the route's path rule; empty: none.
    :ivar hops: how many edges it may still pass, the one that reads this included; at 0 it came too far.
    """

    hostname: str
    agent: str
    rule: str = ""
    hops: int = HOPS


def encode_relay_preamble(relayed: RelayPreamble) -> bytes:
    """
    Build the preamble of a relayed stream.

    :raises MessageTooLarge: if a name or the rule is longer than the protocol allows.
    """
    hostname, agent, rule = relayed.hostname.encode(), relayed.agent.encode(), relayed.rule.encode()
    if max(len(hostname), len(agent)) > MAX_NAME_BYTES or len(rule) > MAX_RULE_BYTES:
        raise MessageTooLarge(
            f"a relayed stream's hostname, agent and rule take {len(hostname)}, {len(agent)} and {len(rule)} bytes;"
            f" {MAX_NAME_BYTES}, {MAX_NAME_BYTES} and {MAX_RULE_BYTES} are most"
        )
    lengths = len(hostname), len(agent), len(rule)
    return _LAYOUT.pack(RELAY_VERSION, MARK, relayed.hops, 0, *lengths) + hostname + agent + rule


def decode_link_preamble(data: bytes) -> tuple[int, int, int | RelayPreamble] | None:
    """Read a preamble as it comes on a link between edges: of a relayed stream, or of one that is the link's own."""
    return decode_relay_preamble(data) if data[0] == RELAY_VERSION else decode_preamble(data)


def decode_relay_preamble(data: bytes) -> tuple[int, int, RelayPreamble] | None:
    """
    Read the preamble of a relayed stream, for `PreambleReader`.

    The wishes that are returned are none: who relays passes on what the agent says that it heard.

    :returns: None if more bytes are needed.
    :raises BadPreamble: if it cannot be read, as soon as its first ten bytes or the whole of it say so.
    """
    if len(data) < _LAYOUT.size:
        return None
    version, wishes, hops, nothing, hostname_bytes, agent_bytes, rule_bytes = _LAYOUT.unpack_from(data)
    if version != RELAY_VERSION:
        raise BadPreamble(f"a preamble of version {version}; {RELAY_VERSION} is expected between edges")
    if wishes & ~MARK or nothing or hops > HOPS:
        raise BadPreamble(
            f"a relayed stream's preamble with wishes {wishes}, {hops} hops left and {nothing} after them"
        )
    if not (
        0 < hostname_bytes <= MAX_NAME_BYTES and 0 < agent_bytes <= MAX_NAME_BYTES and rule_bytes <= MAX_RULE_BYTES
    ):
        raise BadPreamble(f"a relayed stream's names of {hostname_bytes}, {agent_bytes} and {rule_bytes} bytes")
    end_of_hostname = _LAYOUT.size + hostname_bytes
    end_of_agent = end_of_hostname + agent_bytes
    end = end_of_agent + rule_bytes
    if len(data) < end:
        return None
    try:
        hostname = data[_LAYOUT.size : end_of_hostname].decode("ascii")
        agent = data[end_of_hostname:end_of_agent].decode()
        rule = data[end_of_agent:end].decode()
        is_normal = HostnamePattern.parse(hostname).text == hostname
    except (UnicodeDecodeError, WarpError) as error:
        raise BadPreamble(f"a relayed stream's preamble names nothing: {error}") from error
    if not is_normal:
        raise BadPreamble(f"a relayed stream's hostname is not in normal form: {hostname}")
    return end, 0, RelayPreamble(hostname, agent, rule, hops)

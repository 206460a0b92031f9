"""
The hosts' network: a bridge in a namespace of its own, one link to each host, and no way out.

A packet for any other address is answered "unreachable" at once. This machine takes part only through
commands run inside the bridge's namespace, so nothing here can disturb the machine's own network.
"""

from tests.fleet.place import FleetError, Place, run


def _ip(namespace: str, *command: str, quiet: bool = False) -> str:
    return run("ip", "-n", namespace, *command, quiet=quiet)


def is_up(place: Place) -> bool:
    """Whether the bridge is there and works, which after a restart of the machine it does not."""
    return place.namespace.exists() and bool(_ip(place.name, "link", "show", "dev", "br0", "up", quiet=True))


def up(place: Place) -> None:
    """Make the bridge and this machine's foothold: address .1 and ::1. It forwards, to say "unreachable"."""
    if is_up(place):
        return
    run("ip", "netns", "delete", place.name, quiet=True)
    run("ip", "netns", "add", place.name)
    for family in ("ipv4.ip_forward", "ipv6.conf.all.forwarding"):
        run("nsenter", f"--net={place.namespace}", "sysctl", "-qw", f"net.{family}=1")
    _ip(place.name, "link", "set", "dev", "lo", "up")
    _ip(place.name, "link", "add", "name", "br0", "type", "bridge")
    _ip(place.name, "address", "add", f"{place.network}.1/24", "dev", "br0")
    _ip(place.name, "address", "add", f"{place.network6}::1/64", "dev", "br0", "nodad")
    _ip(place.name, "link", "set", "dev", "br0", "up")


def down(place: Place) -> None:
    """Remove the bridge, and with it every link."""
    run("ip", "netns", "delete", place.name, quiet=True)


def plug_in(place: Place, host: str, number: int) -> None:
    """Give a host a namespace, a link to the bridge that has its name, and the addresses with its number."""
    unplug(place, host)
    own = f"{place.name}-{host}"
    run("ip", "netns", "add", own)
    _ip(place.name, "link", "add", "name", host, "type", "veth", "peer", "name", "eth0", "netns", own)
    _ip(place.name, "link", "set", "dev", host, "master", "br0", "up")
    _ip(own, "link", "set", "dev", "lo", "up")
    # As a real machine keeps its address, so that neighbours find it again at once.
    _ip(own, "link", "set", "dev", "eth0", "address", f"02:77:61:72:70:{number:02x}", "up")
    _ip(own, "address", "add", f"{place.network}.{number}/24", "dev", "eth0")
    _ip(own, "address", "add", f"{place.network6}::{number}/64", "dev", "eth0", "nodad")
    _ip(own, "route", "add", "default", "via", f"{place.network}.1")
    _ip(own, "route", "add", "default", "via", f"{place.network6}::1")


def unplug(place: Place, host: str) -> None:
    """Take a host's link away; no farewell gets out to its peers."""
    if place.namespace.exists():
        _ip(place.name, "link", "delete", "dev", host, quiet=True)
    run("ip", "netns", "delete", f"{place.name}-{host}", quiet=True)


def require_namespaces() -> None:
    """
    Make sure that this machine can have network namespaces at all.

    :raises FleetError: if not, with what the kernel said.
    """
    try:
        run("unshare", "--net", "--mount", "true")
    except FleetError as error:
        raise FleetError(f"namespaces cannot be made here: {error}") from error

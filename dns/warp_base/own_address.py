"""
Whether an address is one of this machine's, so that something can listen there.

It is asked by binding a port of the system's choice, which opens nothing: only `listen` does.
"""

import errno
import socket
from ipaddress import IPv4Address, IPv6Address

_REASONS = {
    errno.EADDRNOTAVAIL: "this machine does not have that address now",
    errno.EAFNOSUPPORT: "this machine has no IPv6",
}


def why_not_own(address: IPv4Address | IPv6Address) -> str:
    """
    Say why nothing can listen at an address.

    :param address: IPv6 link-local ones need their zone index, as `fe80::1%eth0`.
    :returns: words for an operator; empty if something can.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind(socket.getaddrinfo(str(address), 0, family, flags=socket.AI_NUMERICHOST)[0][4])
    except OSError as error:
        return _REASONS.get(error.errno or 0, error.strerror or str(error))
    return ""

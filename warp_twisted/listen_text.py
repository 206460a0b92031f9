"""
Listeners as settings name them: Twisted endpoint strings, made into endpoints or refused with the key's path. One kind
is ours: `systemd:name=NAME` is all sockets that systemd hands over under a name, of whichever address families.

The code that listens and the code that only checks a file both ask here, so that a text that passes the check can be
listened on as far as its words and this machine's addresses go; whether the port is free is known only by trying.
"""

import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address

from twisted.internet.endpoints import AdoptedStreamServerEndpoint, serverFromString
from twisted.internet.interfaces import IReactorTime, IStreamServerEndpoint

from warp_base.host_port import MAX_PORT
from warp_base.own_address import why_not_own
from warp_twisted.errors import InvalidSettings

_EXPECTED = "expected an endpoint such as tcp:8080 or tcp:8080:interface=192.0.2.1"
_PORT = re.compile(r"(?:tcp6?|ssl):(?:port=)?(?P<port>-?\d+)(?=:|$)")
_NAMED = re.compile(r"systemd:name=(?P<name>[^:=]+)")
_INTERFACE = re.compile(r":interface=(?P<interface>(?:\\.|[^:\\])+)")


def server_endpoints(
    reactor: IReactorTime, text: str, key: str, handed: Mapping[str, Sequence[int]]
) -> Sequence[IStreamServerEndpoint]:
    """
    Return the endpoints that a text names: one, or several sockets of systemd.

    :param handed: name → descriptors, as systemd handed them over.
    :raises InvalidSettings: naming the key, if there is none that could be listened on.
    """
    named = _NAMED.fullmatch(text)
    if named is None:
        return [server_endpoint(reactor, text, key)]
    endpoints = []
    for descriptor in handed.get(named["name"], ()):
        with socket.socket(fileno=os.dup(descriptor)) as copy:
            endpoints.append(AdoptedStreamServerEndpoint(reactor, descriptor, copy.family))
    if not endpoints:
        raise InvalidSettings(
            f"{key}: systemd handed this process no socket for {text!r}; its socket unit needs "
            f"FileDescriptorName={named['name']} and Service= of this one, and to be started before"
        )
    return endpoints


def server_endpoint(reactor: IReactorTime, text: str, key: str) -> IStreamServerEndpoint:
    """
    Return the endpoint that a text names.

    :param key: the path of the text's key, `listen.http[0]` for one.
    :raises InvalidSettings: naming the key, if it is none that could be listened on.
    """
    port, interface = _PORT.match(text), _INTERFACE.search(text)
    if port and not 0 <= int(port["port"]) <= MAX_PORT:
        raise InvalidSettings(f"{key}: expected a port from 0 to {MAX_PORT}, got {port['port']} in {text!r}")
    if port and interface:
        _check_interface(re.sub(r"\\(.)", r"\1", interface["interface"]), text, key)
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, text)
    except Exception as error:  # each kind of endpoint raises as it likes
        raise InvalidSettings(f"{key}: {_EXPECTED}, got {text!r} ({_reason(text, error)})") from error
    return endpoint


def check_listeners(
    reactor: IReactorTime, listeners: Mapping[str, Sequence[str] | str | None], *, has_systemd_sockets: bool
) -> None:
    """
    Look at listeners without opening them.

    :param listeners: key → a text, a list of them, or None.
    :param has_systemd_sockets: whether systemd handed this process any; where not, those that are numbered are
        believed; those with a name are looked for by the start alone.
    :raises InvalidSettings: naming the key of the first that is wrong, or that another has taken.
    """
    taken: dict[str, str] = {}
    for key, text in _items(listeners):
        if not (_NAMED.fullmatch(text) or (text.startswith("systemd:") and not has_systemd_sockets)):
            server_endpoint(reactor, text, key)
            _check_own(text, key)
        port = _PORT.match(text)
        if port and int(port["port"]) == 0:
            continue  # each gets a free one
        if text in taken:
            raise InvalidSettings(f"{key}: {text!r} is {taken[text]} already; give each listener its own port")
        taken[text] = key


def _items(listeners: Mapping[str, Sequence[str] | str | None]) -> Iterator[tuple[str, str]]:
    for key, found in listeners.items():
        if isinstance(found, str):
            yield key, found
        else:
            yield from ((f"{key}[{index}]", text) for index, text in enumerate(found or ()))


def _check_interface(interface: str, text: str, key: str) -> None:
    """Refuse what is no address here, such as `eth0`: binding takes addresses, not names of devices."""
    try:
        ip_address(interface)
    except ValueError:
        try:
            socket.getaddrinfo(interface, None)
        except OSError as error:
            raise InvalidSettings(
                f"{key}: expected an address of this machine after interface=, got {interface!r} in {text!r}"
            ) from error


def _check_own(text: str, key: str) -> None:
    """Refuse an address that another machine has, or that this one does not have yet."""
    interface = _INTERFACE.search(text)
    if interface is None:
        return
    try:
        address = ip_address(re.sub(r"\\(.)", r"\1", interface["interface"]))
    except ValueError:
        return  # a name
    reason = why_not_own(address)
    if reason:
        raise InvalidSettings(f"{key}: {reason}: {address} in {text!r}; see: ip address")


def _reason(text: str, error: Exception) -> str:
    if text.startswith("systemd:") and isinstance(error, IndexError):
        return "systemd handed this process no such socket"
    return str(error) or type(error).__name__

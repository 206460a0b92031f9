"""
What can be known of an edge.yaml before the edge starts: the files and names that it points to, and its listeners.

Nothing is listened on or written, and nobody is dialed but the members of etcd. The edge itself begins with the same
looks, so a configuration that passes fails at the start only for what cannot be known before, such as a port that is
taken.
"""

import os
from ipaddress import ip_address
from pathlib import Path

from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_base.reactor import Reactor
from warp_base.wall_clock import WallClock
from warp_twisted.ca.errors import BadRequest, CaError
from warp_twisted.ca.issue import check_permitted, issue_edge, new_key, utc
from warp_twisted.ca.store import EdgeAuthority, load_edge
from warp_twisted.configuration import nearest_directory
from warp_twisted.edge.nameserver import check_nameserver
from warp_twisted.edge.operators.admin_socket import check_socket_path
from warp_twisted.edge.policy.delivery.checking import check_fleet_policy, check_policy
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.edge.stores.asking import ask_members
from warp_twisted.edge.stores.certificate import load_trust
from warp_twisted.edge.visitors.serving import open_certificates
from warp_twisted.errors import InvalidSettings
from warp_twisted.listen_text import check_listeners
from warp_twisted.names import HostnamePattern
from warp_twisted.registry.errors import StoreBroken
from warp_twisted.registry.layouts import check_file
from warp_twisted.registry.sqlite_file import FILE


def check_edge(
    reactor: Reactor,
    settings: EdgeSettings,
    *,
    has_systemd_sockets: bool = False,
    wall: WallClock = MACHINE_WALL_CLOCK,
) -> str:
    """
    Look at what the settings point to.

    :param reactor: to make endpoints with.
    :param has_systemd_sockets: whether systemd handed this process sockets that can be looked for.
    :returns: what the edge would leave out, as it does not concern the rest, and what is odd; empty if nothing.
    :raises WarpError: naming the key, and what cannot be used.
    """
    authority = load_authority(settings, wall.now())
    _check_state(settings.state)
    asked: list[str] = []
    if settings.registry is not None:
        load_trust(settings.registry.etcd, authority.roots)
        asked = ask_members(settings.registry.etcd)
    listen = settings.listen
    left_out = (
        [f"certificates: {each}" for each in open_certificates(settings, reactor).complaints] if listen.https else []
    )
    listeners = {f"listen.{key}": getattr(listen, key) for key in ("http", "https", "tunnel", "metrics")}
    check_listeners(reactor, listeners, has_systemd_sockets=has_systemd_sockets)
    if listen.admin is not None:
        check_socket_path(listen.admin)
    if listen.records is not None:
        check_socket_path(listen.records, "listen.records")
        if listen.records == listen.admin:
            raise InvalidSettings("listen.records: expected another path than that of listen.admin")
    if settings.policy is not None:
        check_policy(settings.policy, settings.policy_files)
    elif settings.registry is None:
        check_fleet_policy(Path(settings.state) / FILE, settings.policy_files)
    odd = check_nameserver(reactor, settings)
    _check_access_log(settings.log.access)
    return "; ".join([*asked, *left_out, *odd])


def load_authority(settings: EdgeSettings, now: float) -> EdgeAuthority:
    """
    Read what the edge issues with, and see that it may issue for the edge's own name, now.

    :param now: seconds since the epoch.
    :raises InvalidSettings: naming the key.
    """
    ca = settings.ca
    try:
        authority = load_edge(Path(ca.root), Path(ca.certificate), Path(ca.key))
    except CaError as error:
        keys = [key for key in ("root", "certificate", "key") if str(error).startswith(getattr(ca, key))]
        raise InvalidSettings(f"{f'ca.{keys[0]}' if keys else 'ca'}: {error}") from error
    hostname = settings.hostname
    addresses = [ip_address(text) for text in settings.edge.addresses]
    try:
        check_permitted(authority.issuer, [HostnamePattern.parse(hostname)])
        issue_edge(authority.issuer, new_key().public_key(), [hostname], addresses, utc(now), edge=settings.edge.name)
    except BadRequest as error:
        raise InvalidSettings(
            f"zone: {error}; agents would not trust this edge. Correct the zone, or issue a new ca.certificate for it"
        ) from error
    except CaError as error:
        raise InvalidSettings(f"ca.certificate: {ca.certificate}: {error}; make a new one, or set the clock") from error
    return authority


def _check_state(name: str) -> None:
    """Refuse a state directory that is there and cannot be used, or can never be made; and a registry in it as well."""
    path = Path(name)
    if nearest_directory(path, "state") == path and not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise InvalidSettings(f"state: {name}: this user may not write there")
    try:
        check_file(path / FILE)
    except StoreBroken as error:
        raise InvalidSettings(f"state: {error}") from error


def _check_access_log(name: str | None) -> None:
    if name is None or name == "-":
        return
    path = Path(name)
    if path.is_dir():
        raise InvalidSettings(f"log.access: {name}: expected a file, found a directory")
    if not path.parent.is_dir():
        raise InvalidSettings(f"log.access: {name}: there is no directory {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InvalidSettings(f"log.access: {name}: this user may not write there")

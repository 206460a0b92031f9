"""
Other name servers, started for a test: Knot, NSD and BIND, as secondaries of a zone of ours or with a file of theirs;
unbound and BIND as resolvers that ask us.

Each runs in the foreground in a directory of its own, on a free port of 127.0.0.1, and is ended by its process id.
"""

import base64
import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.trial.unittest import SkipTest

from tests.system.ports import free_port

KEY_NAME = "transfer"
SECRET = bytes(range(32))
SECRET_TEXT = base64.b64encode(SECRET).decode()

_KNOT_SERVER = """
server:
  listen: 127.0.0.1@{port}
  rundir: {directory}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
log:
  - target: stderr
    any: notice
database:
  storage: {directory}
"""
_KNOT_SECONDARY = (
    _KNOT_SERVER
    + """
key:
  - id: {key}
    algorithm: hmac-sha256
    secret: {secret}
remote:
  - id: primary
    address: 127.0.0.1@{primary}
    key: {key}
acl:
  - id: notify
    address: 127.0.0.1
    key: {key}
    action: notify
  - id: look
    address: 127.0.0.1
    action: transfer
zone:
  - domain: {zone}
    master: primary
    acl: [notify, look]
    storage: {directory}
"""
)
_KNOT_PRIMARY = (
    _KNOT_SERVER
    + """
zone:
  - domain: {zone}
    file: {zone_file}
    zonefile-sync: -1
"""
)

_NSD_SERVER = """
server:
  ip-address: 127.0.0.1@{port}
  server-count: 1
  username: ""
  zonesdir: "{directory}"
  pidfile: "{directory}/nsd.pid"
  xfrdir: "{directory}"
  xfrdfile: "{directory}/xfrd.state"
  zonelistfile: "{directory}/zone.list"
  database: ""
  rrl-ratelimit: 0
  minimal-responses: yes
remote-control:
  control-enable: no
"""
_NSD_SECONDARY = (
    _NSD_SERVER
    + """
key:
  name: {key}
  algorithm: hmac-sha256
  secret: "{secret}"
zone:
  name: {zone}
  zonefile: "zone"
  request-xfr: 127.0.0.1@{primary} {key}
  allow-notify: 127.0.0.1 {key}
  provide-xfr: 127.0.0.1 NOKEY
"""
)
_NSD_PRIMARY = (
    _NSD_SERVER
    + """
zone:
  name: {zone}
  zonefile: {zone_file}
"""
)

_BIND_SERVER = """
options {{
  directory "{directory}"; pid-file "{directory}/pid"; session-keyfile "{directory}/session.key";
  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion no; notify no; dnssec-validation no; allow-transfer {{ any; }}; minimal-responses yes;
}};
controls {{ }};
"""
_BIND_SECONDARY = (
    _BIND_SERVER
    + """
key {key} {{ algorithm hmac-sha256; secret "{secret}"; }};
zone "{zone}" {{
  type secondary; file "zone"; primaries port {primary} {{ 127.0.0.1 key {key}; }}; allow-notify {{ key {key}; }};
}};
"""
)
_BIND_PRIMARY = (
    _BIND_SERVER
    + """
zone "{zone}" {{ type primary; file "{zone_file}"; check-names ignore; }};
"""
)

_BIND_RESOLVER = """
options {{
  directory "{directory}"; pid-file "{directory}/pid"; session-keyfile "{directory}/session.key";
  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion yes; dnssec-validation no; empty-zones-enable no;
}};
controls {{ }};
zone "{zone}" {{ type forward; forward only; forwarders {{ 127.0.0.1 port {primary}; }}; }};
"""

_UNBOUND_RESOLVER = """
server:
  interface: 127.0.0.1
  port: {port}
  username: ""
  chroot: ""
  directory: "{directory}"
  pidfile: ""
  use-syslog: no
  num-threads: 1
  module-config: "iterator"
  do-not-query-localhost: no
  local-zone: "test." nodefault
remote-control:
  control-enable: no
stub-zone:
  name: "{zone}"
  stub-addr: 127.0.0.1@{primary}
"""

KINDS = ("knot", "nsd", "bind")
_PROGRAMS = {
    "knot": ("knotd", ["-c", "{configuration}"]),
    "nsd": ("nsd", ["-d", "-c", "{configuration}"]),
    "bind": ("named", ["-f", "-4", "-n", "1", "-c", "{configuration}"]),
    "unbound": ("unbound", ["-d", "-p", "-c", "{configuration}"]),
}
_SECONDARY = {"knot": _KNOT_SECONDARY, "nsd": _NSD_SECONDARY, "bind": _BIND_SECONDARY}
_PRIMARY = {"knot": _KNOT_PRIMARY, "nsd": _NSD_PRIMARY, "bind": _BIND_PRIMARY}

RESOLVERS = ("bind", "unbound")
_RESOLVER = {"bind": _BIND_RESOLVER, "unbound": _UNBOUND_RESOLVER}


class Peer(ProcessProtocol):
    """A running server, and what it wrote."""

    def __init__(self, kind: str) -> None:
        """
        Choose the server.

        :raises SkipTest: if it is not installed.
        """
        program, self._arguments = _PROGRAMS[kind]
        self.kind = kind
        path = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin")
        if path is None:
            raise SkipTest(f"{program} is not installed")
        self._path = path
        self.port = free_port()
        self.output = b""
        self.ended: Deferred[None] = Deferred()

    def follow(self, reactor: Any, zone: str, primary: int, *others: int) -> None:
        """Run the server as a secondary of a zone on a port of 127.0.0.1; NSD may have other primaries beside it."""
        primaries = f" {KEY_NAME}\n  request-xfr: 127.0.0.1@".join(map(str, (primary, *others)))
        values: dict[str, object] = {"zone": zone, "primary": primaries, "key": KEY_NAME, "secret": SECRET_TEXT}
        self._start(reactor, _SECONDARY[self.kind], values)

    def serve(self, reactor: Any, zone: str, zone_file: Path) -> None:
        """Run the server with a zone file."""
        self._start(reactor, _PRIMARY[self.kind], {"zone": zone, "zone_file": zone_file.resolve()})

    def resolve(self, reactor: Any, zone: str, primary: int) -> None:
        """Run the server as a resolver that asks a port of 127.0.0.1 for the names of a zone."""
        self._start(reactor, _RESOLVER[self.kind], {"zone": zone, "primary": primary})

    def _start(self, reactor: Any, template: str, values: dict[str, object]) -> None:
        directory = self._directory = Path(tempfile.mkdtemp(prefix="peer-"))  # short, for Knot's control socket
        configuration = directory / "configuration"
        configuration.write_text(template.format(port=self.port, directory=directory, **values))
        arguments = [argument.format(configuration=configuration) for argument in self._arguments]
        reactor.spawnProcess(self, self._path, [self._path, *arguments], env={}, path=str(directory))

    def stop(self) -> Deferred[None]:
        """End the server; fires when it is gone."""
        transport: Any = self.transport
        if transport is not None and transport.pid is not None:
            transport.signalProcess("TERM")
        return self.ended

    def outReceived(self, data: bytes) -> None:
        """Keep what it says, for when a test fails."""
        self.output += data

    errReceived = outReceived

    def processEnded(self, reason: object) -> None:
        """It is gone."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self.ended.callback(None)

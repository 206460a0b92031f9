"""
A whole fleet in one process, on loopback, in one temporary directory: what `warp demo` runs.

It builds the same edge, DNS server and agent that twistd would, from the same settings, and decides only the order.
Each step is a method of its own, so that `warp demo --check` can time it. `stop` may be called at any point and
leaves nothing behind.
"""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace
from twisted.logger import Logger

from warp_base.reactor import Reactor
from warp_dns.errors import ListenFailed
from warp_twisted.ca.issue import issue_edge, key_to_pem, new_key, to_pem
from warp_twisted.ca.store import add_edge, init_root, load_edge, write_file
from warp_twisted.cli.errors import DemoFailed
from warp_twisted.cli.local import DemoInfo, announce_demo
from warp_twisted.demo.admin import DemoAdmin
from warp_twisted.demo.agent import DRAIN_SECONDS, DemoAgent
from warp_twisted.demo.application import DemoApplication
from warp_twisted.demo.directory import DemoDirectory, remove_left_behind
from warp_twisted.demo.loopback_site import LoopbackSite
from warp_twisted.demo.ports import ADDRESS, WANTED, choose_ports
from warp_twisted.edge.node import EdgeNode
from warp_twisted.edge.settings import (
    CertificateAuthority,
    EdgeIdentity,
    EdgeSettings,
    Limits,
    Listen,
    Log,
    Timeouts,
)
from warp_twisted.errors import InvalidSettings

ZONE = "warp.localhost"
HOSTNAME = f"hello.{ZONE}"
EDGE = "edge1"
ATTEMPTS = 5


class DemoFleet:
    """
    The demo's parts.

    :ivar ports: those that were chosen, once `start_edge` has returned.
    :ivar directory: the temporary directory with everything in it.
    :ivar admin: asks the edge, once `start_edge` has returned.
    :ivar node: the edge; None while it does not run.
    :ivar agent: the agent of the demo's application.
    """

    _log = Logger()

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self.ports = WANTED
        remove_left_behind()
        self._directory = DemoDirectory()
        self.directory = self._directory.path
        self.admin = DemoAdmin(reactor, str(self.admin_file))
        self.node: EdgeNode | None = None
        self._agents: list[DemoAgent] = []
        self.agent = self.add_agent("agent", DemoApplication(reactor, reactor), HOSTNAME, {"app": "hello"})
        self._announced: Path | None = None

    @property
    def root_file(self) -> Path:
        """The certificate that visitors' HTTPS is verified against."""
        return self.directory / "ca" / "root.pem"

    @property
    def admin_file(self) -> Path:
        """The edge's admin socket."""
        return self.directory / "admin.sock"

    @property
    def access_file(self) -> Path:
        """The access log."""
        return self.directory / "access.log"

    @property
    def policy_directory(self) -> Path:
        """Where the files are that a policy names."""
        return self.directory / "policy"

    def url(self, path: str = "/", scheme: str = "http") -> str:
        """Return the address of one page of the demo application."""
        port = self.ports.https if scheme in ("https", "wss") else self.ports.http
        return f"{scheme}://{HOSTNAME}:{port}{path}"

    async def start_edge(self) -> None:
        """
        Make a certificate authority, choose ports, and start the edge with its DNS server.

        A port may be taken by somebody else between the choice and the start, as when two demos start at once.
        """
        settings = self._prepare()
        for attempt in range(1, ATTEMPTS + 1):
            self.ports = choose_ports()
            # Kept before it has started, so that a demo that is ended meanwhile stops it.
            node = self.node = EdgeNode(self._reactor, replace(settings, listen=self._listen()))
            try:
                node.startService()
                await node.started
            except (InvalidSettings, ListenFailed) as error:
                self.node = None
                await node.stopService()
                if attempt == ATTEMPTS or choose_ports() == self.ports:
                    raise DemoFailed(f"the edge cannot start: {error}") from error
            else:
                return

    def add_agent(self, name: str, application: LoopbackSite, hostname: str, labels: Mapping[str, str]) -> DemoAgent:
        """
        Add an agent, which `stop` stops with its application; starting both is up to who adds it.

        :param name: of the directory of its state.
        """
        agent = DemoAgent(
            self._reactor,
            self.admin,
            self.directory / name,
            application,
            hostname=hostname,
            labels=labels,
            share=ZONE,
        )
        self._agents.append(agent)
        return agent

    def announce(self) -> None:
        """Let `warp up` and `warp status` in other terminals find the demo."""
        self._announced = announce_demo(
            DemoInfo(
                admin=str(self.admin_file),
                zone=ZONE,
                http_port=self.ports.http,
                https_port=self.ports.https,
                dns_port=self.ports.dns,
                tunnel_port=self.ports.tunnel,
                pid=os.getpid(),
                started_at=time.time(),
            )
        )

    async def stop(self) -> None:
        """Stop what runs, in the order in which it loses nothing, and remove every file."""
        self._forget()
        agents = [agent.drain for agent in self._agents]
        applications = [agent.application.stop for agent in self._agents]
        for stop in (*agents, self._stop_edge, *applications):
            try:
                await stop()
            except Exception:  # the rest must be stopped and removed all the same
                self._log.failure("the demo could not stop one of its parts")
        for agent in self._agents:
            agent.close()
        self._directory.remove()

    async def _stop_edge(self) -> None:
        if self.node is not None:
            node, self.node = self.node, None
            await node.stopService()

    def _forget(self) -> None:
        if self._announced is None:
            return
        announced, self._announced = self._announced, None
        announced.unlink(missing_ok=True)
        if announced.parent.name.startswith("warp-demo-"):
            with suppress(OSError):  # not empty: somebody else's
                announced.parent.rmdir()

    def _prepare(self) -> EdgeSettings:
        """Write keys, certificates and directories, and return the settings of an edge that uses them."""
        authority, certificates = self.directory / "ca", self.directory / "certificates"
        now = datetime.fromtimestamp(time.time(), UTC)
        init_root(authority, "warp demo", now)
        add_edge(authority, EDGE, now, [ZONE])
        paths = self.root_file, authority / f"{EDGE}.pem", authority / f"{EDGE}.key"
        issuer = load_edge(*paths).issuer
        key = new_key()
        visitors = issue_edge(issuer, key.public_key(), [ZONE, f"*.{ZONE}"], [], now)
        certificates.mkdir(mode=0o700)
        self.policy_directory.mkdir(mode=0o700)
        write_file(certificates / "demo.key", key_to_pem(key), 0o600, overwrite=False)
        write_file(certificates / "demo.pem", to_pem(visitors, *issuer.chain).encode(), 0o644, overwrite=False)
        return EdgeSettings(
            zone=ZONE,
            edge=EdgeIdentity(name=EDGE, addresses=(ADDRESS,)),
            ca=CertificateAuthority(root=str(paths[0]), certificate=str(paths[1]), key=str(paths[2])),
            state=str(self.directory / "edge"),
            certificates=str(certificates),
            policy_files=str(self.policy_directory),
            limits=Limits(enrollment_burst=100),
            timeouts=Timeouts(drain=DRAIN_SECONDS),
            log=Log(format="text", access=str(self.access_file)),
        )

    def _listen(self) -> Listen:
        return Listen(
            http=(_loopback(self.ports.http),),
            https=(_loopback(self.ports.https),),
            tunnel=(_loopback(self.ports.tunnel),),
            dns=(f"{ADDRESS}:{self.ports.dns}",),
            admin=str(self.admin_file),
        )


def _loopback(port: int) -> str:
    return f"tcp:{port}:interface={ADDRESS}"

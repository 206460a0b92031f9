"""HAProxy with one thread in front of the origins: what a reverse proxy costs when there is no tunnel."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from benchmarks.load.visitors import Address
from benchmarks.peers.peer import Peer
from benchmarks.processes import free_port, running

_CONFIGURATION = """\
global
    nbthread 1
    maxconn {connections}
    no strict-limits
defaults
    mode http
    option http-keep-alive
    http-reuse always
    timeout connect 10s
    timeout client 300s
    timeout server 300s
    timeout http-keep-alive 300s
frontend web
    bind 127.0.0.1:{port} backlog 4096
    bind 127.0.0.1:{tls_port} backlog 4096 ssl crt {certificate} alpn http/1.1
    default_backend nginx
frontend tools
    # Without it HAProxy gathers small chunks; who serves events sets it.
    option http-no-delay
    bind 127.0.0.1:{tools_port} backlog 4096
    default_backend origin
    option http-no-delay
backend nginx
    server nginx 127.0.0.1:{nginx_port}
backend origin
    option http-no-delay
    server origin 127.0.0.1:{origin_port}
"""


@contextlib.contextmanager
def open_haproxy(origins: Peer, directory: Path, certificate: Path) -> Iterator[Peer]:
    """
    Run HAProxy.

    :param certificate: a PEM file with key and certificate, the same that Warp's edge shows its visitors.
    """
    port, tls_port, tools_port = free_port(), free_port(), free_port()
    configuration = directory / "haproxy.cfg"
    configuration.write_text(
        _CONFIGURATION.format(
            connections=12000,
            port=port,
            tls_port=tls_port,
            tools_port=tools_port,
            certificate=certificate,
            nginx_port=origins.web.port,
            origin_port=origins.tools.port,
        )
    )
    with running("haproxy", ["haproxy", "-db", "-f", str(configuration)], directory) as haproxy:
        haproxy.wait_for_port(port)
        yield Peer(
            name="HAProxy",
            web=Address(port=port, hostname=origins.web.hostname),
            tools=Address(port=tools_port, hostname=origins.tools.hostname),
            tls=Address(port=tls_port, hostname=origins.web.hostname),
            programs={"haproxy": haproxy},
        )

"""The origins behind every peer, and, visited directly, the peer that all others are compared with."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.load.visitors import Address
from benchmarks.peers.peer import TOOLS_HOSTNAME, WEB_HOSTNAME, Peer
from benchmarks.processes import free_port, running

DOWNLOAD_BYTES = 100_000_000
_ENDLESS_BYTES = 1_000_000_000

# One worker: every program here has one thread, so that two cores are not divided differently for each peer.
_NGINX = """\
daemon off;
{user}worker_processes 1;
worker_rlimit_nofile {files};
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    sendfile on;
    tcp_nodelay on;
    keepalive_timeout 300s;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/nginx-body;
    proxy_temp_path {directory}/nginx-proxy;
    fastcgi_temp_path {directory}/nginx-fastcgi;
    uwsgi_temp_path {directory}/nginx-uwsgi;
    scgi_temp_path {directory}/nginx-scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {directory}/www;
        default_type application/octet-stream;
        location = /1k {{ default_type text/plain; return 200 "{kibibyte}"; }}
        # The same body below a head as an application's: what names this answer differs from one to the next.
        location /varied {{
            default_type text/html;
            add_header ETag '"$request_id"';
            add_header Set-Cookie "visit=$request_id; Path=/; HttpOnly; SameSite=Lax";
            add_header Cache-Control "private, no-cache";
            add_header Vary "Accept-Encoding, Cookie";
            return 200 "{kibibyte}";
        }}
    }}
}}
"""


@contextlib.contextmanager
def open_origins(directory: Path, file_limit: int) -> Iterator[Peer]:
    """Run nginx and `benchmarks.load.origin`, and yield them as the peer "nginx direct"."""
    content = directory / "www"
    content.mkdir()
    for name, size in (("100m", DOWNLOAD_BYTES), ("1g", _ENDLESS_BYTES)):
        # Holes in a file cost no disk; once read they are in the page cache like any other bytes.
        with (content / name).open("wb") as file:
            file.truncate(size)
    directory.chmod(0o755)
    port, tools_port = free_port(), free_port()
    configuration = directory / "nginx.conf"
    configuration.write_text(
        _NGINX.format(
            # Started by root, nginx would give its worker to an account that may not read our directory.
            user="user root;\n" if os.geteuid() == 0 else "",
            files=file_limit,
            connections=file_limit - 500,
            directory=directory,
            port=port,
            kibibyte="x" * 1024,
        )
    )
    package_parent = Path(__file__).resolve().parents[2]
    with (
        running("nginx", ["nginx", "-p", str(directory), "-c", str(configuration)], directory) as nginx,
        running(
            "origin",
            [sys.executable, "-m", "benchmarks.load.origin", str(tools_port)],
            directory,
            {"PYTHONPATH": str(package_parent)},
        ) as origin,
    ):
        nginx.wait_for_port(port)
        origin.wait_for_port(tools_port)
        yield Peer(
            name="nginx direct",
            web=Address(port=port, hostname=WEB_HOSTNAME),
            tools=Address(port=tools_port, hostname=TOOLS_HOSTNAME),
            programs={"nginx": nginx},
        )

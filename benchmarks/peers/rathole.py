"""
rathole in front of the origins: a tunnel with a TLS connection of its own for each visitor's.

It reads no HTTP: bytes are copied between a visitor's connection and one that waits in a pool.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from benchmarks.load.visitors import Address
from benchmarks.peers.peer import Peer
from benchmarks.processes import free_port, running

_SERVER = """\
[server]
bind_addr = "127.0.0.1:{port}"
default_token = "{token}"
[server.transport]
type = "tls"
[server.transport.tls]
pkcs12 = "{directory}/rathole.pfx"
pkcs12_password = "{password}"
[server.services.web]
bind_addr = "127.0.0.1:{web}"
[server.services.tools]
bind_addr = "127.0.0.1:{tools}"
"""
_CLIENT = """\
[client]
remote_addr = "127.0.0.1:{port}"
default_token = "{token}"
[client.transport]
type = "tls"
[client.transport.tls]
trusted_root = "{directory}/rathole.pem"
hostname = "{hostname}"
[client.services.web]
local_addr = "127.0.0.1:{web}"
[client.services.tools]
local_addr = "127.0.0.1:{tools}"
"""


@contextlib.contextmanager
def open_rathole(origins: Peer, directory: Path, program: Path, certificate: Path) -> Iterator[Peer]:
    """
    Run a rathole server and a rathole client.

    :param certificate: as for HAProxy; self-signed, so it is its own root.
    """
    port, web, tools = free_port(), free_port(), free_port()
    values = {
        "port": port,
        "token": secrets.token_hex(16),
        "password": secrets.token_hex(16),
        "hostname": origins.web.hostname,
        "directory": directory,
    }
    text = certificate.read_bytes()
    key = serialization.load_pem_private_key(text, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    shown = x509.load_pem_x509_certificate(text)
    identity = pkcs12.serialize_key_and_certificates(
        b"rathole", key, shown, None, BestAvailableEncryption(str(values["password"]).encode())
    )
    _write_secret(directory / "rathole.pfx", identity)
    (directory / "rathole.pem").write_bytes(shown.public_bytes(serialization.Encoding.PEM))
    _write_secret(directory / "server.toml", _SERVER.format(**values, web=web, tools=tools).encode())
    _write_secret(
        directory / "client.toml",
        _CLIENT.format(**values, web=origins.web.port, tools=origins.tools.port).encode(),
    )
    with running("rathole-server", [str(program), "--server", str(directory / "server.toml")], directory) as server:
        server.wait_for_port(port)
        command = [str(program), "--client", str(directory / "client.toml")]
        with running("rathole-client", command, directory) as client:
            for listening in (web, tools):
                client.wait_for_port(listening)
            yield Peer(
                name="rathole",
                web=Address(port=web, hostname=origins.web.hostname),
                tools=Address(port=tools, hostname=origins.tools.hostname),
                programs={"server": server, "client": client},
            )


def _write_secret(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)

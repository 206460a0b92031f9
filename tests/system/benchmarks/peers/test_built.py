"""`benchmarks.peers.chisel` and `rathole`: how they are started, with programs that only listen where they are told."""

import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.certificates import write_certificate
from benchmarks.load.visitors import Address
from benchmarks.peers.chisel import open_chisel
from benchmarks.peers.peer import Peer
from benchmarks.peers.rathole import open_rathole

# Listens on the ports that the rest of the program finds, and prints its arguments and its configuration.
_LISTENING = """\
#!{python}
import os, re, select, socket, sys, tomllib
def ports():
    if "--server" in sys.argv or "--client" in sys.argv:
        text = open(sys.argv[2]).read()
        settings = tomllib.loads(text).get("server")
        print(text)
        if settings is None:
            return []
        places = [settings["bind_addr"], *(each["bind_addr"] for each in settings["services"].values())]
        return [place.rpartition(":")[2] for place in places]
    print("account", len(os.environ["AUTH"]) > 20)
    if sys.argv[1] == "server":
        return [sys.argv[sys.argv.index("--port") + 1]]
    return re.findall(r"R:127\\.0\\.0\\.1:(\\d+):", " ".join(sys.argv))
print("arguments", sys.argv[1:], flush=True)
listeners = [socket.create_server(("127.0.0.1", int(port))) for port in ports()]
sys.stdout.flush()
select.select([], [], [])
"""


class StartTests(SynchronousTestCase):
    """Both ends of a tunnel."""

    def setUp(self) -> None:
        """Have a program, a certificate and origins."""
        self.directory = Path(self.mktemp()).resolve()
        self.directory.mkdir()
        self.program = self.directory / "program"
        self.program.write_text(_LISTENING.format(python=sys.executable))
        self.program.chmod(0o755)
        self.certificate = write_certificate(self.directory, ["web.bench.example"])
        web, tools = (Address(port=port, hostname=f"{name}.bench.example") for name, port in (("web", 1), ("tools", 2)))
        self.origins = Peer(name="nginx direct", web=web, tools=tools)

    def _check(self, peer: Peer) -> dict[str, str]:
        """Reach both ports, and return what each program printed."""
        for address in (peer.web, peer.tools):
            address.connect().close()
        for program in peer.programs.values():
            program.wait_for_line("arguments")
        self.assertEqual(peer.web.hostname, "web.bench.example")
        self.assertIsNone(peer.tls)
        return {name: program.log.read_text() for name, program in peer.programs.items()}

    def test_chisel(self) -> None:
        """The client asks for both ports, and the account is in no argument."""
        with open_chisel(self.origins, self.directory, self.program) as peer:
            printed = self._check(peer)
        for text in printed.values():
            self.assertIn("account True", text)
            self.assertNotIn("bench:", text)
        self.assertIn(f"R:127.0.0.1:{peer.web.port}:127.0.0.1:1", printed["client"])
        self.assertIn(f"R:127.0.0.1:{peer.tools.port}:127.0.0.1:2", printed["client"])

    def test_rathole(self) -> None:
        """Both ends have a configuration with TLS and the same token, which only their owner can read."""
        with open_rathole(self.origins, self.directory, self.program, self.certificate) as peer:
            printed = self._check(peer)
            for name in ("server.toml", "client.toml", "rathole.pfx"):
                self.assertEqual((self.directory / name).stat().st_mode & 0o777, 0o600)
        tokens = {line for text in printed.values() for line in text.splitlines() if line.startswith("default_token")}
        self.assertEqual(len(tokens), 1)
        for text in printed.values():
            self.assertIn('type = "tls"', text)
            self.assertNotIn("token", text.splitlines()[0])
        self.assertIn('local_addr = "127.0.0.1:2"', printed["client"])

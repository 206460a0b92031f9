"""
Edge processes of one configuration, led by a test in place of a keeper; an agent, an origin and visitors in threads.

Nothing here waits for a time: the test waits for what a process says, visitors ask until they are told to stop.
"""

import copy
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import ClassVar

import yaml
from twisted.trial.unittest import SynchronousTestCase

from dns import exception, message, query, rcode
from tests.system.edge.live import ZONE, edge_files
from tests.system.ports import free_port

SECONDS = 90.0  # that something on a loaded machine may take
HOSTNAME = f"app.{ZONE}"
DOWNLOAD_BYTES = 100 * 1024 * 1024
# Becomes the process that a keeper would start: listening sockets from descriptor 3 on, and its end of a line.
_BECOME = """
import fcntl, os, sys
line, *listeners = (fcntl.fcntl(int(each), fcntl.F_DUPFD, 50) for each in sys.argv[1].split(","))
for number, each in enumerate(listeners, 3):
    os.dup2(each, number)
os.environ.update(
    WARP_KEEPER_FD=str(line), LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(listeners)), LISTEN_FDNAMES="http:tunnel"
)
os.execv(sys.argv[2], sys.argv[2:])
"""


class EdgeProcess:
    """
    An edge, led by the test.

    :param name: for its log.
    """

    def __init__(self, name: str, configuration: Path, listeners: list[socket.socket], log: Path) -> None:
        self.log = log
        self.line, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.line.settimeout(SECONDS)
        numbers = [other.fileno(), *(listener.fileno() for listener in listeners)]
        twistd = [sys.executable, str(Path(sys.executable).with_name("twistd")), "--nodaemon", "--pidfile="]
        program = [*twistd, "warp-edge", "--config", str(configuration)]
        with other, log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _BECOME, ",".join(map(str, numbers)), *program],
                stdout=output,
                stderr=output,
                pass_fds=numbers,
            )

    def tell(self, word: str, **fields: object) -> None:
        """Ask for a step."""
        self.line.send(json.dumps({"do": word, **fields}).encode())

    def says(self, word: str) -> dict[str, object]:
        """Wait for the next thing that it says, which must be this."""
        packet = self.line.recv(65536)
        message: dict[str, object] = json.loads(packet) if packet else {}
        if message.get("is") != word:
            raise AssertionError(f"expected {word}, got {message}:\n{self.log.read_text()[-4000:]}")
        return message

    def kill(self) -> None:
        """End it without a word."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(SECONDS)

    def end(self) -> None:
        """End it however it is."""
        if self.process.poll() is None:
            self.kill()
        self.line.close()


class Origin:
    """What visitors reach: answers, events, a large file, and what was upgraded is sent back."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self.block = bytes(64 * 1024)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while head := read_head(connection):
                    path = head.split(b" ")[1]
                    getattr(self, f"_{path.decode().strip('/') or 'page'}")(connection)
            except OSError:
                return

    def _page(self, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def _events(self, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for number in range(1_000_000):
            connection.sendall(b"data: %d\n\n" % number)
            threading.Event().wait(0.02)

    def _download(self, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % DOWNLOAD_BYTES)
        for _ in range(DOWNLOAD_BYTES // len(self.block)):
            connection.sendall(self.block)

    def _socket(self, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        while data := connection.recv(65536):
            connection.sendall(data)


def read_head(connection: socket.socket) -> bytes:
    """Read a head; nothing at the end of the connection."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            return b""
        head += byte
    return head


class Visitors:
    """
    Asks the edge all the time.

    :ivar failures: what went wrong, a sentence each.
    :ivar worst_seconds: that a request, an event or an echo took.
    """

    def __init__(self, address: tuple[str, int], dns_port: int) -> None:
        self._address = address
        self._dns_port = dns_port
        self._threads: list[threading.Thread] = []
        self._stop = threading.Event()
        self.failures: list[str] = []
        self.requests = self.queries = self.lost_queries = 0
        self.worst_seconds = 0.0
        self.downloaded = 0

    def start(self) -> None:
        """Begin: kept and new connections, a stream of events, something upgraded, and queries for the name."""
        kept = (self._keep, self._keep, self._come_anew, self._come_anew)
        for visit in (*kept, self._follow, self._upgrade, self._look_up):
            self.add(visit)

    def add(self, visit: Callable[[], None]) -> threading.Thread:
        """Begin to visit in one way."""
        thread = threading.Thread(target=self._run, args=(visit,), daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def stop(self) -> None:
        """Finish."""
        self._stop.set()
        for thread in self._threads:
            thread.join(SECONDS)

    def until_asked(self, more: int) -> None:
        """Wait until so many more requests were answered, or something has failed."""
        ends_at, wanted = monotonic() + SECONDS, self.requests + more
        while self.requests < wanted and not self.failures:
            if monotonic() > ends_at:
                raise AssertionError("nobody is answered")
            self._stop.wait(0.02)

    def connect(self, path: str, fields: str = "") -> tuple[socket.socket, bytes]:
        """Ask on a new connection; return it and the answer's head."""
        connection = socket.create_connection(self._address, timeout=SECONDS)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOSTNAME}\r\n{fields}\r\n".encode())
        return connection, read_head(connection)

    def _run(self, visit: Callable[[], None]) -> None:
        try:
            visit()
        except Exception as error:
            self.failures.append(f"{visit.__name__}: {error!r}")

    def _note(self, began_at: float) -> None:
        self.worst_seconds = max(self.worst_seconds, monotonic() - began_at)

    def _keep(self) -> None:
        connection: socket.socket | None = None
        while not self._stop.is_set():
            began_at = monotonic()
            if connection is None:
                connection, head = self.connect("/")
            else:
                connection.sendall(f"GET / HTTP/1.1\r\nHost: {HOSTNAME}\r\n\r\n".encode())
                head = read_head(connection)
            if not head.startswith(b"HTTP/1.1 200") or connection.recv(2) != b"ok":
                raise AssertionError(head)
            self._note(began_at)
            self.requests += 1
            if b"connection: close" in head.lower():
                connection.close()
                connection = None
            self._stop.wait(0.01)

    def _come_anew(self) -> None:
        while not self._stop.is_set():
            began_at = monotonic()
            connection, head = self.connect("/", "Connection: close\r\n")
            with connection:
                if not head.startswith(b"HTTP/1.1 200") or connection.recv(2) != b"ok":
                    raise AssertionError(head)
            self._note(began_at)
            self.requests += 1
            self._stop.wait(0.01)

    def _follow(self) -> None:
        connection, head = self.connect("/events")
        with connection:
            if not head.startswith(b"HTTP/1.1 200"):
                raise AssertionError(head)
            while not self._stop.is_set():
                began_at = monotonic()
                if not connection.recv(65536):
                    raise AssertionError("the events ended")
                self._note(began_at)

    def _look_up(self) -> None:
        question = message.make_query(HOSTNAME, "A")
        while not self._stop.is_set():
            try:
                reply = query.udp(question, "127.0.0.1", timeout=0.5, port=self._dns_port)
            except exception.Timeout:  # one datagram may be lost with a socket that is closed; resolvers ask again
                reply = query.udp(question, "127.0.0.1", timeout=SECONDS, port=self._dns_port)
                self.lost_queries += 1
            if reply.rcode() != rcode.NOERROR or not reply.answer:
                raise AssertionError(f"the name has left DNS: {reply.to_text()}")
            self.queries += 1
            self._stop.wait(0.01)

    def _upgrade(self) -> None:
        connection, head = self.connect("/socket", "Upgrade: websocket\r\nConnection: Upgrade\r\n")
        with connection:
            if not head.startswith(b"HTTP/1.1 101"):
                raise AssertionError(head)
            while not self._stop.is_set():
                began_at = monotonic()
                connection.sendall(b"x")
                if connection.recv(1) != b"x":
                    raise AssertionError("the upgraded connection ended")
                self._note(began_at)
                self._stop.wait(0.02)

    def download(self) -> None:
        """Read a large file, and wait in its middle."""
        connection, head = self.connect("/download")
        with connection:
            if not head.startswith(b"HTTP/1.1 200"):
                raise AssertionError(head)
            while self.downloaded < DOWNLOAD_BYTES:
                data = connection.recv(1 << 20)
                if not data:
                    raise AssertionError(f"the download ended after {self.downloaded} bytes")
                self.downloaded += len(data)
                if self.downloaded < DOWNLOAD_BYTES // 2:
                    self._stop.wait(0.02)


class HandOverTestCase(SynchronousTestCase):
    """
    An edge of a test, its successors, and an agent.

    :cvar sections: of edge.yaml, beside what is the same for all.
    """

    sections: ClassVar[Mapping[str, object]] = {}

    def setUp(self) -> None:
        """Make everything, and have the first process serve."""
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.listeners = [socket.create_server(("127.0.0.1", 0), backlog=256) for _ in range(2)]
        for listener in self.listeners:
            self.addCleanup(listener.close)
        self.address = self.listeners[0].getsockname()
        tunnel_port = self.listeners[1].getsockname()[1]
        short = Path("/tmp") / f"warp-{os.getpid()}-{id(self):x}"  # a socket's path has 107 bytes
        self.admin, self.records = f"{short}-admin", f"{short}-records"
        for path in (self.admin, self.records):
            self.addCleanup(Path(path).unlink, missing_ok=True)
        self.dns_port = free_port()
        listen = {
            "http": ["systemd:name=http"],
            "tunnel": ["systemd:name=tunnel"],
            "dns": [f"127.0.0.1:{self.dns_port}"],
            "admin": self.admin,
            "records": self.records,
            "metrics": f"tcp:{free_port()}:interface=127.0.0.1",
        }
        raw = edge_files(
            self.directory,
            listen=listen,
            edge={"name": "edge1", "addresses": ["127.0.0.1"], "tunnel_port": tunnel_port},
            timeouts={
                "drain": 120,
                "drain_alone": 1,
                "settle": 60,
            },  # visitors wait for the agent on a busy machine, too
            **copy.deepcopy(self.sections),
        )
        self.configuration = self.directory / "edge.yaml"
        self.configuration.write_text(yaml.safe_dump(raw))
        self.count = 0
        self.edge = self.start()
        self.edge.says("prepared")
        self.edge.tell("take", tunnels=0, hostnames=0)
        self.edge.says("serving")
        self.origin = Origin()
        self.addCleanup(self.origin.close)
        self.start_agent()
        self.visitors = self.come()

    def come(self) -> Visitors:
        """Return visitors, who ask nothing yet."""
        visitors = Visitors(self.address, self.dns_port)
        self.addCleanup(visitors.stop)
        return visitors

    def start(self) -> EdgeProcess:
        """Start an edge process."""
        self.count += 1
        log = self.directory / f"edge{self.count}.log"
        process = EdgeProcess(str(self.count), self.configuration, self.listeners, log)
        self.addCleanup(process.end)
        return process

    def warp(self, *arguments: str) -> str:
        """Ask the edge as an operator does."""
        command = [sys.executable, "-m", "warp_twisted.cli", *arguments, "--admin", self.admin]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        if done.returncode:
            raise AssertionError(f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def start_agent(self) -> None:
        """Have an agent serve the hostname."""
        token = self.directory / "token"
        self.warp("token", "create", "--hostname", HOSTNAME, "--out", str(token))
        command = [sys.executable, "-m", "warp_twisted.cli", "up", "--hostname", HOSTNAME, "--tunnels", "2", "--json"]
        command += ["--token-file", str(token), "--state", str(self.directory / "agent"), "-v"]
        command += [f"http://127.0.0.1:{self.origin.port}"]
        with (self.directory / "agent.log").open("wb") as log:
            agent = subprocess.Popen(command, stdout=log, stderr=log)
        self.addCleanup(agent.wait, SECONDS)
        self.addCleanup(agent.kill)
        self.until(lambda: self.page().startswith(b"HTTP/1.1 200"))

    def page(self) -> bytes:
        """Ask once, and return the answer's head."""
        connection, head = Visitors(self.address, self.dns_port).connect("/", "Connection: close\r\n")
        connection.close()
        return head

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what no process says."""
        ends_at = monotonic() + SECONDS
        while not condition():
            if monotonic() > ends_at:
                raise AssertionError("it has not come about in time")
            threading.Event().wait(0.05)

    def hand_over(self, old: EdgeProcess, new: EdgeProcess) -> None:
        """Lead both processes from the start of the new one to the old one's drain."""
        new.says("prepared")
        old.tell("release")
        released = old.says("released")
        new.tell("take", tunnels=released["tunnels"], hostnames=released["hostnames"])
        old.tell("move")
        new.says("serving")
        old.tell("drain")

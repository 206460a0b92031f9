"""`twistd warp-edge` as a process: options, signals, systemd, and being killed."""

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from tests.case import LONGEST_TURN, assert_short_turns, short_directory_of
from tests.pipes import full_pipe, read_all
from tests.system.edge.live import edge_files
from tests.system.edge.test_admin import UnixConnection

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 15.0


class ProgramTestCase(SynchronousTestCase):
    """One configuration, and edges started with it."""

    def setUp(self) -> None:
        """Write edge.yaml."""
        self.directory = short_directory_of(self)
        self.configuration = self.directory / "edge.yaml"
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify = str(self.directory / "notify")
        self.notified.bind(self.notify)
        self.notified.settimeout(PATIENCE)
        self.addCleanup(self.notified.close)
        self.configure()

    def configure(self, **sections: Any) -> None:
        """Write the configuration, with some sections changed."""
        raw = edge_files(self.directory, **sections)
        self.configuration.write_text(yaml.safe_dump(raw))

    def command(self, *options: str) -> list[str]:
        """Return the command line."""
        program = [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "warp-edge"]
        return [*program, "--config", str(self.configuration), *options]

    def environment(self) -> dict[str, str]:
        """Return the environment as systemd would set it."""
        path = os.pathsep.join(str(ROOT / part) for part in ("", "dns", "warp_twisted/_dropins"))
        return {**os.environ, "PYTHONPATH": path, "NOTIFY_SOCKET": self.notify, "WATCHDOG_USEC": "400000"}

    def run_once(self, *options: str) -> "subprocess.CompletedProcess[str]":
        """Run the program to its end."""
        return self.run_command(self.command(*options))

    def run_command(self, command: list[str]) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end, as systemd would."""
        return subprocess.run(
            command,
            env=self.environment(),
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    @contextmanager
    def running(self, *, is_ready: bool = True) -> Iterator["subprocess.Popen[bytes]"]:
        """Run an edge, until it is ready unless that is not asked for; it is killed at the end if it still runs."""
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(
                self.command(), env=self.environment(), cwd=self.directory, stdout=log, stderr=log
            )
        try:
            if is_ready:
                self.wait_for("READY=1")
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(PATIENCE)
        assert_short_turns((self.directory / "log").read_text())

    def wait_for(self, line: str) -> str:
        """Wait for a message to systemd that holds a line, and return it."""
        while True:
            message = self.notified.recv(4096).decode()
            if line in message.splitlines():
                return message

    def get(self, target: str, method: str = "GET") -> tuple[int, Any]:
        """Call the admin interface."""
        connection = UnixConnection(str(self.directory / "admin.sock"))
        connection.request(method, target)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def log(self) -> list[dict[str, Any]]:
        """Return the log's lines."""
        return [json.loads(line) for line in (self.directory / "log").read_text().splitlines() if line.startswith("{")]


class CheckTests(ProgramTestCase):
    """`--check`."""

    def test_good(self) -> None:
        """A good configuration exits 0, and nothing was written or listened on."""
        result = self.run_once("--check")
        self.assertEqual((result.returncode, result.stdout.strip()), (0, f"{self.configuration}: good"))
        self.assertFalse((self.directory / "state").exists())

    def test_bad(self) -> None:
        """A bad one exits 1 and names the key and what was expected."""
        self.configure(limits={"head_bytes": "x"})
        result = self.run_once("--check")
        self.assertEqual(result.returncode, 1)
        self.assertIn("limits.head_bytes: expected a whole number from 1024", result.stderr + result.stdout)


class LogReaderTests(ProgramTestCase):
    """A log that nobody reads."""

    def test_nobody_reads_the_log(self) -> None:
        """With a full pipe for standard output the edge starts, answers and stops; what it said then comes out."""
        reading, writing, filled = full_pipe()
        process = subprocess.Popen(
            self.command(), env=self.environment(), cwd=self.directory, stdout=writing, stderr=subprocess.DEVNULL
        )
        os.close(writing)
        try:
            self.wait_for("READY=1")
            self.assertEqual(self.get("/live")[0], 200)
            found: list[bytes] = []
            reader = Thread(target=lambda: found.append(read_all(reading)))
            reader.start()
            process.terminate()
            self.assertEqual(process.wait(PATIENCE), -signal.SIGTERM)
            reader.join(PATIENCE)
        finally:
            process.kill()
            process.wait(PATIENCE)
        messages = [json.loads(line)["message"] for line in found[0][filled:].splitlines()]
        self.assertIn("Server Shut Down.", messages)
        self.assertEqual([message for message in messages if "dropped" in message], [])


class FailedStartTests(ProgramTestCase):
    """An edge that cannot start leaves no pid file that would stop the next start."""

    def start(self, *twistd: str) -> "subprocess.CompletedProcess[str]":
        """Start one with a pid file, and wait for its end, or that of the process that stays in the foreground."""
        program = [str(Path(sys.executable).with_name("twistd")), *twistd, "--pidfile", str(self.pid_file), "warp-edge"]
        result = self.run_command([*program, "--config", str(self.configuration)])
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertNotIn("Traceback", result.stdout + result.stderr)
        self.assertFalse(self.pid_file.exists())
        return result

    def setUp(self) -> None:
        """Choose where the pid file would be."""
        super().setUp()
        self.pid_file = self.directory / "twistd.pid"

    def test_what_is_wrong_at_once(self) -> None:
        """A zone that the certificate does not allow is one line of the log and status 1."""
        self.configure(zone="other.test")
        self.assertIn("zone: edge1.other.test is outside", self.start("-n").stdout)

    def test_what_is_wrong_later(self) -> None:
        """So is a port that DNS cannot have, which is asked for last."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            self.configure(listen={"dns": [f"127.0.0.1:{taken.getsockname()[1]}"]})
            self.assertIn("the edge cannot start: listen.dns: cannot serve DNS on", self.start("-n").stdout)

    def test_in_the_background(self) -> None:
        """Whoever starts it in the background is told the reason on the terminal."""
        self.configure(zone="other.test")
        self.assertIn("zone: edge1.other.test is outside", self.start().stderr)


class LifeTests(ProgramTestCase):
    """Starting, reloading, stopping, dying."""

    def test_kill_9_and_start_again(self) -> None:
        """After kill -9 the edge starts again on the same files, and knows its tokens."""
        with self.running() as process:
            token = self.make_token()
            process.kill()
            process.wait(PATIENCE)
        self.assertTrue((self.directory / "admin.sock").exists())
        with self.running():
            self.assertEqual([each["id"] for each in self.get("/v1/tokens")[1]], [token])

    def make_token(self) -> str:
        """Make a join token and return its id."""
        connection = UnixConnection(str(self.directory / "admin.sock"))
        connection.request("POST", "/v1/tokens", json.dumps({"hostnames": ["*.warp.test"]}))
        made: dict[str, str] = json.loads(connection.getresponse().read())
        return made["id"]

    def test_second_edge_on_the_same_state(self) -> None:
        """A second edge on the same state directory is refused with exit code 1 and a sentence; the first goes on."""
        with self.running():
            result = self.run_once()
            self.assertEqual(result.returncode, 1)
            self.assertIn("in use by another process; stop that one", result.stdout)
            self.assertEqual(self.get("/live")[0], 200)

    def test_port_in_use(self) -> None:
        """A port that is taken is named, with exit code 1."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.configure(listen={"tunnel": [f"tcp:{port}:interface=127.0.0.1"]})
            result = self.run_once()
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"tcp:{port}", result.stdout)

    def test_term_stops_in_order(self) -> None:
        """SIGTERM tells systemd, asks for the time of a drain, and leaves no socket behind."""
        with self.running() as process:
            process.terminate()
            self.wait_for("STOPPING=1")
            self.assertIn(self.wait_for("EXTEND_TIMEOUT_USEC=16000000"), "EXTEND_TIMEOUT_USEC=16000000")
            process.wait(PATIENCE)
        self.assertFalse((self.directory / "admin.sock").exists())
        said = [line["message"] for line in self.log()]
        self.assertIn("drained", said)
        self.assertTrue([line for line in said if LONGEST_TURN.fullmatch(line)], said)

    def test_watchdog(self) -> None:
        """The watchdog is told several times in its interval that the reactor turns."""
        with self.running():
            began = time.monotonic()
            for _ in range(3):
                self.wait_for("WATCHDOG=1")
            self.assertLess(time.monotonic() - began, 1.2)

    def test_reload(self) -> None:
        """SIGHUP applies what can be applied and says what needs a restart."""
        with self.running() as process:
            self.configure(limits={"tunnels": 7}, zone="other.test", log={"access": None, "format": "text"})
            process.send_signal(signal.SIGHUP)
            self.wait_for("RELOADING=1")
            self.assertIn("STATUS=serving warp.test; needs a restart: zone", self.wait_for("READY=1"))
            self.assertEqual(self.get("/v1/status")[1]["edge"]["zone"], "warp.test")
            connection = UnixConnection(str(self.directory / "admin.sock"))
            connection.request("GET", "/metrics")
            self.assertIn(b"warp_edge_tunnels_limit 7.0", connection.getresponse().read())
            self.configure(log={"access": None, "format": "json"})
            process.send_signal(signal.SIGHUP)
            self.wait_for("RELOADING=1")
            self.wait_for("READY=1")
            process.terminate()  # not killed: lines of the log may be on their way
            process.wait(PATIENCE)
        log = (self.directory / "log").read_text()
        self.assertIn("configuration read again: limits.tunnels, log.format; after a restart: zone\n", log)
        said = [line["message"] for line in self.log()]
        self.assertIn("configuration read again: limits.tunnels, log.format; after a restart: nothing", said)

    def test_reload_while_it_starts(self) -> None:
        """SIGHUP in the first moments, again and again, ends nobody: it is obeyed once the edge serves."""
        with self.running(is_ready=False) as process:
            status = Path(f"/proc/{process.pid}/status")
            ignored, caught = (
                re.compile(rf"^Sig{kind}:\s+[0-9a-f]*[13579bdf]$", re.MULTILINE) for kind in ("Ign", "Cgt")
            )
            is_looked_after = False
            self.notified.settimeout(0.01)
            while True:
                told = status.read_text()
                is_looked_after = is_looked_after or bool(ignored.search(told) or caught.search(told))
                if is_looked_after:
                    process.send_signal(signal.SIGHUP)
                with contextlib.suppress(TimeoutError):
                    first = self.notified.recv(4096).decode()
                    break
                self.assertIsNone(process.poll())
            self.notified.settimeout(PATIENCE)
            self.assertIn("READY=1", first.splitlines())
            self.wait_for("RELOADING=1")
            self.assertIn("STATUS=serving warp.test", self.wait_for("READY=1"))
            self.assertEqual(self.get("/live")[0], 200)

    def test_sockets_of_systemd(self) -> None:
        """Sockets that systemd hands over are served on by their names, also when there are several of a name."""
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
            with socket.create_server(("127.0.0.1", 0)) as tunnel:
                self.configure(listen={"http": ["systemd:name=http"], "tunnel": ["systemd:name=tunnel"]})
                held = [each.fileno() for each in (one, two, tunnel)]
                moved = " ".join(f"{number}<&{copy}" for number, copy in zip((3, 4, 5), ("6", "7", "8"), strict=True))
                copied = " ".join(f"{copy}<&{each}" for copy, each in zip((6, 7, 8), held, strict=True))
                script = f'exec {copied}; exec {moved}; LISTEN_PID=$$ exec "$@"'
                named = {"LISTEN_FDS": "3", "LISTEN_FDNAMES": "http:http:tunnel"}
                process = subprocess.Popen(
                    ["bash", "-c", script, "bash", *self.command()],
                    env=self.environment() | named,
                    cwd=self.directory,
                    pass_fds=held,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            try:
                self.wait_for("READY=1")
                for each in (one, two):
                    with socket.create_connection(each.getsockname(), PATIENCE) as visitor:
                        visitor.sendall(b"GET / HTTP/1.1\r\nHost: nobody.example\r\n\r\n")
                        self.assertIn(b"404", visitor.recv(64))
            finally:
                process.kill()
                process.wait(PATIENCE)

    def test_bad_reload(self) -> None:
        """A configuration that is wrong is refused whole: nothing of it is applied, and systemd hears why."""
        with self.running() as process:
            self.configure(limits={"tunnels": 7, "head_bytes": 1})
            process.send_signal(signal.SIGHUP)
            self.wait_for("RELOADING=1")
            self.assertIn("limits.head_bytes: expected a whole number from 1024", self.wait_for("READY=1"))
            self.assertEqual(self.get("/v1/reload", "POST")[0], 409)
            self.assertEqual(self.get("/live")[0], 200)
            self.configure(limits={"tunnels": 7})
            self.assertEqual(self.get("/v1/reload", "POST"), (200, {"needs_restart": [], "complaints": []}))

    def test_log_is_json(self) -> None:
        """Each line of the log is an object with time, level, logger and message."""
        with self.running() as process:
            process.terminate()  # not killed: the thread that writes the log is to have its say
            process.wait(PATIENCE)
        lines = (self.directory / "log").read_text().splitlines()
        for line in lines:
            self.assertLessEqual({"at", "level", "logger", "message"}, set(json.loads(line)))
        self.assertIn("edge edge1 of warp.test serves", [json.loads(line)["message"] for line in lines])

    def test_background(self) -> None:
        """twistd's own way into the background works: files and threads are those of the process that stays."""
        pidfile, log = self.directory / "pid", self.directory / "log"
        command = [
            str(Path(sys.executable).with_name("twistd")),
            f"--pidfile={pidfile}",
            f"--logfile={log}",
            "warp-edge",
            f"--config={self.configuration}",
        ]
        subprocess.run(command, env=self.environment(), cwd=self.directory, timeout=PATIENCE, check=True)
        self.wait_for("READY=1")
        try:
            self.make_token()
            self.assertEqual(len(self.get("/v1/tokens")[1]), 1)
        finally:
            pid = int(pidfile.read_text())
            process = os.pidfd_open(pid)
            self.addCleanup(os.close, process)
            os.kill(pid, signal.SIGTERM)
            self.wait_for("STOPPING=1")
        self.assertTrue(select.select([process], [], [], PATIENCE)[0], "it did not end")
        self.assertFalse(pidfile.exists())

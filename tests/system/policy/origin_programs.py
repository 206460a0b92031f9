"""nginx, Node, Go and gunicorn as origins on Unix sockets: each says where it would look for a path."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SkipTest

SOURCE = Path(__file__).parent / "origins"
_NGINX = """
pid {here}/nginx.pid;
error_log {here}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {here}/body; proxy_temp_path {here}/proxy; fastcgi_temp_path {here}/fastcgi;
  uwsgi_temp_path {here}/uwsgi; scgi_temp_path {here}/scgi;
  server {{
    listen unix:{here}/nginx;
    location = /admin {{ return 200 '["/admin/"]'; }}
    location /admin/ {{ return 200 '["/admin/"]'; }}
    location /v1/ {{ return 200 '["/v1/"]'; }}
    location / {{ return 200 '["/"]'; }}
  }}
}}
"""


class Origins:
    """The programs, and how to ask them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._processes: list[subprocess.Popen[bytes]] = []
        self.names: list[str] = []

    def start(self) -> None:
        """
        Start all of them, each of which then listens.

        :raises SkipTest: if one is not installed.
        """
        programs = ("nginx", "node", "go", "gunicorn")
        missing = [name for name in programs if shutil.which(name) is None]
        if missing:
            raise SkipTest(f"not installed: {', '.join(missing)}")
        starters: tuple[Callable[[], None], ...] = (self._nginx, self._node, self._go, self._gunicorn)
        for name, start in zip(programs, starters, strict=True):
            start()
            self.names.append(name)

    def stop(self) -> None:
        """End what was started."""
        pid = self._directory / "nginx.pid"
        if pid.exists():
            os.kill(int(pid.read_text()), signal.SIGTERM)
        for process in self._processes:
            process.terminate()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def paths(self, name: str, method: bytes, target: bytes) -> list[str]:
        """Return the paths for which an origin would look; none if it refuses the request or sends it elsewhere."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(30)
            client.connect(str(self._directory / name))
            client.sendall(b"%b %b HTTP/1.1\r\nHost: app.warp.example\r\nConnection: close\r\n\r\n" % (method, target))
            received = b""
            while chunk := client.recv(65_536):
                received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            return []
        found: list[str] = json.loads(body[body.index(b"[") : body.rindex(b"]") + 1])
        return found

    def _nginx(self) -> None:
        config = self._directory / "nginx.conf"
        config.write_text(_NGINX.format(here=self._directory))
        # It goes into the background when it listens.
        subprocess.run(["nginx", "-c", str(config), "-p", str(self._directory)], check=True, capture_output=True)

    def _node(self) -> None:
        self._run("node", str(SOURCE / "origin.js"), str(self._directory / "node"))

    def _go(self) -> None:
        program = self._directory / "go-origin"
        environment = {**os.environ, "GO111MODULE": "off", "GOFLAGS": ""}
        build = ["go", "build", "-o", str(program), str(SOURCE / "main.go")]
        subprocess.run(build, env=environment, check=True, capture_output=True)
        self._run(str(program), str(self._directory / "go"))

    def _run(self, *command: str) -> None:
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self._processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n", command

    def _gunicorn(self) -> None:
        # It inherits a socket that listens already, so that there is nothing to wait for.
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self._directory / "gunicorn"))
            listener.listen(64)
            command = ["gunicorn", "--chdir", str(SOURCE), "--bind", f"fd://{listener.fileno()}", "wsgi_origin"]
            environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
            self._processes.append(
                subprocess.Popen(
                    [*command, "--worker-tmp-dir", str(self._directory)],
                    env=environment,
                    pass_fds=[listener.fileno()],
                    stderr=subprocess.DEVNULL,
                )
            )

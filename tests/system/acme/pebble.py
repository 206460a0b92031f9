"""Pebble, the reference ACME server, started for a test: strict, refusing nonces, asking our own name server."""

import json
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.case import until
from tests.self_signed import self_signed
from tests.system.ports import free_port


class Pebble:
    """
    A running Pebble.

    :param dns_port: of the name server on 127.0.0.1 that it asks.
    :ivar url: of its directory.
    :ivar root: a file with the certificate of its server.
    :raises SkipTest: if it is not installed.
    """

    def __init__(self, case: SynchronousTestCase, dns_port: int) -> None:
        program = shutil.which("pebble")
        if program is None:
            raise SkipTest("pebble is not installed")
        place = Path(tempfile.mkdtemp(prefix="pebble-"))
        case.addCleanup(shutil.rmtree, place)
        _, certificate, key = self_signed("localhost", ["localhost", "127.0.0.1"], is_ca=True)
        self.root = place / "server.pem"
        self.root.write_bytes(certificate)
        (place / "server.key").write_bytes(key)
        port, management = free_port(), free_port()
        settings = {
            "listenAddress": f"127.0.0.1:{port}",
            "managementListenAddress": f"127.0.0.1:{management}",
            "certificate": str(self.root),
            "privateKey": str(place / "server.key"),
            "httpPort": free_port(),
            "tlsPort": free_port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
        }
        (place / "pebble.json").write_text(json.dumps({"pebble": settings}))
        self.url = f"https://127.0.0.1:{port}/dir"
        self.output = place / "output"
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                [program, "-strict", "-config", str(place / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns_port}"],
                env={**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "20"},
                stdout=output,
                stderr=output,
            )
        case.addCleanup(self._end)

    async def ready(self) -> None:
        """Wait until it answers."""
        context = ssl.create_default_context(cafile=str(self.root))

        def answers() -> bool:
            try:
                with urllib.request.urlopen(self.url, context=context, timeout=5) as answer:
                    return bool(answer.status == 200)
            except urllib.error.URLError:
                return False

        await until(answers, 60)  # it makes RSA keys first

    def _end(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

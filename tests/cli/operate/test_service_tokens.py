"""Tests of `warp_twisted.cli.operate.service_tokens`: what is asked, and that a secret is shown once."""

import json
import stat
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.fake_admin import FakeAdmin
from tests.cli.invoke import invoke
from warp_twisted.cli.operate import service_tokens

_ID = "0123456789abcdef"
_SECRET = "5e" * 32
_FIELDS = f"Warp-Client-Id: {_ID}\nWarp-Client-Secret: {_SECRET}\n"


class ServiceTokenTests(SynchronousTestCase):
    """`warp service-token create`, `list`, `revoke`."""

    def setUp(self) -> None:
        """Answer as an edge does."""
        self.edge = FakeAdmin()
        self.patch(service_tokens, "find_admin", lambda option, **more: self.edge)
        now = time.time()
        kept = {"id": _ID, "name": "ci", "created_at": now, "expires_at": now + 7200}
        self.edge.answers["POST /v1/service-tokens"] = {**kept, "secret": _SECRET}
        self.edge.answers["GET /v1/service-tokens"] = [kept, {**kept, "id": "ff", "expires_at": now - 1}]
        self.edge.answers[f"DELETE /v1/service-tokens/{_ID}"] = {}

    def test_create(self) -> None:
        """Standard output is the two fields, as curl reads them; what they are for is said beside."""
        ran = invoke("service-token", "create", "ci", "--ttl", "2h")
        self.assertEqual((ran.status, ran.output), (0, _FIELDS))
        self.assertEqual(self.edge.asked, [("POST /v1/service-tokens", {"name": "ci", "ttl_seconds": 7200.0})])
        self.assertEqual(ran.errors, f"Service token {_ID} for ci, for 2 h.\n")
        shown = json.loads(invoke("service-token", "create", "ci", "--json").output)
        self.assertEqual((shown["id"], shown["secret"]), (_ID, _SECRET))

    def test_create_writes_a_file_for_its_owner(self) -> None:
        """With --out they are in a new file of mode 0600, and not printed; a file that exists is left alone."""
        for as_json in ([], ["--json"]):
            path = Path(self.mktemp())
            ran = invoke("service-token", "create", "ci", "--out", str(path), *as_json)
            self.assertEqual((ran.status, path.read_text()), (0, _FIELDS))
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
            self.assertNotIn(_SECRET, ran.output + ran.errors)
        asked = len(self.edge.asked)
        self.assertEqual(invoke("service-token", "create", "ci", "--out", str(path)).status, 1)
        self.assertEqual(len(self.edge.asked), asked)
        del self.edge.answers["POST /v1/service-tokens"]
        path.unlink()
        self.assertEqual(invoke("service-token", "create", "ci", "--out", str(path)).status, 1)
        self.assertFalse(path.exists())

    def test_list(self) -> None:
        """A line for each, or JSON."""
        lines = invoke("service-token", "list").output.splitlines()
        self.assertIn(_ID, lines[1])
        self.assertIn("expired", lines[2])
        self.assertEqual(len(json.loads(invoke("service-token", "list", "--json").output)), 2)

    def test_revoke(self) -> None:
        """Each that is named; the first that is unknown ends it, with the edge's reason."""
        ran = invoke("service-token", "revoke", _ID)
        self.assertEqual((ran.status, ran.output), (0, f"Service token {_ID} is revoked.\n"))
        self.assertEqual(invoke("service-token", "revoke", "none").status, 1)

"""Tests of `warp_twisted.cli.operate.edge`."""

import json

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.fake_admin import FakeAdmin
from tests.cli.invoke import invoke
from warp_twisted.cli.operate import edge


class EdgeTests(SynchronousTestCase):
    """`warp drain` and `warp reload`."""

    def setUp(self) -> None:
        self.edge = FakeAdmin()
        self.edge.answers["POST /v1/drain"] = {"draining": True}
        self.patch(edge, "find_admin", lambda option: self.edge)

    def test_drain(self) -> None:
        """The edge is asked, and the answer told."""
        self.assertEqual(
            invoke("drain").output, "The edge is draining: it takes nothing new; warp status shows what is left.\n"
        )
        self.assertEqual(json.loads(invoke("drain", "--json").output), {"draining": True})

    def test_reload_names_what_waits(self) -> None:
        """Sections that need a restart are named."""
        self.edge.answers["POST /v1/reload"] = {"needs_restart": ["listen", "zone"]}
        self.assertIn("Waiting for a restart: listen, zone.", invoke("reload").output)
        self.edge.answers["POST /v1/reload"] = {"needs_restart": []}
        self.assertNotIn("Waiting", invoke("reload").output)

    def test_reload_that_is_refused(self) -> None:
        """The edge's reason is passed on, and the command fails."""
        ran = invoke("reload")
        self.assertEqual((ran.status, ran.errors), (1, "warp: no such thing: POST /v1/reload\n"))

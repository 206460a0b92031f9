"""Tests of `warp registry copy`: what it is given, says and refuses; a real etcd is in the tests of the system."""

from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoke import invoke
from warp_twisted.registry.sqlite import SqliteStore


class RegistryCopyTests(SynchronousTestCase):
    """The command."""

    def setUp(self) -> None:
        """Make a registry of one key."""
        self.state = Path(self.mktemp())
        store = SqliteStore(self.state, Clock())
        self.successResultOf(store.put("warp/agents/a", b"x"))
        self.successResultOf(store.close())

    def test_copied(self) -> None:
        """It says how much there is; a second time it refuses, and --replace does it."""
        other = self.mktemp()
        places = ("registry", "copy", "--from", str(self.state), "--to", other)
        ran = invoke(*places)
        self.assertEqual((ran.status, ran.output), (0, "1 keys copied and compared\n"))
        ran = invoke(*places)
        self.assertEqual(ran.status, 1)
        self.assertIn("holds a registry already; --replace removes it", ran.errors)
        self.assertIn('"keys": 1', invoke(*places, "--replace", "--json").output)

    def test_wrong_calls(self) -> None:
        """An https etcd needs certificates, one file the others; an etcd that is away is named."""
        copy = ("registry", "copy", "--from", str(self.state), "--to")
        for options, status, why in (
            (("https://etcd1:2379",), 2, "needs --ca, --certificate and --key"),
            (("https://etcd1:2379", "--ca", __file__), 2, "--ca, --certificate and --key go together"),
            (("http://127.0.0.1:1,http://127.0.0.1:2",), 1, "etcd at http://127.0.0.1:2 does not answer"),
        ):
            ran = invoke(*copy, *options)
            self.assertEqual(ran.status, status, options)
            self.assertIn(why, ran.errors)

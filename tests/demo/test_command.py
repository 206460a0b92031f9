"""Tests of `warp_twisted.demo.command`: what it promises; what it runs is in tests.system.demo."""

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoke import invoke


class DemoCommandTests(SynchronousTestCase):
    """Options of `warp demo`."""

    def test_help(self) -> None:
        """The help says where everything is, how it ends, and has examples."""
        ran = invoke("demo", "--help")
        self.assertEqual((ran.status, ran.errors), (0, ""))
        for wanted in ("HTTP on 8080", "Ctrl-C leaves nothing behind", "warp demo --check"):
            self.assertIn(wanted, " ".join(ran.output.split()))

    def test_options_that_do_not_go_together(self) -> None:
        """What has no meaning is refused before anything starts."""
        for options, wanted in (
            (("--worse",), "--worse goes with --canary"),
            (("--json",), "--json goes with --canary"),
            (("--canary", "--check", "--json"), "leave out --json"),
        ):
            ran = invoke("demo", *options)
            self.assertEqual((ran.status, ran.output), (2, ""))
            self.assertIn(wanted, ran.errors)

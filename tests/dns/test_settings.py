"""Tests of `warp_dns.settings`; how files become these is tests.dns.program.test_configuration's."""

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from warp_dns.settings import EdgeSettings, Secrets, ServerSettings, TcpSettings


class SecretsTests(SynchronousTestCase):
    """What must not be seen."""

    def test_repr_hides_them(self) -> None:
        """The repr counts secrets and shows none."""
        secrets = Secrets([b"cookie-secret"], [("key.example", "hmac-sha256", b"tsig-secret")])
        self.assertEqual(repr(secrets), "Secrets(1 cookie secrets, 1 keys)")


class BoundsTests(SynchronousTestCase):
    """What a value may be."""

    def refusal(self, raw: dict[str, object], kind: type[msgspec.Struct]) -> str:
        """Return why values are refused."""
        with self.assertRaises(msgspec.ValidationError) as caught:
            msgspec.convert(raw, kind)
        return str(caught.exception)

    def test_defaults_are_safe_and_valid(self) -> None:
        """Everything may be left out, and what is left out is within its own bounds."""
        made = msgspec.convert({}, ServerSettings)
        self.assertEqual(msgspec.convert(msgspec.to_builtins(made), ServerSettings), made)
        self.assertTrue(made.cookies.enabled and made.rate_limit.responses_per_second)

    def test_limits(self) -> None:
        """Numbers that no server should have are refused with the key."""
        self.assertIn("$.udp_bytes", self.refusal({"udp_bytes": 100}, ServerSettings))
        self.assertIn("$.tcp.idle_seconds", self.refusal({"tcp": {"idle_seconds": 0}}, ServerSettings))
        self.assertIn("$.connections", self.refusal({"connections": 0}, TcpSettings))
        self.assertIn("$.load", self.refusal({"load": 1.5}, EdgeSettings))

    def test_unknown_keys(self) -> None:
        """A key that does not exist is refused rather than ignored."""
        self.assertIn("unknown field `idle`", self.refusal({"idle": 1}, TcpSettings))

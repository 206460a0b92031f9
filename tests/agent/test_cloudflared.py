"""Tests of cloudflared's words for what agent.yaml says; those in whole files are in `test_settings`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.cloudflared import ALIASES, NOTHING, REFUSED, spell_origin_request
from warp_twisted.errors import InvalidSettings

# What cloudflared documents of originRequest ("Origin parameters"), and what its code has beside.
DOCUMENTED = {
    "originServerName", "matchSNItoHost", "caPool", "noTLSVerify", "tlsTimeout", "http2Origin", "httpHostHeader",
    "disableChunkedEncoding", "connectTimeout", "noHappyEyeballs", "proxyType", "proxyAddress", "proxyPort",
    "keepAliveTimeout", "keepAliveConnections", "tcpKeepAlive", "access", "bastionMode", "ipRules",
}  # fmt: skip


class SpellTests(SynchronousTestCase):
    """`spell_origin_request`."""

    def test_every_key(self) -> None:
        """Each key of cloudflared's is taken, or refused with what there is instead."""
        self.assertEqual(DOCUMENTED - ALIASES.keys() - REFUSED.keys(), set())
        self.assertEqual(NOTHING.keys() - REFUSED.keys(), set())

    def test_durations(self) -> None:
        """Lengths of time are read as cloudflared writes them."""
        spelled = spell_origin_request({"connectTimeout": "1m30s", "tlsTimeout": "10s", "tcpKeepAlive": 30}, "o")
        self.assertEqual(spelled, {"connect_timeout": 90.0, "tls_timeout": 10.0, "tcp_keep_alive": 30})
        error = self.assertRaises(InvalidSettings, spell_origin_request, {"tlsTimeout": "soon"}, "o")
        self.assertTrue(str(error).startswith("o.tlsTimeout: "), error)

    def test_a_number_is_no_truth_value(self) -> None:
        """What changes nothing is compared with its type."""
        self.assertRaises(InvalidSettings, spell_origin_request, {"proxyPort": False}, "o")
        self.assertRaises(InvalidSettings, spell_origin_request, {"http2Origin": 0}, "o")

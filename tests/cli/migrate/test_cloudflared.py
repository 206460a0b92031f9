"""Tests of cloudflared's settings as ours."""

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.settings import parse_settings
from warp_twisted.cli.migrate.cloudflared import TOKEN_FILE, migrate
from warp_twisted.errors import InvalidSettings

LAST = {"service": "http_status:404"}


class MigrateTests(SynchronousTestCase):
    """`migrate`."""

    def test_whole_file(self) -> None:
        """What means the same is taken, in our spelling; what is not is named."""
        found = migrate(
            {
                "tunnel": "6ff42ae2",
                "credentials-file": "/root/c.json",
                "loglevel": "fatal",
                "grace-period": "1m30s",
                "metrics": "localhost:9090",
                "no-autoupdate": True,
                "warp-routing": {"enabled": False},
                "unheard-of": 1,
                "originRequest": {"connectTimeout": "30s", "http2Origin": False, "keepAliveConnections": 100},
                "ingress": [
                    {"hostname": "a.example", "path": "^/x", "service": "https://localhost:1", "originRequest": {
                        "noTLSVerify": True, "httpHostHeader": "b", "disableChunkedEncoding": True}},
                    {"hostname": "w.example", "service": "wss://localhost:2", "extra": 1},
                    {"hostname": "s.example", "service": "ssh://localhost:22"},
                    {"hostname": "h.example", "service": "hello_world"},
                    LAST,
                ],
            }
        )  # fmt: skip
        self.assertEqual(
            found.settings,
            {
                "token_file": TOKEN_FILE,
                "log": {"level": "error"},
                "drain": 90.0,
                "metrics": "tcp:9090:interface=127.0.0.1",
                "originRequest": {"connect_timeout": 30.0},
                "ingress": [
                    {"hostname": "a.example", "path": "^/x", "service": "https://localhost:1", "originRequest": {
                        "no_tls_verify": True, "http_host_header": "b"}},
                    {"hostname": "w.example", "service": "https://localhost:2"},
                    {"hostname": "h.example", "service": "hello-world"},
                    LAST,
                ],
            },
        )  # fmt: skip
        self.assertEqual(
            [note.partition(": ")[0] for note in found.notes],
            [
                "token_file", "tunnel", "credentials-file", "no-autoupdate", "unheard-of",
                "originRequest.keepAliveConnections", "ingress[0].originRequest.disableChunkedEncoding",
                "ingress[1].extra", "ingress[2]",
            ],
        )  # fmt: skip
        self.assertIn("unheard-of: left out: this key is not known", found.notes)
        self.assertEqual(len(parse_settings(json.dumps(found.settings)).ingress.rules), 4)

    def test_one_service(self) -> None:
        """A file with url in place of rules."""
        self.assertEqual(
            migrate({"url": "http://localhost:1"}).settings["ingress"], [{"service": "http://localhost:1"}]
        )
        found = migrate({"url": "http://localhost:1", "hostname": "a.example"}).settings["ingress"]
        self.assertEqual(found, [{"hostname": "a.example", "service": "http://localhost:1"}, LAST])

    def test_last_rule_that_cannot_be_served(self) -> None:
        """Its place is kept, so that what it took goes nowhere else."""
        found = migrate({"ingress": [{"hostname": "a.example", "service": "http://a"}, {"service": "socks-proxy"}]})
        self.assertEqual(found.settings["ingress"], [{"hostname": "a.example", "service": "http://a"}, LAST])
        self.assertIn("so what no other rule matches is answered 404", found.notes[-1])

    def test_refused(self) -> None:
        """What has no rules, or another form, is refused with its key."""
        for raw, words in (
            ({}, "ingress: missing"),
            ({"ingress": []}, "ingress: missing"),
            ({"ingress": [{"hostname": "a"}]}, r"ingress\[0\].service: missing"),
            ({"ingress": ["a"]}, r"ingress\[0\].service: missing"),
            ({"ingress": [LAST], "originRequest": 1}, "originRequest: expected a mapping"),
            ({"ingress": [LAST], "grace-period": "soon"}, "grace-period: "),
            ({"ingress": [LAST], "metrics": "localhost"}, "metrics: expected host:port"),
            ({"ingress": [{**LAST, "originRequest": {"tlsTimeout": "x"}}]}, r"ingress\[0\].originRequest.tlsTimeout: "),
        ):
            with self.assertRaisesRegex(InvalidSettings, f"^{words}"):
                migrate(raw)

    @given(
        st.dictionaries(st.sampled_from(["tunnel", "loglevel", "metrics", "tag", "x", "warp-routing"]), st.integers()),
        st.lists(st.sampled_from(["http://a:1", "ssh://a", "hello_world", "unix:/run/a", "bastion"]), max_size=5),
    )
    def test_each_key_is_taken_or_named(self, keys: dict[str, int], services: list[str]) -> None:
        """No key of a file is lost without a word."""
        rules = [{"hostname": f"h{at}.example", "service": each} for at, each in enumerate(services)]
        try:
            found = migrate({**keys, "ingress": [*rules, LAST]})
        except InvalidSettings as error:
            self.assertTrue(str(error).startswith("metrics: "), error)
            return
        for key in keys:
            self.assertTrue(key in found.settings or any(note.startswith(f"{key}: ") for note in found.notes), key)
        self.assertEqual(
            len(parse_settings(json.dumps(found.settings)).ingress.rules),
            1 + sum(each not in ("ssh://a", "bastion") for each in services),
        )

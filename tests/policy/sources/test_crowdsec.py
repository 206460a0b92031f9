"""Tests for `warp_twisted.policy.sources.crowdsec`."""

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.sources.crowdsec import DecisionsError, crowdsec_prefixes

DECISIONS = [
    {"scope": "Ip", "type": "ban", "value": "203.0.113.9"},
    {"scope": "Range", "type": "ban", "value": "198.51.100.0/24"},
    {"scope": "Country", "type": "ban", "value": "XX"},
    {"scope": "Ip", "type": "captcha", "value": "203.0.113.10"},
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(("new", "decisions", "scope", "type")), inner),
)


class CrowdsecTests(SynchronousTestCase):
    """`crowdsec_prefixes`."""

    def test_a_stream_of_decisions(self) -> None:
        """What CrowdSec's API streams is read as well; nothing at all is an empty list."""
        stream = json.dumps({"new": DECISIONS, "deleted": None})
        self.assertEqual(crowdsec_prefixes(stream), ["203.0.113.9", "198.51.100.0/24"])
        self.assertEqual(crowdsec_prefixes("null"), [])
        for text in ("1", '"x"', "[1]", '{"new": 1}', '[{"decisions": 1}]', "{", "[" * 100_000):
            with self.assertRaisesRegex(DecisionsError, "expected CrowdSec's decisions as JSON"):
                crowdsec_prefixes(text)

    @given(JSON.map(json.dumps) | st.text())
    def test_any_text(self, text: str) -> None:
        """Whatever a file holds, it is read or refused, and nothing else is raised."""
        try:
            found = crowdsec_prefixes(text)
        except DecisionsError:
            return
        self.assertIsInstance(found, list)

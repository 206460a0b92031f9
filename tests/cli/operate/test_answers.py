"""Tests of `warp_twisted.cli.operate.answers`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.cli.errors import EdgeRefused
from warp_twisted.cli.operate.answers import Agent, NewToken, Route, Token, read


class ReadTests(SynchronousTestCase):
    """Taking answers as what they should be."""

    def test_newer_edges_may_say_more(self) -> None:
        """Fields that this version does not know are ignored, and those that are left out have defaults."""
        found = read([{"id": "a-1", "mood": "good"}], list[Agent])
        self.assertEqual(found, [Agent(id="a-1")])
        self.assertEqual(read({"hostname": "app.warp.example"}, Route).services, {})

    def test_what_is_missing_or_of_another_kind(self) -> None:
        """An answer that makes no sense is refused, naming what is wrong and what to do."""
        for answer, kind, words in (
            ({"hostnames": [], "uses_left": 1, "expires_at": 1.0}, Token, "missing required field `id`"),
            ({"id": 7}, Agent, "Expected `str`, got `int`"),
            (None, list[Agent], "Expected `array`, got `null`"),
        ):
            with self.assertRaises(EdgeRefused) as caught:
                read(answer, kind)
            self.assertIn(words, str(caught.exception))
            self.assertTrue(str(caught.exception).endswith("; update it"))

    def test_secret_has_no_repr(self) -> None:
        """The text of a new token is not in its repr."""
        made = NewToken(id="t1", hostnames=[], uses_left=1, expires_at=1.0, token="warp1-secret")
        self.assertEqual(repr(made), "NewToken(id='t1', token=****)")

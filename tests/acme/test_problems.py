"""Tests for warp_twisted.acme.problems."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.acme.problems import MAX_DETAIL_CHARACTERS, kind_of, sentence


class ProblemTests(SynchronousTestCase):
    """Sentences for problem documents."""

    def test_kind(self) -> None:
        """A type of ACME's is a kind; any other is none."""
        self.assertEqual(kind_of("urn:ietf:params:acme:error:rateLimited"), "rateLimited")
        self.assertEqual(kind_of("about:blank"), "")

    def test_sentence(self) -> None:
        """The authority's words come first, then the kind, then what to do."""
        self.assertEqual(
            sentence("caa", "not allowed"),
            "the authority refuses: not allowed (caa); let the zone's CAA records, and those above it, allow this "
            "authority",
        )
        self.assertEqual(sentence("", ""), "the authority refuses: it does not say why")

    def test_bounded(self) -> None:
        """Words that are long, or would write elsewhere on a terminal, are cut."""
        said = sentence("odd", "\x1b[2J\r\n" + "a" * 9999)
        self.assertTrue(said.isprintable())
        self.assertLess(len(said), MAX_DETAIL_CHARACTERS + 100)

"""Tests of `warp_twisted.policy.document.mirror`, and of what a policy asks of its mirrors."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.policy.document.routing import MAX_MIRRORS
from warp_twisted.policy.errors import InvalidPolicy

ENTRY = "{hostname: %s, split: [{selector: r=a, weight: 1}], mirror: %s}"


class MirrorDocumentTests(SynchronousTestCase):
    """The key `mirror` of an entry."""

    def refusal(self, *entries: str) -> str:
        """Return why a policy is refused, without the file; empty if it is not."""
        try:
            parse_policy(f"routing: [{', '.join(entries)}]", "p")
        except InvalidPolicy as error:
            return str(error).removeprefix("p: ")
        return ""

    def test_taken(self) -> None:
        """Any selector of some tunnels, a share's or another, and any part."""
        for text in ("{selector: r=next, percent: 100}", "{selector: r=a, percent: 0.01}", "{selector: r, percent: 5}"):
            self.assertEqual(self.refusal(ENTRY % ("a.example", text)), "", text)

    def test_refused(self) -> None:
        """What copies nothing, or to everybody, is refused with its place."""
        for text, expected in (
            ("{percent: 1}", "routing[0].mirror.selector: missing"),
            ("{selector: r=n}", "routing[0].mirror.percent: missing"),
            ("{selector: r=n, percent: 0}", "routing[0].mirror.percent: expected"),
            ("{selector: r=n, percent: 101}", "routing[0].mirror.percent: expected"),
            ("{selector: r=n, percent: 10%}", "routing[0].mirror.percent: expected"),
            ("{selector: '', percent: 1}", "routing[0].mirror.selector: expected"),
            ("{selector: ' ', percent: 1}", "routing[0].mirror.selector: expected one that matches some tunnels only"),
            ("{selector: 'a=(', percent: 1}", "routing[0].mirror.selector: selector 'a=(' is broken"),
            ("{selector: r=n, percentage: 1}", "routing[0].mirror.percentage: unknown key; did you mean percent?"),
        ):
            self.assertIn(expected, self.refusal(ENTRY % ("a.example", text)), text)

    def test_bounded(self) -> None:
        """A policy has so many mirrors and no more."""
        entries = [ENTRY % (f"h{number}.example", "{selector: r=n, percent: 1}") for number in range(MAX_MIRRORS + 1)]
        self.assertEqual(self.refusal(*entries[1:]), "")
        self.assertEqual(
            self.refusal(*entries), f"routing[{MAX_MIRRORS}].mirror: a policy has {MAX_MIRRORS} mirrors at most"
        )

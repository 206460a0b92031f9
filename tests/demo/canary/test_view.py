"""Tests of `warp_twisted.demo.canary.view`: the picture, the line and the object of a sample."""

import json
from io import StringIO

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from tests.base.test_escaping import HOSTILE, is_safe
from tests.demo.canary.test_samples import split_of
from warp_twisted.demo.canary.samples import Sample, Samples, Seen
from warp_twisted.demo.canary.view import EACH, WIDTH, Lines, Objects, draw, line_of


def sample_of(canary: int, *, errors: int = 0, action: str = "") -> Sample:
    """Return a moment at which the canary is asked to get 25 %, and got some of the last 100 requests."""
    samples = Samples()
    samples.take(0.0, split_of(), [])
    split = split_of(100 - canary, canary, errors=errors, part=0.25, target=0.5, action=action)
    return samples.take(
        5.0, split, [Seen("stable", False), Seen("canary", False), Seen("canary", True), Seen("", False)]
    )


def text_of(sample: Sample) -> str:
    """Draw into text, 100 columns wide."""
    console = Console(width=100, record=True, file=StringIO())
    console.print(draw(sample))
    return console.export_text()


class DrawTests(SynchronousTestCase):
    """The picture on a terminal."""

    def test_bars(self) -> None:
        """The bars are as long as the parts, and can be told apart without colours."""
        lines = dict(line.split(maxsplit=1) for line in text_of(sample_of(20)).splitlines() if len(line.split()) == 2)
        self.assertEqual(lines["asked"], "█" * 38 + "▒" * 12)
        self.assertEqual(lines["sent"], "█" * 40 + "▒" * 10)
        self.assertEqual(len(lines["asked"]), WIDTH)
        self.assertEqual(lines["visitors"], "●○✗·")

    def test_table(self) -> None:
        """Each share has a line with what it was asked to get and got, and its errors."""
        text = text_of(sample_of(20, errors=3))
        self.assertRegex(text, r"release=stable +75 % +80\.0 % +80 +0")
        self.assertRegex(text, r"release=canary +25 % +20\.0 % +20 +3")
        self.assertIn("release=canary goes to 50 %", text)
        self.assertIn("better: errors 0.0%", text)

    def test_nothing_was_sent(self) -> None:
        """Without a request the bar is empty."""
        text = text_of(Samples().take(0.0, split_of(), []))
        self.assertRegex(text, rf"sent +·{{{WIDTH}}}")

    def test_taken_back(self) -> None:
        """A shift that its guard has ended leads nowhere."""
        self.assertNotIn("goes to", text_of(sample_of(0, action="back")))

    def test_hostile(self) -> None:
        """What is in a record of the fleet is shown in letters."""
        sample = Samples().take(0.0, split_of(action="back"), [])
        console = Console(width=1000, file=StringIO())
        console.print(draw(Sample(hostname="a", shares=sample.shares, seconds=1.0, guard=HOSTILE, reason=HOSTILE)))
        self.assertTrue(is_safe(console.file.getvalue(), "\n"))  # type: ignore[attr-defined]  # it is the StringIO


class LinesTests(SynchronousTestCase):
    """Where there is no terminal."""

    def test_line(self) -> None:
        """A line has the parts, the errors and the guard's verdict."""
        wanted = (
            "release=stable asked 75 % sent 80.0 %, release=canary asked 25 % sent 20.0 % (3 errors); "
            "guard: better (errors 0.0%)"
        )
        self.assertEqual(line_of(sample_of(20, errors=3)), wanted)

    def test_one_of_a_few(self) -> None:
        """Of several samples one is printed; what is said always is."""
        said: list[str] = []
        lines = Lines(said.append)
        for _ in range(2 * EACH):
            lines.show(sample_of(20))
        lines.say("The canary has 25 %.")
        lines.close()
        self.assertEqual(len(said), 3)
        self.assertEqual(said[-1], "The canary has 25 %.")


class ObjectsTests(SynchronousTestCase):
    """For machines."""

    def test_sample_and_saying(self) -> None:
        """Each is an object in a line; numbers are numbers."""
        said: list[str] = []
        objects = Objects(said.append)
        objects.say("The canary has 25 %.")
        objects.show(sample_of(20, errors=3))
        objects.close()
        saying, sample = map(json.loads, said)
        self.assertEqual(saying, {"event": "said", "text": "The canary has 25 %."})
        self.assertEqual((sample["event"], sample["hostname"], sample["seconds"]), ("sample", "app.example", 5.0))
        self.assertEqual([(each["asked"], each["sent"]) for each in sample["shares"]], [(0.75, 0.8), (0.25, 0.2)])
        self.assertEqual(sample["shares"][1]["recent_errors"], 3)
        self.assertEqual(sample["shift"], {"selector": "release=canary", "target": 0.5})
        self.assertEqual(sample["guard"], {"verdict": "better", "reason": "errors 0.0%", "taken_back": False})
        self.assertEqual(sample["visitors"], {"canary": 2, "stable": 1})

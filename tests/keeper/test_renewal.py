"""Tests of the state that one release's keeper leaves to the next."""

import json
import os
import sys

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.keeper.actions import Launch, Phase
from warp_twisted.keeper.handover import Handover
from warp_twisted.keeper.renewal import InvalidState, Kept, KeptChild, from_json, judge, read, to_json, write

LAUNCH = Launch("/1/bin/python", ("/1/bin/twistd", "warp-edge"))


def child(number: int) -> KeptChild:
    """Return one of the children."""
    return KeptChild(number=number, pid=100 + number, line=10 + number, beat_at=1.5, kill_at=None, status="serving")


def kept() -> Kept:
    """Return the state of a keeper whose process 3 serves while 2 drains."""
    handover = Handover(launch=LAUNCH, former=LAUNCH, phase=Phase.SERVING, serving=3, draining=[2], next_child=4)
    return Kept(handover=handover, children=[child(2), child(3)], notices=7, control=8)


WHOLE = json.loads(to_json(kept()))
CHANGES = st.dictionaries(st.sampled_from(sorted(WHOLE)), st.none() | st.integers() | st.lists(st.integers()))
CHANGED = CHANGES.map(lambda change: json.dumps({**WHOLE, **change}).encode())


class StateTests(SynchronousTestCase):
    """Writing and reading."""

    def test_comes_back(self) -> None:
        """What was written is read, and so are the descriptors to inherit."""
        descriptor = write(kept())
        self.addCleanup(os.close, descriptor)
        self.assertEqual(read(descriptor), kept())
        self.assertEqual(kept().descriptors, [7, 12, 13, 8])

    def test_refused(self) -> None:
        """A state of another version, a broken one, and one that forgets a child are refused."""
        for change, reason in (
            ({"version": 2}, "the keeper's state has version 2, this release reads 1"),
            ({"children": []}, "the keeper's state does not name each child once"),
            ({"launch": None}, "the keeper's state is broken"),
            ({"children": [{}]}, "the keeper's state is broken"),
        ):
            error = self.assertRaises(InvalidState, from_json, json.dumps({**WHOLE, **change}).encode())
            self.assertIn(reason, str(error))
        self.assertIn("cannot be read", str(self.assertRaises(InvalidState, read, 10_000)))

    @given(st.binary(max_size=200) | CHANGED)
    def test_any_bytes(self, text: bytes) -> None:
        """Whatever is there is a state or refused."""
        try:
            state = from_json(text)
        except InvalidState as error:
            self.assertTrue(str(error))
        else:
            self.assertEqual(state.handover.phase, Phase.SERVING)

    def test_judge(self) -> None:
        """The other release's last line says why it does not go on; a program that is not there, too."""
        descriptor = write(kept())
        self.addCleanup(os.close, descriptor)
        reads = "import os; os.pread(int(os.environ['WARP_KEEPER_STATE']), 9, 0)[0]"
        self.assertEqual(judge([sys.executable, "-c", reads], {}, descriptor), "")
        self.assertEqual(judge([sys.executable, "-c", "raise SystemExit('no')"], {}, descriptor), "no")
        self.assertIn("No such file", judge(["/nowhere/python"], {}, descriptor))

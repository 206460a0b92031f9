"""Tests of long answers as pieces of JSON."""

import json
from collections.abc import Iterable

from twisted.trial.unittest import SynchronousTestCase

from tests.operations import count_operations
from warp_twisted.edge.operators.json_pieces import ITEMS_IN_A_STEP, json_list, json_object, sorted_in_steps


class PiecesTests(SynchronousTestCase):
    """JSON and order, a step at a time."""

    def test_list(self) -> None:
        """Items are written in order, in one list, however many steps it takes."""
        for count in (0, 1, ITEMS_IN_A_STEP, ITEMS_IN_A_STEP + 1, 500):
            pieces = list(json_list(range(count), lambda item: {"n": item}))
            self.assertEqual(json.loads(b"".join(pieces)), [{"n": number} for number in range(count)])
            self.assertLessEqual(len(pieces) - 1, count // ITEMS_IN_A_STEP + 1)
        self.assertEqual(list(json_list(iter("ab"), in_a_step=1)), [b'["a"', b',"b"', b"]"])

    def test_object(self) -> None:
        """Keys and values are written as one object."""
        for count in (0, 1, ITEMS_IN_A_STEP + 1):
            wanted = {str(number): [number] for number in range(count)}
            self.assertEqual(json.loads(b"".join(json_object(wanted.items()))), wanted)

    def test_order(self) -> None:
        """Items come out in order, and no step sorts more than a few hundred."""
        items = [number * 7919 % 5000 for number in range(5000)]
        found: list[Iterable[int]] = []
        steps = sorted_in_steps(items, lambda item: -item, found)
        cost = max(count_operations(lambda: next(steps)) for _ in range(5))
        self.assertLess(cost, 20_000)
        self.assertEqual(len(list(steps)), 15)
        self.assertEqual(list(found[0]), sorted(items, reverse=True))

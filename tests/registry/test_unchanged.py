"""Tests for `warp_twisted.registry.unchanged`."""

from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.names import Hostname
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.model import NAMES, GivenName, encode
from warp_twisted.registry.store import Delete, Put
from warp_twisted.registry.unchanged import change_if_unchanged

RECORD = GivenName(hostname=Hostname("calm-otter-123.warp.example"), agent="a-1")


class ChangeIfUnchangedTests(SynchronousTestCase):
    """`change_if_unchanged`."""

    def setUp(self) -> None:
        self.store = MemoryStore(Clock())
        self.successResultOf(self.store.put(RECORD.key, encode(RECORD)))

    def change(self, record: GivenName) -> bool:
        """Delete a record that was judged."""
        return self.successResultOf(
            Deferred.fromCoroutine(change_if_unchanged(self.store, record, [Delete(record.key)]))
        )

    def test_unchanged(self) -> None:
        """A record that is as it was judged is changed, once."""
        self.assertTrue(self.change(RECORD))
        self.assertIsNone(self.successResultOf(self.store.get(RECORD.key)))
        self.assertFalse(self.change(RECORD))

    def test_changed_meanwhile(self) -> None:
        """One that somebody else has changed is left as that one wanted it."""
        other = encode(replace(RECORD, agent="a-2"))
        self.successResultOf(self.store.transact([], [Put(RECORD.key, other)]))
        self.assertFalse(self.change(RECORD))
        item = self.successResultOf(self.store.get(RECORD.key))
        assert item is not None
        self.assertEqual((item.key, item.value), (NAMES + RECORD.hostname, other))

"""Tests of `warp_dns.serve.replica`."""

from collections.abc import Iterable

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import wire, zone_of
from warp_dns.message import records
from warp_dns.message.records import RRset
from warp_dns.serve import replica
from warp_dns.settings import EdgeSettings, Secrets, ServerSettings
from warp_dns.zone.data import Zone
from warp_dns.zone.journal import rows_of
from warp_dns.zone.steps import finish


def contents(zone: Zone) -> set[object]:
    """Return every record of a zone."""
    return {row for rrset in zone for row in rows_of(rrset)}


def staged(parts: Iterable[replica.Order]) -> dict[bytes, replica.Records]:
    """Return what was staged, as a worker gathers it."""
    owners: dict[bytes, replica.Records] = {}
    for part in parts:
        assert isinstance(part, replica.Stage)
        owners.update(part.owners)
    return owners


class ReplicaTests(SynchronousTestCase):
    """Values on their way to a worker."""

    def travel(self, value: replica.Order) -> replica.Order:
        """Send a value octet by octet, and return what arrives."""
        reader = replica.ValueReader()
        data = replica.pack_value(value)
        arrived = [content for octet in data for content in reader.values(bytes([octet]))]
        self.assertEqual(len(arrived), 1)
        order: replica.Order = msgspec.msgpack.decode(arrived[0], type=replica.Order)
        return order

    def test_a_zone_arrives_whole(self) -> None:
        """A snapshot and the changes after it make the same zone, edges included, at the same serial."""
        zone = zone_of("a.b 5 A 192.0.2.1\nc 5 TXT x")
        *parts, served = [self.travel(order) for order in replica.serving(zone)]
        self.assertEqual(served, replica.Serve(zone.apex))
        copy = finish(replica.building(zone.apex, staged(parts)))
        owner = wire("e.example.org")
        rrset = RRset(owner, records.A, 5, (b"\1" * 4, b"\2" * 4), ("e1", "e2"))
        for serial, changes in (
            (8, {owner: {records.A: rrset}}),
            (9, {wire("a.b.example.org"): {}}),
            (10, {wire("example.org"): dict(zone.at_apex.rrsets), wire("c.example.org"): {}}),
        ):
            change = zone.changed(changes, serial)
            *parts, told = [self.travel(order) for order in replica.advancing(change)]
            assert isinstance(told, replica.Advance)
            owners = {**staged(parts), **dict(told.owners)}
            zone, copy = change.zone, finish(replica.changing(copy, told.serial, owners)).zone
            self.assertEqual(contents(copy), contents(zone))
            self.assertEqual((copy.serial, len(copy)), (serial, len(zone)))
        node = copy.get(owner)
        assert node is not None
        self.assertEqual(node.rrsets[records.A].edges, ("e1", "e2"))

    def test_other_orders_arrive(self) -> None:
        """Settings, secrets, edges and the rest are what they were."""
        for order in (
            replica.Begin(ServerSettings(udp_bytes=600), Secrets([bytes(16)], [("k", "hmac-sha256", bytes(32))]), 3),
            replica.SetEdges({"e1": EdgeSettings(coordinates=(1.0, 2.0), draining=True)}),
            replica.SetSuspended([b"\0"], [b"\1a\0"]),
            replica.Withdraw(b"\0"),
        ):
            self.assertEqual(self.travel(order), order)

    def test_a_value_has_a_limit(self) -> None:
        """A length beyond what can be meant is refused before anything is kept for it."""
        self.assertRaises(ValueError, list, replica.ValueReader().values(b"\xff\xff\xff\xff"))

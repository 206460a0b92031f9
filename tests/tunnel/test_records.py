"""`tunnel.records`: records are found however they are cut."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.tunnel.records import Records


def record(size: int) -> bytes:
    """A record with so many bytes inside."""
    return b"\x17\x03\x03" + size.to_bytes(2) + b"x" * size


class RecordsTests(SynchronousTestCase):
    """`Records.pass_over`."""

    def test_whole_records(self) -> None:
        """Whole records are counted, up to as many as may begin."""
        data = record(10) + record(0) + record(300)
        self.assertEqual(Records().pass_over(data, 0, 9, 1000), (len(data), 3, 3))
        records = Records()
        self.assertEqual(records.pass_over(data, 0, 2, 1000), (20, 2, 2))
        self.assertEqual(records.pass_over(data, 20, 2, 1000), (len(data), 1, 1))

    def test_so_many_bytes(self) -> None:
        """No record begins behind so many bytes; the last that began before is whole."""
        data = record(10) + record(10) + record(10)
        for most_bytes, end, count in ((1, 15, 1), (15, 15, 1), (16, 30, 2), (31, 45, 3)):
            self.assertEqual(Records().pass_over(data, 0, 9, most_bytes), (end, count, count))
        records = Records()
        self.assertEqual(records.pass_over(data[:15], 0, 9, 15), (15, 1, 1))
        self.assertEqual(records.pass_over(data, 15, 9, 15), (30, 1, 1))

    def test_cut_inside(self) -> None:
        """A record that goes on in the next piece began once, and ends there; so does one whose header was cut."""
        records = Records()
        data = record(1000)
        self.assertEqual(records.pass_over(data[:100], 0, 9, 5000), (100, 1, 0))
        self.assertEqual(records.pass_over(data[100:] + record(5), 0, 9, 5000), (len(data) - 100 + 10, 1, 2))
        self.assertEqual(records.pass_over(data[:3], 0, 9, 5000), (3, 1, 0))
        self.assertEqual(records.pass_over(data[3:4], 0, 9, 5000), (1, 0, 0))
        self.assertEqual(records.pass_over(data[4:900], 0, 9, 5000), (896, 0, 0))
        self.assertEqual(records.pass_over(data[900:], 0, 9, 5000), (len(data) - 900, 0, 1))

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(
        sizes=st.lists(st.integers(0, 700), min_size=1, max_size=20),
        cuts=st.lists(st.integers(1, 400), min_size=1, max_size=10),
        most=st.integers(1, 5),
        most_bytes=st.integers(1, 500),
    )
    def test_however_it_is_cut(self, sizes: list[int], cuts: list[int], most: int, most_bytes: int) -> None:
        """Whatever the pieces, every record is counted once as it begins and ends, and no stop is inside one."""
        data = b"".join(map(record, sizes))
        begins = [sum(5 + size for size in sizes[:count]) for count in range(len(sizes) + 1)]
        records = Records()
        begun = ended = offset = turn = 0
        while offset < len(data):
            piece = data[offset : offset + cuts[turn % len(cuts)]]
            turn += 1
            at = 0
            while at < len(piece):
                end, more, over = records.pass_over(piece, at, most, most_bytes)
                self.assertLessEqual(more, most)
                self.assertTrue(end == len(piece) or offset + end in begins)
                self.assertGreater(end, at)
                at, begun, ended = end, begun + more, ended + over
                self.assertEqual(begun, sum(begin < offset + end for begin in begins[:-1]))
                self.assertEqual(ended, sum(begin <= offset + end for begin in begins[1:]))
            offset += len(piece)
        self.assertEqual((begun, ended), (len(sizes), len(sizes)))

"""Tests of lists in pages."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.registry.published.pages import MAX_PAGES, PAGE_SIZE, Pages


class PagesTests(SynchronousTestCase):
    """Texts come and go."""

    def setUp(self) -> None:
        """Begin with two full pages and one text more."""
        self.pages = Pages()
        for number in range(2 * PAGE_SIZE + 1):
            self.pages.add(str(number))

    def test_full_pages_first(self) -> None:
        """Pages fill one after the other, in the order in which texts come."""
        self.assertEqual([len(self.pages[page]) for page in range(4)], [PAGE_SIZE, PAGE_SIZE, 1, 0])
        self.assertEqual(len(self.pages), 3)
        self.assertEqual(self.pages[1][0], str(PAGE_SIZE))

    def test_the_last_fills_the_gap(self) -> None:
        """The last text takes the place of one that goes; two pages change, and the last may be gone."""
        self.assertEqual(self.pages.take_changed(), [0, 1, 2])
        self.pages.remove("0")
        self.assertEqual(self.pages[0][0], str(2 * PAGE_SIZE))
        self.assertEqual(len(self.pages), 2)
        self.assertEqual(self.pages.take_changed(), [0, 2])
        self.assertFalse(self.pages.is_changed)

    def test_once_each(self) -> None:
        """A text that is there is not added, one that is not there is not removed."""
        self.pages.take_changed()
        self.pages.add("7")
        self.pages.remove("unknown")
        self.assertFalse(self.pages.is_changed)

    def test_bound(self) -> None:
        """What is beyond the last page is counted, changes no page, and is shown when there is room."""
        most = PAGE_SIZE * MAX_PAGES
        for number in range(2 * PAGE_SIZE + 1, most):
            self.pages.add(str(number))
        self.pages.take_changed()
        self.pages.add("late")
        self.assertEqual((len(self.pages), self.pages.left_out, self.pages[MAX_PAGES]), (MAX_PAGES, 1, []))
        self.assertFalse(self.pages.is_changed)
        self.pages.remove("3")
        self.assertEqual(self.pages[0][3], "late")
        self.assertEqual(self.pages.left_out, 0)
        self.assertEqual(self.pages.take_changed(), [0])

    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 20).map(str)), max_size=60))
    def test_any_history(self, changes: list[tuple[bool, str]]) -> None:
        """After any history there is what was added and not removed, once each."""
        pages = Pages()
        present: set[str] = set()
        for is_added, text in changes:
            (pages.add if is_added else pages.remove)(text)
            (present.add if is_added else present.discard)(text)
        self.assertEqual(sorted(pages[0]), sorted(present))

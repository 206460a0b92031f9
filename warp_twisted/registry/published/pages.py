"""
A list of any length, in pages that each fit into one RRset: what comes or goes changes two pages at most.

Pure; which names the pages have in DNS is decided in `discovery` and `publish`.
"""

PAGE_SIZE = 100  # records: what BIND takes of one name and type (`max-records-per-type`)
MAX_PAGES = 100  # so that a list of all pages is a page itself


class Pages:
    """
    Texts, each once. The last one takes the place of one that goes, so only the last page is not full.

    What is beyond `MAX_PAGES` pages is not shown until there is room.
    """

    __slots__ = ("_at", "_changed", "_texts")

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._at: dict[str, int] = {}
        self._changed: set[int] = set()

    def __len__(self) -> int:
        """Return how many pages are shown."""
        return min(MAX_PAGES, -(-len(self._texts) // PAGE_SIZE))

    def __getitem__(self, page: int) -> list[str]:
        """Return what is on a page; nothing, if there is no such page."""
        return self._texts[page * PAGE_SIZE : (page + 1) * PAGE_SIZE] if page < MAX_PAGES else []

    @property
    def left_out(self) -> int:
        """How many texts are on no page."""
        return max(0, len(self._texts) - PAGE_SIZE * MAX_PAGES)

    @property
    def is_changed(self) -> bool:
        """Whether a page changed since `take_changed`."""
        return bool(self._changed)

    def add(self, text: str) -> None:
        """Add a text, if it is not there."""
        if text not in self._at:
            self._at[text] = len(self._texts)
            self._note(len(self._texts))
            self._texts.append(text)

    def remove(self, text: str) -> None:
        """Remove a text, if it is there."""
        at = self._at.pop(text, None)
        if at is None:
            return
        last = self._texts.pop()
        self._note(len(self._texts))
        if last != text:
            self._texts[at] = last
            self._at[last] = at
            self._note(at)

    def take_changed(self) -> list[int]:
        """Return the pages that changed since this was asked last, those that are gone included."""
        changed = sorted(self._changed)
        self._changed.clear()
        return changed

    def _note(self, at: int) -> None:
        if at < PAGE_SIZE * MAX_PAGES:
            self._changed.add(at // PAGE_SIZE)

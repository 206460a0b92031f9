"""
Which member of etcd is asked next.

Pure. One member is asked for as long as it answers, since its watch and its answers then agree; one that failed is
asked again last.
"""

from collections.abc import Sequence


class Endpoints:
    """
    The members, in the order in which they are asked.

    :param urls: `http://` or `https://`, with a port, without a path; at least one, none twice.
    :ivar current: the one that is asked.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        if not urls:
            raise ValueError("etcd needs at least one endpoint")
        self._urls = list(urls)

    @property
    def current(self) -> str:
        """The member that is asked."""
        return self._urls[0]

    def failed(self, url: str) -> None:
        """Ask another one from now on; news of one that is not asked any more changes nothing."""
        if url == self.current:
            self._urls.append(self._urls.pop(0))

    def __len__(self) -> int:
        return len(self._urls)

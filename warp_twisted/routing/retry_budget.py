"""
How many requests may be sent a second time, so that retries never double the load of an origin in trouble.

Pure counting: each request to a hostname saves a fifth of a retry, each retry costs one. No clock: what a busy minute
has saved is bounded instead of forgotten. Whether a request is fit to be sent again is not decided here.
"""

PART = 0.2  # as linkerd and Finagle
RESERVE = 10.0  # retries of a hostname that has had no requests yet
MOST = 200.0  # retries at once, however many requests there were


class RetryBudget:
    """The budget of one hostname."""

    __slots__ = ("_saved", "_seen")

    def __init__(self) -> None:
        self._saved = RESERVE
        self._seen = 0

    def allows(self, sent: int) -> bool:
        """
        Return whether a retry is allowed now; it is not counted yet.

        :param sent: how many requests the hostname has had so far, retries aside; never less than before.
        """
        self._saved = min(MOST, self._saved + PART * (sent - self._seen))
        self._seen = sent
        return self._saved >= 1

    def spend(self) -> None:
        """Count a retry that `allows` has just allowed."""
        self._saved -= 1

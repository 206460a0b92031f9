"""Why a certificate is not issued."""

from warp_twisted.errors import WarpError


class AcmeError(WarpError):
    """The certificate could not be issued."""


class DoorRefused(AcmeError):
    """
    The edge did not do what it was asked over its admin socket.

    :ivar status: of the answer, or 0 if there was none.
    """

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status

"""
One request that goes to its origin under another Host, and what that changes of its answer.

The request may be sent again to another agent, whose route says something else of Host: `undo` gives it back as it was.
"""

from warp_twisted.edge.exchange.answer import Answer
from warp_twisted.http1.host_rewriting import HostRewriting
from warp_twisted.http1.request import RequestHead


class RewrittenHost:
    """
    A request as it was, and as it is.

    :param request: the head for the origin, and what follows it.
    :param scheme: as the visitor asked.
    :param answer: has its fields mapped back from now on.
    :ivar request: as the origin gets it.
    """

    __slots__ = ("_answer", "_head", "_size", "request")

    def __init__(
        self, rewriting: HostRewriting, request: bytes, scheme: str, head: RequestHead, answer: Answer
    ) -> None:
        authority = head.fields.authority
        self._head = request[: request.index(b"\r\n\r\n")]
        self.request = rewriting.request(request, scheme, authority)
        self._size = len(self._head) + len(self.request) - len(request)
        self._answer = answer
        answer.map_back = lambda start: rewriting.answer(start, scheme, authority)

    def undo(self, request: bytes) -> bytes:
        """
        Return the request as it was; its answer is not mapped any more.

        :param request: as it is, with more of its body perhaps.
        """
        self._answer.map_back = None
        return self._head + request[self._size :]

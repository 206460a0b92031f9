"""Asking a keeper: one request on its control socket, and what it answers until it is done."""

import socket
from collections.abc import Callable, Iterator

from warp_twisted.errors import WarpError
from warp_twisted.keeper.messages import KEEPER_SAYS, MAX_BYTES, InvalidMessage, Message, decode, encode

# Longer than the keeper takes for a hand-over at most, with one before it in the queue.
ANSWER_SECONDS = 1500.0


class NoKeeper(WarpError):
    """No keeper answers at the control socket."""


class RequestFailed(WarpError):
    """The keeper did not do what was asked; the service goes on as it was."""


def ask(path: str, request: Message, step: Callable[[str], None]) -> Message:
    """
    Ask and wait for the end of it; blocks.

    :param step: called with a sentence for each thing that happens on the way.
    :returns: the answer, `done` or `status`.
    :raises NoKeeper: if nobody is there, or goes away before the end.
    :raises RequestFailed: saying why.
    """
    for answer in _answers(path, request):
        if answer.word == "failed":
            raise RequestFailed(answer.text("what"))
        if answer.word != "step":
            return answer
        step(answer.text("what"))
    raise NoKeeper(f"{path}: the keeper ended before it answered; see the log of its unit")


def _answers(path: str, request: Message) -> Iterator[Message]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(path)
            connection.send(encode(request))
            while packet := connection.recv(MAX_BYTES + 1):
                yield decode(packet, "is", KEEPER_SAYS)
        except TimeoutError as error:
            raise NoKeeper(f"{path}: no answer within {ANSWER_SECONDS:g} s; see the log of the unit") from error
        except OSError as error:
            raise NoKeeper(
                f"{path}: {error.strerror}; is the service running below a keeper, and may you ask it?"
                " Without a keeper: systemctl restart warp-edge"
            ) from error
        except InvalidMessage as error:
            raise NoKeeper(f"{path}: {error}") from error

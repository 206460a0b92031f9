"""Asking a keeper: one request on its control socket, and what it answers until it is done."""

import socket
from collections.abc import Callable, Iterator
from time import monotonic

from warp_twisted.errors import WarpError
from warp_twisted.keeper.messages import KEEPER_SAYS, MAX_BYTES, InvalidMessage, Message, decode, encode

STATUS_SECONDS = 5.0
QUIET_SECONDS = 15.0  # without a word; then it is asked whether it is alive, as some steps take minutes
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
    is_quick = request.word == "status"
    until = monotonic() + (STATUS_SECONDS if is_quick else ANSWER_SECONDS)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        try:
            connection.settimeout(STATUS_SECONDS)
            connection.connect(path)
            connection.send(encode(request))
            while packet := _next_packet(path, connection, until, is_quick=is_quick):
                yield decode(packet, "is", KEEPER_SAYS)
        except TimeoutError as error:
            raise NoKeeper(
                f"{path}: the keeper does not answer; look at the log of its unit, and"
                " if it stays so: systemctl restart warp-edge"
            ) from error
        except OSError as error:
            raise NoKeeper(
                f"{path}: {error.strerror}; is the service running below a keeper, and may you ask it?"
                " Without a keeper: systemctl restart warp-edge"
            ) from error
        except InvalidMessage as error:
            raise NoKeeper(f"{path}: {error}") from error


def _next_packet(path: str, connection: socket.socket, until: float, *, is_quick: bool) -> bytes:
    """
    Wait for what the keeper says next, for as long as it is alive.

    :param is_quick: whether it answers at once if it is.
    :raises TimeoutError: if the time is up.
    :raises NoKeeper: if it does not answer another question.
    """
    while True:
        seconds = until - monotonic()
        connection.settimeout(max(0.001, seconds if is_quick else min(QUIET_SECONDS, seconds)))
        try:
            return connection.recv(MAX_BYTES + 1)
        except TimeoutError:
            if monotonic() >= until:
                raise
            ask(path, Message("do", "status"), lambda step: None)

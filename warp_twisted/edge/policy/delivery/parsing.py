"""
Reading the text of a policy: YAML into a document. Runs in a thread; a long text is read in a process of its own.

A thread is not enough for it. A text of 430 KiB is some 3 s of YAML, of which the event loop loses every other half
millisecond, and letting go of its tree at the end holds everybody up for 50 ms at once; what the process hands back is
decoded in 50 ms with no such stop. Short texts are not worth a process, which takes 0.2 s to start.

Run as a program, it is that process: text and name on standard input, the document on standard output, in msgpack.
"""

import subprocess
import sys

import msgspec

from warp_twisted.policy.document.policy import MAX_BYTES, Policy, parse_policy
from warp_twisted.policy.errors import InvalidPolicy, NewerPolicy

SHORT_BYTES = 8 << 10
WAIT_SECONDS = 120.0


class _Read(msgspec.Struct):
    """What the process says: a document, or why there is none."""

    policy: Policy | None = None
    error: str = ""
    is_newer: bool = False


def parse(content: bytes, source: str) -> Policy:
    """
    Read a policy, in a process of its own if it is long.

    :param source: as of `parse_policy`.
    :raises InvalidPolicy: as of `parse_policy`, or if the process does not come to an end within its bounds.
    :raises NewerPolicy: as of `parse_policy`.
    """
    if len(content) <= SHORT_BYTES or len(content) > MAX_BYTES:
        return parse_policy(content, source)
    command = [sys.executable, "-P", "-m", __spec__.name]  # -P: nothing from the working directory
    given = msgspec.msgpack.encode((content, source))
    try:
        done = subprocess.run(  # noqa: S603 -- our own module
            command, input=given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=WAIT_SECONDS, check=True
        )
        read = msgspec.msgpack.decode(done.stdout, type=_Read)
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError) as error:
        raise InvalidPolicy(f"{source}: cannot be read: {error}") from error
    if read.policy is None:
        raise (NewerPolicy if read.is_newer else InvalidPolicy)(read.error)
    return read.policy


def main() -> None:
    """Read the policy on standard input."""
    content, source = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=tuple[bytes, str])
    try:
        read = _Read(policy=parse_policy(content, source))
    except InvalidPolicy as error:
        read = _Read(error=str(error), is_newer=isinstance(error, NewerPolicy))
    sys.stdout.buffer.write(msgspec.msgpack.encode(read))


if __name__ == "__main__":
    main()

"""How much work a function does, counted rather than timed, so that a test of growth does not depend on the machine."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def count_operations(function: Callable[[], object]) -> int:
    """
    Call a function, and return how many bytecode instructions ran.

    Loops of C code, such as copying a list, count as one instruction.
    """
    counted = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal counted
        frame.f_trace_opcodes = True
        if event == "opcode":
            counted += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return counted

"""Ansible plugin: kill the run, which is this very process, right after a task has changed something."""

import os
import signal
from typing import Any, ClassVar

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types
    """Counts results that changed something, and kills the run after as many as WARP_INTERRUPT_AFTER says."""

    CALLBACK_VERSION: ClassVar[float] = 2.0
    CALLBACK_TYPE: ClassVar[str] = "notification"
    CALLBACK_NAME: ClassVar[str] = "interrupt"
    CALLBACK_NEEDS_ENABLED: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._left = int(os.environ["WARP_INTERRUPT_AFTER"])

    def v2_runner_on_ok(self, result: Any) -> None:
        if not result.is_changed():
            return
        self._left -= 1
        if self._left == 0:
            # Past Ansible's buffers, as nothing of it is left a moment later.
            os.write(1, f"\nkilled after: {result._task.get_name()} on {result._host.get_name()}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

"""Ansible plugin: kill the run, which is this very process, right after a task has changed something."""

import os
import signal
from typing import Any, ClassVar

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types
    """
    Kills the run after the first change by a task that is not among those of WARP_INTERRUPT_NOT_AFTER, one a line.

    Those are the ones after which earlier runs were killed; when one of them changes something again, it says so.
    """

    CALLBACK_VERSION: ClassVar[float] = 2.0
    CALLBACK_TYPE: ClassVar[str] = "notification"
    CALLBACK_NAME: ClassVar[str] = "interrupt"
    CALLBACK_NEEDS_ENABLED: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._before = set(os.environ["WARP_INTERRUPT_NOT_AFTER"].splitlines())
        self._play = ""

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._play = play.get_name()

    def v2_runner_on_ok(self, result: Any) -> None:
        if not result.is_changed():
            return
        what = f"{self._play}: {result._task.get_name()} on {result._host.get_name()}"
        # Past Ansible's buffers, as nothing of it is left a moment later.
        if what in self._before:
            os.write(1, f"\ndone again: {what}\n".encode())
            return
        os.write(1, f"\nkilled after: {what}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)

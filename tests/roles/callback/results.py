"""Ansible plugin: write each task's result to a file, one JSON object a line."""

import json
import os
from typing import Any, ClassVar

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types
    """Appends host, task, whether it failed, and what the module returned, to the file that WARP_RESULTS names."""

    CALLBACK_VERSION: ClassVar[float] = 2.0
    CALLBACK_TYPE: ClassVar[str] = "notification"
    CALLBACK_NAME: ClassVar[str] = "results"
    CALLBACK_NEEDS_ENABLED: ClassVar[bool] = True

    def _write(self, result: Any, *, failed: bool = False) -> None:
        line = {"host": result._host.get_name(), "task": result._task.get_name(), "failed": failed}
        with open(os.environ["WARP_RESULTS"], "a") as file:
            file.write(json.dumps({**line, "returned": result._result}, default=str) + "\n")

    def v2_runner_on_ok(self, result: Any) -> None:
        self._write(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._write(result, failed=True)

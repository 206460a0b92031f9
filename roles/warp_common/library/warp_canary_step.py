#!/usr/bin/python
"""Ansible module: give a share of a split hostname a part of the requests, and watch what its guard finds."""

DOCUMENTATION = r"""
---
module: warp_canary_step
short_description: Give a share of a split hostname a part of the requests, and watch what its guard finds
description:
  - Without O(percent) it says how the hostname is split, and why it cannot be shifted, if so, for example for want of a
    split with this share and a guard of it, or because the guard took the share back before.
  - With O(percent) it shifts the share, unless that has as much already, and watches it for O(seconds). It succeeds if
    the guard then finds the share as good as the others. It fails as soon as the guard finds it worse, when that stays
    undecided for O(patience) more seconds, and when somebody else shifts or resets the share meanwhile.
  - A share that has more than O(percent) already is left alone, and so is one that has all requests, so that a run that
    was interrupted can be repeated.
  - Runs on the edge's host, as root or a member of the group of the admin socket.
options:
  hostname:
    description: The hostname, or pattern, as the policy's C(routing) has it.
    type: str
    required: true
  selector:
    description: The share's.
    type: str
    required: true
  percent:
    description: Which part of the requests it gets, 1 to 100.
    type: float
  seconds:
    description: How long it is watched.
    type: int
    default: 60
  patience:
    description: For how many seconds more the guard may be undecided.
    type: int
    default: 600
  socket:
    description: The edge's admin socket.
    type: path
    default: /run/warp-edge/admin.sock
author:
  - The Warp authors
"""

EXAMPLES = r"""
- name: Look at the split
  warp_canary_step:
    hostname: app.warp.example
    selector: release=canary
  register: looked

- name: Give the canary a quarter
  warp_canary_step:
    hostname: app.warp.example
    selector: release=canary
    percent: 25
    seconds: 300
  when: not looked.refusal
"""

RETURN = r"""
refusal:
  description: Why it cannot be shifted, and what to do; empty if it can.
  type: str
  returned: without O(percent)
split:
  description: The hostname's split, as C(warp route show --json) has it.
  type: dict
  returned: with O(percent)
msg:
  description: What was done and found, in a sentence.
  type: str
  returned: with O(percent)
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.warp_admin import SOCKET, Admin, AdminError

# For how long an edge may be silent, as while it is restarted, or a share that is to be shifted have no healthy tunnel.
SILENT_SECONDS = 60.0
LOOK_SECONDS = 1.0
CLOSE = 1e-6  # parts are written as ten thousandths

Split = Mapping[str, Any]


class Refused(Exception):
    """The step cannot be taken, or did not end well; the message says why, and what to do."""


def find(splits: list[Split], hostname: str, selector: str) -> Split:
    """
    Return the split of a hostname.

    :raises Refused: if it has none with this share and a guard of it.
    """
    split = next((each for each in splits if each["hostname"] == hostname), None)
    if split is None:
        known = ", ".join(str(each["hostname"]) for each in splits[:10]) or "none"
        raise Refused(
            f"the policy in force has no split for {hostname} (hostnames with one: {known}). Write one under routing, "
            "with a guard, and put it in force: by warp policy apply, or as warp_policy by site.yml --tags=warp_policy"
        )
    names = [str(share["selector"]) for share in split["shares"]]
    if selector not in names:
        raise Refused(f"{hostname} has no share {selector}; its shares are {', '.join(names)}")
    guard = split.get("guard")
    if guard is None:
        raise Refused(
            f"{hostname} has no guard, so nobody would see that {selector} does worse; add guard to its entry in the "
            f"policy's routing: {{selector: {selector}}}"
        )
    if guard["selector"] != selector:
        raise Refused(f"the guard of {hostname} judges {guard['selector']} and not {selector}; name that, or change it")
    return split


def share_of(split: Split, selector: str) -> Mapping[str, Any]:
    """Return a share of a split that has it."""
    return next(share for share in split["shares"] if share["selector"] == selector)


def not_taken_back(split: Split, more: str = "") -> None:
    """
    Check that the guard has not acted.

    :param more: what to say beside what it has done.
    :raises Refused: if it has.
    """
    guard = split["guard"]
    hostname, selector = split["hostname"], guard["selector"]
    if guard.get("action"):
        done = "gets nothing any more" if guard["action"] == "back" else "gets no more than it had"
        raise Refused(
            f"the guard of {hostname} found {selector} worse than the others ({guard['reason']}), so it {done}{more}. "
            f"When it is mended, run warp route reset {hostname} on the edge, and then this again"
        )


def refusal(look: Callable[[], Split]) -> str:
    """Return why a share cannot be shifted; empty if it can."""
    try:
        not_taken_back(look())
    except Refused as error:
        return str(error)
    return ""


def percent_text(part: float) -> str:
    """Write a part of 1 for people."""
    return f"{round(part * 100, 2):g} %"


class Step:
    """
    One step of one share.

    :param shift: gives the share a percentage.
    """

    def __init__(
        self,
        look: Callable[[], Split],
        shift: Callable[[float], object],
        selector: str,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ask = look
        self._shift = shift
        self._selector = selector
        self._clock = clock
        self._sleep = sleep

    def take(
        self, percent: float, seconds: float, patience: float, *, is_check: bool = False
    ) -> tuple[bool, str, Split]:
        """
        Shift the share unless it has as much, and watch it.

        :returns: whether it was shifted, a sentence, and the split in the end.
        :raises Refused: if it did not end well.
        """
        split = self._look()
        not_taken_back(split)
        wanted = percent / 100
        has, name = share_of(split, self._selector)["part"], f"{self._selector} of {split['hostname']}"
        shift = split.get("shift")
        is_under_way = shift is not None and abs(shift["part"] - shift["target"]) > CLOSE
        if not is_under_way and (has > wanted + CLOSE or has > 1 - CLOSE):
            return False, f"{name} has {percent_text(has)} already", split
        goes = is_under_way or has < wanted - CLOSE
        if is_check:
            said = f"go from {percent_text(has)} to {percent_text(wanted)}, and " if goes else ""
            return goes, f"{name} would {said}be watched for {seconds:g} s", split
        if goes:
            self._wait_for_tunnels()
            self._shift(percent)
        split = self._watch(wanted, seconds, patience)
        return goes, f"{name} has {percent_text(wanted)}: {split['guard']['reason']}", split

    def _look(self) -> Split:
        """Ask the edge, which may be silent for a while."""
        deadline = self._clock() + SILENT_SECONDS
        while True:
            try:
                return self._ask()
            except AdminError as error:
                if self._clock() >= deadline:
                    raise Refused(f"in {SILENT_SECONDS:g} s the edge did not answer: {error}") from error
            self._sleep(LOOK_SECONDS)

    def _wait_for_tunnels(self) -> None:
        deadline = self._clock() + SILENT_SECONDS
        while not share_of(split := self._look(), self._selector)["healthy"]:
            if self._clock() >= deadline:
                raise Refused(
                    f"no agent with {self._selector} serves {split['hostname']}, so nothing was shifted; "
                    "warp_canary_hosts says which hosts' agents get this label, warp status which are connected"
                )
            self._sleep(LOOK_SECONDS)

    def _watch(self, wanted: float, seconds: float, patience: float) -> Split:
        began = self._clock()
        while True:
            self._sleep(LOOK_SECONDS)
            split = self._look()
            guard, hostname = split["guard"], split["hostname"]
            if guard.get("action") == "freeze":
                self._shift(0)  # the guard ends only the shift; this run must not leave visitors there
                not_taken_back(split, ", and this run took it back")
            not_taken_back(split)
            has = share_of(split, self._selector)["part"]
            if abs(has - wanted) > CLOSE:
                raise Refused(
                    f"somebody else has shifted {hostname} meanwhile: {self._selector} has {percent_text(has)} and not "
                    f"{percent_text(wanted)}. Look at warp route show {hostname}, and run this again to go on"
                )
            spent = self._clock() - began
            if spent >= seconds and guard["verdict"] == "better":
                return split
            if spent >= seconds + patience:
                raise Refused(
                    f"after {spent:.0f} s the guard of {hostname} is undecided: {guard['reason']}. {self._selector} "
                    f"keeps {percent_text(wanted)}. Wait for more visitors, or give the guard a longer window or a "
                    "smaller minimum, and run this again to go on"
                )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "hostname": {"type": "str", "required": True},
            "selector": {"type": "str", "required": True},
            "percent": {"type": "float"},
            "seconds": {"type": "int", "default": 60},
            "patience": {"type": "int", "default": 600},
            "socket": {"type": "path", "default": SOCKET},
        },
        supports_check_mode=True,
    )
    given = module.params
    hostname, selector = given["hostname"], given["selector"]
    admin = Admin(given["socket"])

    def look() -> Split:
        return find(admin.call("GET", "v1", "splits"), hostname, selector)

    def shift(percent: float) -> object:
        wish = {"hostname": hostname, "selector": selector, "percent": percent}
        return admin.call("POST", "v1", "shifts", body=wish)

    try:
        if given["percent"] is None:
            module.exit_json(changed=False, refusal=refusal(look))
        before = look()
        step = Step(look, shift, selector)
        seconds, patience = given["seconds"], given["patience"]
        changed, said, split = step.take(given["percent"], seconds, patience, is_check=module.check_mode)
    except (AdminError, Refused) as error:
        module.fail_json(msg=str(error))
    has = share_of(before, selector)["part"]
    difference = {"before": f"{selector} {percent_text(has)}\n", "after": f"{selector} {given['percent']:g} %\n"}
    module.exit_json(changed=changed, split=split, msg=said, **({"diff": difference} if changed else {}))


if __name__ == "__main__":
    main()

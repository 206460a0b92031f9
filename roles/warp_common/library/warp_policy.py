#!/usr/bin/python
"""Ansible module: the policy of a fleet."""

DOCUMENTATION = r"""
---
module: warp_policy
short_description: The policy that every edge of a fleet has in force
description:
  - Asks the edge of this host to put a text in force on every edge, as C(warp policy apply) does.
  - The edge judges the text first, with the files that it names. What it cannot use is refused, and nothing changes.
  - The same text again is no change. In check mode the text is compared with the one in force, and not judged, as files
    that it names may be missing still.
options:
  text:
    description: The policy, as YAML. One without rules lets everything through.
    type: str
    required: true
  name:
    description: What errors call the text.
    type: str
    default: policy
  message:
    description: What the policy is applied for; C(warp policy history) shows it.
    type: str
    default: ""
  socket:
    description: The edge's admin socket.
    type: path
    default: /run/warp-edge/admin.sock
author:
  - The Warp authors
"""

EXAMPLES = r"""
- name: Let only the office use the administration
  warp_policy:
    text: |
      rules:
        - name: office
          match: {path: /admin/*}
          sources: {allow: [198.51.100.0/24]}
    message: only the office
  register: applied
"""

RETURN = r"""
version:
  description: Number of the version in force; 0 if there is none.
  type: int
  returned: always
replaced:
  description: Number of the version that was in force before.
  type: int
  returned: always
rules:
  description: How many rules it has.
  type: int
  returned: not in check mode
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.warp_admin import SOCKET, Admin, AdminError

JUDGING_SECONDS = 150.0  # a long text is judged in a process of its own, one after the other


def apply(admin: Admin, given: dict[str, Any], is_check: bool) -> dict[str, object]:
    """
    Put a text in force, unless this is a check.

    :raises AdminError: if the edge refuses it, or cannot use it after all.
    """
    before = admin.call("GET", "v1", "policy")
    number, text = int(before["number"]), str(before["text"])
    difference = {
        "before": text,
        "after": given["text"],
        "before_header": f"version {number}" if number else "no policy",
        "after_header": given["name"],
    }
    if is_check:
        changed = not number or text != given["text"]
        return {"changed": changed, "version": number, "replaced": number, "diff": difference if changed else {}}
    applied = admin.call(
        "POST",
        "v1",
        "policy",
        query={"name": given["name"], "message": given["message"], "if_version": str(number)},
        content=given["text"].encode(),
        timeout=JUDGING_SECONDS,
    )
    if not applied["in_force"]:
        raise AdminError(f"version {applied['version']} is the fleet's policy, but this edge: {applied['error']}")
    found = {key: applied[key] for key in ("changed", "version", "replaced", "rules")}
    return {**found, "diff": difference if applied["changed"] else {}}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "text": {"type": "str", "required": True},
            "name": {"type": "str", "default": "policy"},
            "message": {"type": "str", "default": ""},
            "socket": {"type": "path", "default": SOCKET},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        result = apply(Admin(given["socket"]), given, module.check_mode)
    except AdminError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

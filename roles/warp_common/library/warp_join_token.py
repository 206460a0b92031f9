#!/usr/bin/python
"""Ansible module: join tokens of a fleet."""

DOCUMENTATION = r"""
---
module: warp_join_token
short_description: Make or revoke a join token
description:
  - Asks the edge of this host to make a join token, or to let nobody in with one any more.
  - A new token is made each time, so each time is a change. Its text is in the result and nowhere else; use C(no_log).
options:
  state:
    description: Whether to make a token or to revoke O(id).
    type: str
    choices: [present, absent]
    default: present
  hostnames:
    description: Hostnames and patterns such as C(*.team.warp.example) that the agent may serve; needed to make one.
    type: list
    elements: str
  labels:
    description: Labels that the agent gets, whatever it says of itself.
    type: dict
    default: {}
  share:
    description: A word; agents whose tokens have the same share hostnames. Empty means those of this token alone.
    type: str
    default: ""
  ttl_seconds:
    description: How long the token is good.
    type: int
    default: 3600
  uses:
    description: How many agents it lets in.
    type: int
    default: 1
  id:
    description: The token to revoke.
    type: str
  socket:
    description: The edge's admin socket.
    type: path
    default: /run/warp-edge/admin.sock
author:
  - The Warp authors
"""

EXAMPLES = r"""
- name: Make a join token
  warp_join_token:
    hostnames: [app.warp.example]
    labels: {release: stable}
    share: warp.example
    ttl_seconds: 600
  register: made
  no_log: true

- name: Revoke it
  warp_join_token:
    state: absent
    id: "{{ made.id | default('none, this is a check') }}"
"""

RETURN = r"""
id:
  description: Id of the token that was made.
  type: str
  returned: when a token was made
token:
  description: Its text. Secret.
  type: str
  returned: when a token was made
expires_at:
  description: Until when it is good, in seconds since the epoch.
  type: float
  returned: when a token was made
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.warp_admin import SOCKET, Admin, AdminError


def make(admin: Admin, given: dict[str, Any], is_check: bool) -> dict[str, object]:
    """Make a token, unless this is a check."""
    wish = {key: given[key] for key in ("hostnames", "labels", "ttl_seconds", "uses")}
    if given["share"]:
        wish["share"] = given["share"]
    difference = {"before": "", "after": f"a join token for {', '.join(map(str, given['hostnames'] or ()))}\n"}
    if is_check:
        return {"changed": True, "diff": difference}
    made = admin.call("POST", "v1", "tokens", body=wish)
    found = {key: made[key] for key in ("id", "token", "expires_at")}
    return {"changed": True, "diff": difference, **found}


def revoke(admin: Admin, token: str, is_check: bool) -> dict[str, object]:
    """Revoke a token, if it is there."""
    is_there = any(each["id"] == token for each in admin.call("GET", "v1", "tokens"))
    if is_there and not is_check:
        admin.call("DELETE", "v1", "tokens", token)
    before = f"join token {token}\n" if is_there else ""
    return {"changed": is_there, "diff": {"before": before, "after": ""}}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"choices": ["present", "absent"], "default": "present"},
            "hostnames": {"type": "list", "elements": "str"},
            "labels": {"type": "dict", "default": {}},
            "share": {"type": "str", "default": ""},
            "ttl_seconds": {"type": "int", "default": 3600},
            "uses": {"type": "int", "default": 1},
            "id": {"type": "str"},
            "socket": {"type": "path", "default": SOCKET},
        },
        required_if=[("state", "present", ("hostnames",)), ("state", "absent", ("id",))],
        supports_check_mode=True,
    )
    given = module.params
    admin = Admin(given["socket"])
    try:
        if given["state"] == "present":
            result = make(admin, given, module.check_mode)
        else:
            result = revoke(admin, given["id"], module.check_mode)
    except AdminError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

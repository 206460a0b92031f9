#!/usr/bin/python
"""Ansible module: revoke an enrolled agent."""

DOCUMENTATION = r"""
---
module: warp_enrolled_agent
short_description: Revoke an enrolled agent, or make sure that it is enrolled and shares hostnames
description:
  - An agent that is revoked loses its tunnels at once, its names leave DNS, and its certificate is refused for good.
  - An agent cannot be enrolled from here, only by itself with a join token; O(state=present) fails if it is not.
options:
  id:
    description: The agent, as it is called in C(warp status).
    type: str
    required: true
  state:
    description: Whether it may serve.
    type: str
    choices: [present, absent]
    default: present
  share:
    description: >-
      With O(state=present), a word for the group of agents that it shares hostnames with, if that has none yet, because
      its join token had none. The whole group gets it. A group that has a word keeps it.
    type: str
    default: ""
  reason:
    description: Why it is revoked; kept with the revocation.
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
- name: List the agents
  warp_status_info:
  register: fleet

- name: Let it share hostnames with the agents whose join tokens have this word
  warp_enrolled_agent:
    id: "{{ fleet.agents[0].id }}"
    share: warp.example

- name: Revoke the first
  warp_enrolled_agent:
    id: "{{ fleet.agents[0].id }}"
    state: absent
    reason: its disk was lost
"""

RETURN = r"""
agent:
  description: What is known of the agent.
  type: dict
  returned: if it is known
"""

import re

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.warp_admin import SOCKET, Admin, AdminError


def has_word(agent: dict[str, object]) -> bool:
    """Say whether an agent's group is named by a share word, and not by a join token, or not at all."""
    group = agent.get("group", "")
    return bool(group) and group != agent.get("token") and not re.fullmatch("[0-9a-f]{16}", str(group))


def is_enrolled(agent: dict[str, object] | None) -> bool:
    """Say whether the edge knows an agent, and knows of no revocation."""
    return agent is not None and "revoked_at" not in agent


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "id": {"type": "str", "required": True},
            "state": {"choices": ["present", "absent"], "default": "present"},
            "share": {"type": "str", "default": ""},
            "reason": {"type": "str", "default": ""},
            "socket": {"type": "path", "default": SOCKET},
        },
        supports_check_mode=True,
    )
    given = module.params
    name = given["id"]
    admin = Admin(given["socket"])
    result: dict[str, object] = {"changed": False}
    try:
        agent = next((each for each in admin.call("GET", "v1", "agents") if each["id"] == name), None)
        if given["state"] == "present":
            if not is_enrolled(agent):
                module.fail_json(msg=f"agent {name} is not enrolled; it enrolls itself, with a join token")
            if agent is not None and given["share"] and not has_word(agent):
                result = {"changed": True, "diff": {"before": "", "after": f"agent {name} of {given['share']}\n"}}
                if not module.check_mode:
                    admin.call("POST", "v1", "agents", name, "share", body={"share": given["share"]})
        elif is_enrolled(agent):
            result = {"changed": True, "diff": {"before": f"agent {name}\n", "after": ""}}
            if not module.check_mode:
                admin.call("DELETE", "v1", "agents", name, body={"reason": given["reason"]})
    except AdminError as error:
        module.fail_json(msg=str(error))
    if agent is not None:
        result["agent"] = agent
    module.exit_json(**result)


if __name__ == "__main__":
    main()

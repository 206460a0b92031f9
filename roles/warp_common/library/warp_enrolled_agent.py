#!/usr/bin/python
"""Ansible module: revoke an enrolled agent."""

DOCUMENTATION = r"""
---
module: warp_enrolled_agent
short_description: Revoke an enrolled agent, or make sure that it is enrolled
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

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.warp_admin import SOCKET, Admin, AdminError


def is_enrolled(agent: dict[str, object] | None) -> bool:
    """Say whether the edge knows an agent, and knows of no revocation."""
    return agent is not None and "revoked_at" not in agent


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "id": {"type": "str", "required": True},
            "state": {"choices": ["present", "absent"], "default": "present"},
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

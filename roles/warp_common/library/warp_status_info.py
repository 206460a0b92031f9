#!/usr/bin/python
"""Ansible module: what an edge says of the fleet."""

DOCUMENTATION = r"""
---
module: warp_status_info
short_description: What an edge says of the fleet
description:
  - Asks the edge of this host for its status, its enrolled and revoked agents and its join tokens. Nothing is secret.
  - Runs on the edge's host, as root or a member of the group of the admin socket.
options:
  socket:
    description: The edge's admin socket.
    type: path
    default: /run/warp-edge/admin.sock
author:
  - The Warp authors
"""

EXAMPLES = r"""
- name: Ask the edge
  warp_status_info:
  register: fleet

- name: Report the published applications
  ansible.builtin.debug:
    msg: "{{ fleet.status.routes | map(attribute='url') }}"
"""

RETURN = r"""
status:
  description: Edges, tunnels, routes and agents, as C(warp status --json) says it.
  type: dict
  returned: always
agents:
  description:
    - Agents that are enrolled, with C(id), C(hostnames), C(labels), C(group), C(enrolled_at), C(expires_at) and
      C(tunnels), and with C(returns_until), when the time ends in which it may come back by itself.
  type: list
  elements: dict
  returned: always
revoked:
  description: Agents that were revoked, with C(id), C(revoked_at) and C(reason).
  type: list
  elements: dict
  returned: always
tokens:
  description: Join tokens without their secret, with C(id), C(hostnames), C(group), C(labels), C(uses_left) and
    C(expires_at).
  type: list
  elements: dict
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.warp_admin import SOCKET, Admin, AdminError


def main() -> None:
    module = AnsibleModule(
        argument_spec={"socket": {"type": "path", "default": SOCKET}},
        supports_check_mode=True,
    )
    admin = Admin(module.params["socket"])
    try:
        agents = admin.call("GET", "v1", "agents")
        result = {
            "status": admin.call("GET", "v1", "status"),
            "agents": [agent for agent in agents if "revoked_at" not in agent],
            "revoked": [agent for agent in agents if "revoked_at" in agent],
            "tokens": admin.call("GET", "v1", "tokens"),
        }
    except AdminError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module: write several text files at once, each whole or not at all."""

DOCUMENTATION = r"""
---
module: warp_files
short_description: Write several files
description:
  - What M(ansible.builtin.copy) with C(content) does for one file, for many in one call, as each call brings a
    module to the host and starts it there.
options:
  files:
    description: The files, in the order in which they are written. Their directories are there.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where it is.
        type: path
        required: true
      content:
        description: All that is in it.
        type: str
        required: true
      owner:
        description: Name of the user.
        type: str
        default: root
      group:
        description: Name of the group.
        type: str
        default: root
      mode:
        description: Permissions, in octal digits.
        type: str
        default: "0644"
author:
  - The Warp authors
"""

EXAMPLES = r"""
- name: Write two files
  warp_files:
    files:
      - {path: /etc/warp/one, content: "1\n"}
      - {path: /etc/warp/two, content: "2\n", group: warp-agent, mode: "0640"}
  check_mode: true
"""

RETURN = r"""
paths:
  description: The files of which something changed.
  type: list
  elements: str
  returned: always
"""

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule


def write(path: Path, content: bytes) -> None:
    """Put content in the place of a file, whole or not at all; a file that was not there is root's alone at first."""
    handle, half = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            os.chown(half, status.st_uid, status.st_gid)
            Path(half).chmod(status.st_mode & 0o7777)
        os.replace(half, path)
    except BaseException:
        os.unlink(half)
        raise


def apply(module: AnsibleModule, file: Mapping[str, str]) -> dict[str, str] | None:
    """
    Have a file be as it should.

    :returns: how it changes, as Ansible shows it; None if it does not.
    """
    path, content = Path(file["path"]), file["content"].encode()
    before = path.read_bytes() if path.exists() else None
    is_other = before != content
    if is_other and not module.check_mode:
        write(path, content)
    wanted = {key: file[key] for key in ("owner", "group", "mode")}
    attributes = module.load_file_common_arguments(wanted, path=str(path))
    # In check mode it may not be there yet.
    has_others = path.exists() and module.set_fs_attributes_if_different(attributes, False)
    if not is_other and not has_others:
        return None
    texts = [(before or b"").decode(errors="replace"), file["content"]] if is_other else ["", ""]
    return {"before_header": str(path), "after_header": str(path), "before": texts[0], "after": texts[1]}


def main() -> None:
    one = {
        "path": {"type": "path", "required": True},
        "content": {"type": "str", "required": True},
        "owner": {"type": "str", "default": "root"},
        "group": {"type": "str", "default": "root"},
        "mode": {"type": "str", "default": "0644"},
    }
    module = AnsibleModule(
        argument_spec={"files": {"type": "list", "elements": "dict", "required": True, "options": one}},
        supports_check_mode=True,
    )
    changes = []
    for file in module.params["files"]:
        try:
            changes.append(apply(module, file))
        except OSError as error:
            module.fail_json(msg=f"{file['path']}: {error.strerror}")
    found = [change for change in changes if change is not None]
    module.exit_json(changed=bool(found), paths=[change["after_header"] for change in found], diff=found)


if __name__ == "__main__":
    main()

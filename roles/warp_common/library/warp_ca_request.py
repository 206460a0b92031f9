#!/usr/bin/python
"""Ansible module: a host's key for a certificate of its own, and the request for one when it is due."""

DOCUMENTATION = r"""
---
module: warp_ca_request
short_description: Have a host's key, and ask for a certificate when one is due
description:
  - Makes the key on the host where it stays, unless it is there.
  - >-
    Returns a certificate request if the certificate is missing, is not for this key, does not descend from the root,
    does not name one of the addresses, or ends soon. The root's owner signs it elsewhere and brings the certificate
    back.
  - Needs the C(openssl) command on the host.
options:
  directory:
    description: Where O(name)C(.key) and O(name)C(.pem) are; it must exist.
    type: path
    default: /etc/warp/ca
  name:
    description: Of the files, such as the edge's name.
    type: str
    required: true
  root:
    description: The root certificate from which the certificate must descend, as PEM text.
    type: str
    required: true
  addresses:
    description: IP addresses that the certificate must name.
    type: list
    elements: str
    default: []
  renew_before_days:
    description: How many days before its end a certificate is due.
    type: int
    default: 90
author:
  - The Warp authors
"""

EXAMPLES = r"""
- name: Make a key, and a signing request if a certificate is due
  warp_ca_request:
    name: edge1
    root: "{{ lookup('ansible.builtin.file', 'secrets/ca/root.pem') }}"
  register: intermediate

- name: Report why a certificate is due
  ansible.builtin.debug:
    msg: "{{ intermediate.reason }}"
  when: intermediate.request | length > 0
"""

RETURN = r"""
request:
  description: The certificate request as PEM text, or nothing if the certificate is good.
  type: str
  returned: always
reason:
  description: Why a certificate is due, in words.
  type: str
  returned: always
  sample: it ends within 90 days
"""

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DAY_SECONDS = 86400


class Refused(Exception):
    """The request cannot be made; the message says why."""


def openssl(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run openssl; what is secret goes neither in nor out by its arguments."""
    try:
        return subprocess.run(["openssl", *arguments], input=given, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(f"openssl: {error}") from error


def said(done: subprocess.CompletedProcess[str], doing: str) -> str:
    """Return what openssl printed, if it succeeded."""
    if done.returncode:
        raise Refused(f"{doing}: {done.stderr.strip()[-500:]}")
    return done.stdout


def make_key(path: Path) -> None:
    """Make an ECDSA P-256 key, whole or not at all, readable by root only."""
    text = said(openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"), "making a key")
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def due(certificate: Path, key: Path, root: str, days: int, addresses: Sequence[str] = ()) -> str:
    """Say why a new certificate is due; empty if it is not."""
    if not certificate.exists():
        return "there is none"
    own = openssl("x509", "-in", str(certificate), "-noout", "-pubkey")
    if own.returncode:
        return "it cannot be read"
    if own.stdout != said(openssl("pkey", "-in", str(key), "-pubout"), str(key)):
        return "it is not for this key"

    def is_good(at: int) -> bool:
        verify = ("verify", "-no-CAfile", "-no-CApath", "-no-CAstore", "-trusted", "/dev/stdin", "-attime", str(at))
        return openssl(*verify, str(certificate), given=root).returncode == 0

    now = int(time.time())
    if not is_good(now):
        return "it does not descend from the root, or has ended"
    for address in addresses:
        found = openssl("x509", "-in", str(certificate), "-noout", "-checkip", address)
        if " does match certificate" not in found.stdout:
            return f"it does not name {address}"
    return "" if is_good(now + days * DAY_SECONDS) else f"it ends within {days} days"


def provide(
    directory: Path, name: str, root: str, days: int, is_check: bool, addresses: Sequence[str] = ()
) -> dict[str, object]:
    """
    Have the key, and make a request if a certificate is due.

    :param addresses: that the certificate must name.
    :returns: the module's result.
    :raises Refused: if openssl fails.
    """
    key, certificate = directory / f"{name}.key", directory / f"{name}.pem"
    if not key.exists():
        if is_check:
            return {"changed": True, "request": "", "reason": "there is no key"}
        make_key(key)
        changed = True
    else:
        changed = False
    reason = due(certificate, key, root, days, addresses)
    request = ""
    if reason:
        request = said(openssl("req", "-new", "-key", str(key), "-subj", f"/CN={name}"), "making a request")
    return {"changed": changed, "request": request, "reason": reason}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": "/etc/warp/ca"},
            "name": {"type": "str", "required": True},
            "root": {"type": "str", "required": True},
            "addresses": {"type": "list", "elements": "str", "default": []},
            "renew_before_days": {"type": "int", "default": 90},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        result = provide(
            Path(given["directory"]),
            given["name"],
            given["root"],
            given["renew_before_days"],
            module.check_mode,
            given["addresses"],
        )
    except Refused as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

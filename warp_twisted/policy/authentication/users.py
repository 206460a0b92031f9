"""
Files of users: `name:hash`, a line each, the hash argon2id in its usual text (PHC string), as `argon2` and Python's
argon2-cffi write it.

Pure: text in, names and hashes out. What a hash may cost is bounded here: whoever knows a name makes the edge pay it.
"""

import re
from collections import Counter
from collections.abc import Mapping

from argon2 import extract_parameters
from argon2.exceptions import InvalidHashError
from argon2.low_level import Type

MAX_USERS = 100_000
MAX_NAME = 128
MAX_MEMORY_KIB = 256 * 1024
MAX_PASSES = 16
MAX_LANES = 16
MAX_WORK = 1024 * 1024  # KiB times passes: about a second of one core
MAX_WORK_OF_AGENTS = 256 * 1024  # of users that an agent names: all agents share one thread; RFC 9106 has 3 * 65536

# Of a password that nobody has: what is compared while a file has no users.
NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$d2FycC1ub2JvZHktc2FsdA$WYnoErK4FyQ8BFhs0YpkpJdS1QvqyHVXk5bfvhl7pGg"

_TEXT = re.compile(
    r"\$argon2id\$v=19\$m=\d{1,7},t=\d{1,4},p=\d{1,3}\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{16,86}", re.ASCII
)


class UsersError(ValueError):
    """A file of users cannot be used; the text says which line, and what was expected. It quotes no hash."""


def read_users(text: str) -> Mapping[str, str]:
    """
    Read a file of users.

    :param text: empty lines, and those that begin with `#`, are left out.
    :returns: name → hash.
    :raises UsersError: at the first line that cannot be used: a user that is left out could not come in, and a file
        that is half read is not what somebody wanted.
    """
    users: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, colon, hash_text = line.partition(":")
        problem = user_problem(name, hash_text) if colon else "expected name:hash"
        if not problem and name in users:
            problem = f"the user {name!r} is there already"
        if not problem and len(users) >= MAX_USERS:
            problem = f"more than {MAX_USERS} users"
        if problem:
            raise UsersError(f"line {number}: {problem}")
        users[name] = hash_text
    return users


def decoy(users: Mapping[str, str]) -> str:
    """
    Return the hash to compare with when there is no such user, so that the time does not tell: it is one of a user's,
    and costs what most of them do.
    """
    by_cost = {hash_text.rpartition("$")[0].rpartition("$")[0]: hash_text for hash_text in users.values()}
    costs = Counter(hash_text.rpartition("$")[0].rpartition("$")[0] for hash_text in users.values())
    return by_cost[costs.most_common(1)[0][0]] if costs else NOBODY


def user_problem(name: str, hash_text: str, max_work: int = MAX_WORK) -> str:
    """
    Return what is wrong with a user, and what was expected; empty if nothing is. It quotes no hash.

    :param max_work: KiB times passes that its hash may cost.
    """
    if not name or len(name) > MAX_NAME or not name.isprintable():
        return f"expected a name of 1 to {MAX_NAME} printable characters"
    if not _TEXT.fullmatch(hash_text):
        return f"expected an argon2id hash ($argon2id$v=19$m=…,t=…,p=…$…$…) for {name!r}"
    try:
        found = extract_parameters(hash_text)
    except InvalidHashError:
        return f"expected an argon2id hash for {name!r}"
    if found.type is not Type.ID:
        return f"expected an argon2id hash for {name!r}"
    if not (
        8 * found.parallelism <= found.memory_cost <= MAX_MEMORY_KIB
        and 1 <= found.time_cost <= MAX_PASSES
        and 1 <= found.parallelism <= MAX_LANES
        and found.memory_cost * found.time_cost <= max_work
    ):
        return (
            f"the hash of {name!r} costs too much: at most m={MAX_MEMORY_KIB}, t={MAX_PASSES}, p={MAX_LANES} and "
            f"m times t {max_work} are allowed; make it with less"
        )
    return ""

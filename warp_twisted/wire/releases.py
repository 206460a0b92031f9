"""
What releases tell each other of themselves, so that they serve beside each other (spec.md §9).

Words that edge and agent say in `hello` and `accepted`. `knows`: kinds of messages that the sender reads, beyond those
that every release reads; nobody sends such a kind to a peer that has not said its word. `requires` and `protects`: what
an agent wants the edge to keep from its origins, and what of that the edge does keep. A field that an older peer passes
over would be silently lost; what an older edge does not know, it does not echo, and the agent stays away. The same
holds for the policy that an agent asks for: its digest is the echo.
"""

from collections.abc import Collection, Mapping
from enum import Enum
from hashlib import sha256

from warp_twisted.wire.control import ControlMessage, Message, Notice

NOTICE = "notice"
KNOWN = (NOTICE,)

# Kind of message → the word of who reads it. Kinds that are not here every release reads.
WORD_OF: Mapping[type[Message], str] = {Notice: NOTICE}


class Protection(Enum):
    """What this release's edges keep from every origin; the word, and a sentence for people."""

    STRICT_HTTP = ("strict-http", "a request that is malformed, or could be read in two ways, reaches no origin")
    VISITOR_ADDRESS = ("visitor-address", "X-Forwarded-* and Forwarded are the edge's own word, never a visitor's")

    @property
    def word(self) -> str:
        """As `requires`, `protects` and agent.yaml have it."""
        return self.value[0]


PROTECTIONS = tuple(protection.word for protection in Protection)
HOST_HEADER = "host-header"  # the word of an agent that offers a route with `host_header`
POLICY = "policy"  # the word of an agent that asks for a policy of its own, in `hello.policy`


def may_send(message: ControlMessage, known: Collection[str]) -> bool:
    """
    Say whether a message may be sent.

    :param known: what the peer said that it knows.
    """
    word = WORD_OF.get(type(message))
    return word is None or word in known


def protected(required: Collection[str]) -> list[str]:
    """Return those of an agent's requirements that this release's edges meet."""
    return [word for word in (*PROTECTIONS, HOST_HEADER, POLICY) if word in required]


def policy_digest(policy: str) -> str:
    """Return what an edge echoes of an agent's policy: its SHA-256, hexadecimal; empty for none."""
    return sha256(policy.encode("utf-8", "surrogatepass")).hexdigest() if policy else ""

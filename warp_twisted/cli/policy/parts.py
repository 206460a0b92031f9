"""
What a policy is assembled from where there is no edge: files are read, nothing is counted.

Nobody is asked for credentials: who is proven is what the command was told, but for a certificate that it was given.
"""

from collections.abc import Hashable, Sequence
from pathlib import Path

from warp_twisted.policy.document.authentication import Proof
from warp_twisted.policy.document.limits import Limit
from warp_twisted.policy.document.sources import DatabaseFiles, Source
from warp_twisted.policy.errors import InvalidPolicy
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.interfaces import ABSENT, Answer, Check, Identity, Outcome
from warp_twisted.policy.sources.prefixes import Addresses

MAX_LIST_BYTES = 64 << 20  # of a file of prefixes


class OfflineParts:
    """
    Makes the parts of a policy.

    :param directory: where the files are that a policy names.
    :param identities: kind of check → the subjects that are proven.
    :param databases: as the policy names them.
    :param verifies_certificates: whether certificates are verified as an edge does, instead.
    """

    def __init__(
        self,
        directory: Path,
        identities: Sequence[Identity] = (),
        databases: DatabaseFiles = DatabaseFiles(),  # noqa: B008 -- frozen
        *,
        verifies_certificates: bool = False,
    ) -> None:
        self._directory = directory
        self._identities = identities
        self._verifies_certificates = verifies_certificates
        from warp_twisted.edge.policy.parts import PolicyParts

        self._of_edge = PolicyParts(directory, {})
        self._of_edge.database_files = databases

    def source_set(self, entries: Sequence[Source], where: str) -> Addresses:
        """Read lists and databases as an edge does."""
        return self._of_edge.source_set(entries, where)

    def limiter(self, limit: Limit, rule: str, where: str) -> "_Unlimited":
        """Make a limiter that grants everything."""
        return _Unlimited()

    def check(self, proof: Proof, where: str) -> Check:
        """Make a check that proves what the command was told."""
        if proof.client_certificate is not None and self._verifies_certificates:
            return self._of_edge.check(proof, where)
        kind = next(name for name in proof.__struct_fields__ if getattr(proof, name) is not None)
        for key in ("users_file", "jwks_file", "ca_file"):
            name = getattr(getattr(proof, kind), key, None)
            if name is not None:
                self._content(name, f"{where}.{kind}.{key}")
        return _Told(kind, [each for each in self._identities if each.kind == kind])

    def _content(self, name: str, where: str) -> bytes:
        path = self._directory / name
        try:
            with path.open("rb") as file:
                content = file.read(MAX_LIST_BYTES + 1)
        except OSError as error:
            raise InvalidPolicy(f"{where}: {path}: {error.strerror}; name its directory with --files") from error
        if len(content) > MAX_LIST_BYTES:
            raise InvalidPolicy(f"{where}: {path}: larger than {MAX_LIST_BYTES >> 20} MiB")
        return content


class _Unlimited:
    """Grants everything."""

    def take(self, key: Hashable, price: float, now: float) -> float:
        """Grant it."""
        return 0.0

    def give_back(self, key: Hashable, price: float) -> None:
        """Forget it."""


class _Told:
    """Proves who was named on the command line."""

    challenge = b"Basic"  # any: it tells a request without credentials from one that is denied for good
    carriers = ()
    authorities: tuple[bytes, ...] = ()

    def __init__(self, kind: str, identities: Sequence[Identity]) -> None:
        self.kind = kind
        self._identities = identities

    def look(self, facts: Facts, now: float, wall: float) -> Answer:
        """Return the identity of this kind, if one was named."""
        return Answer(Outcome.PROVEN, self._identities[0]) if self._identities else ABSENT
